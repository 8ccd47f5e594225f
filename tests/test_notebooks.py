"""The notebooks run from top to bottom on a small carmaker, show something in every part, and define nothing."""

import ast
from pathlib import Path
from typing import Any

import jupytext
import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from tests.carmaker import loaded
from training import registry
from training.gates import Verdict
from training.promote import promote
from training.tasks import task_named
from training.train import train

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))


def cells(notebook: Path, kind: str) -> list[str]:
    return [cell.source for cell in jupytext.read(notebook).cells if cell.cell_type == kind]


def test_there_are_four() -> None:
    assert [notebook.stem for notebook in NOTEBOOKS] == [
        "1_meet_the_data",
        "2_a_feature_is_born",
        "3_read_a_model",
        "4_build_and_challenge_a_task",
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_shows_and_does_not_define(notebook: Path) -> None:
    tree = ast.parse("\n".join(cells(notebook, "code")))
    assert not [
        n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_tells_in_words_what_it_does(notebook: Path) -> None:
    told = cells(notebook, "markdown")
    assert told[0].startswith("# ")
    assert len(told) >= len(cells(notebook, "code")) / 2


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small carmaker and a champion for churn, whatever its gates say of so few customers."""
    folder = tmp_path_factory.mktemp("notebooks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        warehouse = loaded(Path("var"), 3_000)
        trained = train(task_named("churn", warehouse), warehouse)
        if not trained.promoted:
            loaded_model = registry.fetched("churn", trained.version)
            promote(loaded_model, trained.version, Verdict(None, ()))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_runs(notebook: Path, demonstrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a reader runs it: cell by cell, and what a cell ends with is shown."""
    monkeypatch.chdir(demonstrated)
    mpl.use("Agg")
    space: dict[str, Any] = {"__name__": "__main__"}
    shown = 0
    for source in cells(notebook, "code"):
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, notebook.name, "exec"), space)
        if last is not None:
            said = eval(compile(ast.Expression(last.value), notebook.name, "eval"), space)
            shown += bool(repr(said))
        shown += len(plt.get_fignums())
        plt.close("all")
    assert shown >= len(cells(notebook, "code")) - 2
