"""Questions made from the document, good and bad: every answer is as documented, none is a failure of ours.

`make faults` asks 2,000 of each operation; here a few.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from serving.desk.desk import Desk
from serving.edge.app import Edge
from serving.edge.door import Door
from serving.edge.openapi import document
from serving.edge.system import SYSTEM
from serving.edge.table import full_path
from serving.routes import ROUTES

CASES = int(os.environ.get("PROPENSITY_CASES", "20"))
LEFT_OUT = [ignored_auth, positive_data_acceptance]

pytestmark = pytest.mark.slow


async def at_once(seconds: float) -> None:
    """Who knocks without a token again and again is made to wait, which test_askers shows; here it would be most of the time."""


OPERATIONS = [(path, method.upper()) for path, methods in document()["paths"].items() for method in methods]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_documented(
    in_shop: Path, path: str, method: str, mode: GenerationMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = next(row.may for row in (*ROUTES, *SYSTEM) if (full_path(row), row.method) == (path, method))
    monkeypatch.setattr("serving.edge.door.pause", at_once)
    token = "generated-0123456789-abcdefghijklmnop"
    monkeypatch.setenv("PROPENSITY_TOKENS", "no-file")
    monkeypatch.setenv("PROPENSITY_TOKEN", token)
    monkeypatch.setenv("PROPENSITY_TOKEN_ROLE", sorted(role or ["crm"])[-1])
    edge = Edge(door=Door.configured("0.0.0.0"))
    edge.desk = Desk.open()
    schema = schemathesis.openapi.from_dict(document())
    schema.app = edge
    operation = schema[path][method]

    @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        # Asking without a token is test_askers'; and what is of the right form may still name a task that is not offered.
        answer = case.call(headers={"authorization": f"Bearer {token}"})
        # A list too long for its form can be too long to be read at all: 413 is no rejection to schemathesis.
        too_large = [negative_data_rejection] if answer.status_code == 413 else []
        case.validate_response(answer, excluded_checks=LEFT_OUT + too_large)

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "a question without parameters cannot be asked wrongly"
