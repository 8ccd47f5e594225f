"""The document: as committed, valid, strict, and its examples are answered."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from serving.desk.desk import Desk
from serving.edge.app import Edge
from serving.edge.openapi import as_text, document
from serving.edge.page import page
from serving.edge.system import SYSTEM
from serving.edge.table import PREFIX, full_path
from serving.routes import ROUTES, Route

COMMITTED = Path(__file__).parents[3] / "docs/openapi.json"


def test_the_committed_document_is_that_of_the_routes() -> None:
    assert COMMITTED.read_text() == as_text(document()), "python -m serving.edge.openapi > docs/openapi.json"


def test_every_row_is_documented_with_its_refusals() -> None:
    paths = document()["paths"]
    for row in (*ROUTES, *SYSTEM):
        responses = paths[full_path(row)][row.method.lower()]["responses"]
        if row.may is not None:
            assert {"200", "401", "403", "500", "503"} <= responses.keys(), row.path


def everything(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from everything(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from everything(inner)


def test_the_forms_are_valid_and_what_is_asked_is_closed() -> None:
    told = document()
    schemas = told["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    for one in everything(told):
        if "$ref" in one:
            assert one["$ref"].rsplit("/", 1)[-1] in schemas
    for route in ROUTES:
        if route.method == "POST":
            assert schemas[route.asks.__name__]["additionalProperties"] is False


def test_the_page_names_every_path_and_brings_nothing_from_outside() -> None:
    shown = page(document())
    for row in (*ROUTES, *SYSTEM):
        assert full_path(row) in shown
    assert "http://" not in shown.replace("http://www.w3.org", "")
    assert "https://" not in shown
    assert "<script" not in shown


EXAMPLES = [(route, name) for route in ROUTES for name in route.examples]


@pytest.mark.parametrize(("route", "name"), EXAMPLES, ids=lambda value: getattr(value, "path", value))
def test_examples_are_answered_in_the_form_that_is_documented(
    in_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: Route, name: str
) -> None:
    for address in ("LEDGERS_URL", "AUDIT_URL", "AUDIT_ANCHORS_URL"):  # the shop is everybody's
        monkeypatch.setenv(address, str(tmp_path / address))
    monkeypatch.setenv("PSEUDONYM_KEY", str(tmp_path / "key"))
    edge = Edge()
    edge.desk = Desk.open()
    asking = TestClient(edge)
    example = dict(route.examples[name])
    if route.method == "POST":
        answered = asking.post(PREFIX + route.path, json=example)
    else:
        path = (PREFIX + route.path).format(**example)
        rest = {key: value for key, value in example.items() if "{" + key + "}" not in route.path}
        answered = asking.get(path, params=rest)
    assert answered.status_code == 200, answered.text
    told = document()
    form = {"$ref": f"#/components/schemas/{route.answers.__name__}", "components": told["components"]}
    Draft202012Validator(form).validate(json.loads(answered.content))
