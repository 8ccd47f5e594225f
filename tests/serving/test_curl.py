"""The `curl` examples of README and docs/, run as they stand against a service: answered, and in the documented form."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator

from serving.edge.openapi import document
from tests.serving.server import serving

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/service.md", "docs/answers.md")
BLOCKS = [
    pytest.param(block, id=f"{page} {number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(), re.DOTALL))
    if "curl -s" in block
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


@pytest.fixture(scope="module")
def port(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(shop, env={"PROPENSITY_FOLLOW_S": "0"}) as port:
        yield port


def run(block: str, port: int, folder: Path) -> list[tuple[str, str]]:
    """What a block's commands got, as (path, answer); all but those that start the service or score at night."""
    lines = [line for line in block.splitlines() if not line.startswith(("make ", "python -m serving.batch"))]
    # The README speaks of a customer of its own world.
    script = "\n".join(lines).replace("localhost:3000", f"localhost:{port}").replace("00003", "C00001")
    script = re.sub(
        r"^curl -s", r"curl -s -w '\\n%{http_code} %{url_effective}\\n'", script, flags=re.MULTILINE
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = re.findall(r"^(\{.*\})\n(\d+) (\S+)$", told, re.MULTILINE)
    assert len(found) == script.count("curl -s -w"), told
    assert {status for _, status, _ in found} == {"200"}, told
    return [(urlsplit(address).path, answer) for answer, _, address in found]


def form_of(path: str) -> dict[str, Any]:
    """The documented form of what a path answers."""
    told = document()
    for template, methods in told["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            (operation,) = methods.values()
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            return {**schema, "components": told["components"]}
    raise AssertionError(path)


@pytest.mark.parametrize("block", BLOCKS)
def test_it_is_answered_as_documented(block: str, port: int, tmp_path: Path) -> None:
    for path, answer in run(block, port, tmp_path):
        Draft202012Validator(form_of(path)).validate(json.loads(answer))


def test_the_answer_that_the_readme_shows_has_the_form_of_a_real_one(port: int, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    asked, shown = re.search(
        r"```bash\n([^`]*curl -s[^`]*)```\n\n```json\n(.*?)```", text, re.DOTALL
    ).groups()  # type: ignore[union-attr]
    ((_, answer),) = run(asked, port, tmp_path)
    assert_within(json.loads(shown), json.loads(answer), "")


def assert_within(shown: Any, real: Any, at: str) -> None:
    """What is shown is a part of what is answered: the same fields, of the same kinds; lists are shown shortened."""
    assert isinstance(real, int | float if isinstance(shown, int | float) else type(shown)), at
    if isinstance(shown, dict):
        assert shown.keys() <= real.keys(), f"{at}: {shown.keys() - real.keys()}"
        for name, value in shown.items():
            assert_within(value, real[name], f"{at}/{name}")
    elif isinstance(shown, list):
        assert len(real) >= len(shown), at
        for place, value in enumerate(shown):
            assert_within(value, real[place], f"{at}/{place}")
