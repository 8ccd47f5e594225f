"""What the pages on protection and security claim is backed by tests: every sentence names at least one that is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [page for page in (ROOT / "docs/data-protection.md", ROOT / "SECURITY.md") if page.exists()]
CLAIM = re.compile(r"^- (?P<words>.+?)(?P<tests>( `tests/\S+::\w+`)*)$")


def claims(page: Path) -> list[tuple[str, list[str]]]:
    """Every sentence of a list, and the tests it names."""
    found = []
    for line in page.read_text().splitlines():
        if line.startswith("- "):
            matched = CLAIM.match(line)
            assert matched, line
            found.append((matched["words"], re.findall(r"`(tests/\S+::\w+)`", matched["tests"])))
    return found


def defined_in(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_sentence_is_backed_by_a_test_that_is_there(page: Path) -> None:
    said = claims(page)
    assert len(said) >= 10
    for words, named in said:
        assert named, f"{page.name}: nothing backs {words!r}"
        for test in named:
            file, _, name = test.partition("::")
            assert (ROOT / file).is_file(), f"{page.name}: {file}"
            assert name in defined_in(ROOT / file), f"{page.name}: {test}"
