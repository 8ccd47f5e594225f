"""The house keeps its walls: who may import whom, what no file may hold."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("features", "training", "serving", "worlds")
FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
MAY_IMPORT = {
    "features": {"features"},
    "training": {"features", "training"},
    "serving": {"features", "serving", "training.registry", "training.copies"},
    "worlds": {"features", "training", "serving", "worlds"},
}
# Whether a forecast held is asked by a task's own outcome, whether customers have moved by training's monitor; no service and no
# batch loads these two.
ALSO = {
    "serving.settle": {"training.dataset", "training.task", "training.tasks"},
    "serving.watch": {"training.artefact", "training.drift", "training.monitor", "training.resampling"},
}
# A view sees rows, sources and the feature type; nothing that reads a warehouse or compares times.
WITHIN_FEATURES = {
    "features.errors": set(),
    "features.sources": set(),
    "features.timeline": {"features.errors"},
    "features.needs": {"features.sources", "features.timeline"},
    "features.rows": {"features.needs", "features.sources", "features.timeline"},
    "features.passes": {"features.needs", "features.sources", "features.timeline"},
    "features.planner": {"features.needs", "features.passes", "features.reach", "features.rows"},
    # Over arrays: the same needs and expressions, of posted rows and of files in order.
    "features.past": {"features.needs", "features.sources", "features.timeline"},
    "features.slices": {"features.past", "features.sources", "features.timeline"},
    "features.formula": {"features.errors", "features.timeline"},
    "features.reductions": {"features.errors", "features.formula", "features.needs", "features.slices"},
    "features.tally": {
        "features.formula",
        "features.needs",
        "features.past",
        "features.reductions",
        "features.slices",
        "features.timeline",
    },
    "features.sorted_files": {"features.sources"},
    "features.certificate": {"features.errors"},
    "features.attributes": {"features.errors", "features.timeline"},
    "features.foresight": {"features.certificate"},
    "features.engines.held": set(),
    "features.engines.copy": set(),
    "features.engines.postgres": {
        "features.engines.copy",
        "features.engines.held",
        "features.errors",
        "features.home",
        "features.sources",
    },
    "features.engines.spark": {
        "features.engines.held",
        "features.errors",
        "features.home",
        "features.pointer",
        "features.sources",
    },
    "features.warehouse": {
        "features.engines.held",
        "features.errors",
        "features.home",
        "features.pointer",
        "features.sources",
    },
    "features.pieces": {"features.sources", "features.warehouse"},
    "features.reach": {"features.needs", "features.sources", "features.timeline"},
    "features.state": {"features.digest", "features.feature", "features.needs"},
    "features.reasons": {"features.feature", "features.matrix", "features.words"},
    "features.feature": {"features.planner", "features.rows", "features.sources"},
    # Loading: what arrives, what a row must keep, what a source must keep; only `load` knows them all.
    "features.delivery": {"features.errors", "features.sources"},
    "features.contract": {"features.errors", "features.sources"},
    "features.maturity": {"features.errors", "features.sources"},
    "features.parts": set(),
    "features.profile": {"features.contract", "features.sources"},
    "features.checks": {"features.profile", "features.sources"},
    "features.intake": {
        "features.contract",
        "features.delivery",
        "features.errors",
        "features.progress",
        "features.sources",
    },
}
VIEWS = sorted((ROOT / "features" / "views").glob("[a-z]*.py"))


def imports(file: Path) -> set[str]:
    """Modules of ours that a file imports; `from features import nightly` counts as `features.nightly`."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inside if (ROOT / (name.replace(".", "/") + ".py")).is_file()}
            found |= modules or {node.module}
    return {name for name in found if name.split(".")[0] in PACKAGES}


def module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("file", FILES, ids=module)
def test_imports_flow_one_way(file: Path) -> None:
    allowed = MAY_IMPORT[module(file).split(".")[0]] | ALSO.get(module(file), set())
    for name in imports(file):
        assert any(name == inner or name.startswith(inner + ".") for inner in allowed), (
            f"{module(file)} imports {name}"
        )


@pytest.mark.parametrize("name", WITHIN_FEATURES)
def test_inside_features_each_room_sees_only_what_it_stands_on(name: str) -> None:
    assert imports(ROOT / (name.replace(".", "/") + ".py")) <= WITHIN_FEATURES[name]


@pytest.mark.parametrize("file", VIEWS, ids=module)
def test_a_view_sees_features_rows_and_other_views(file: Path) -> None:
    views = {module(view) for view in VIEWS}
    assert imports(file) <= {"features.feature", "features.rows"} | views


def test_only_the_timeline_compares_timestamps() -> None:
    clocks = re.compile(
        r"(happened_at|known_at|superseded_at|as_of)\w*\)?\s*[<>]|[<>]=?\s*\w*\.?(happened_at|known_at|as_of)\b"
    )
    allowed = {
        "features/timeline.py",
        "features/contract.py",
    }  # the contract compares the two clocks of one row
    for file in sorted((ROOT / "features").rglob("*.py")) + sorted((ROOT / "training").rglob("*.py")):
        if str(file.relative_to(ROOT)) not in allowed:
            assert not clocks.search(file.read_text()), file


def test_only_the_registry_knows_the_model_registry() -> None:
    for file in FILES:
        if module(file) != "training.registry":
            assert "MlflowClient" not in file.read_text(), file


@pytest.mark.parametrize("file", FILES, ids=module)
def test_no_pickle_no_eval_no_shell(file: Path) -> None:
    tree = ast.parse(file.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | _plain_imports(tree)
    assert not names & {"pickle", "cloudpickle", "joblib", "dill", "eval", "exec", "skops"}
    assert "shell=True" not in file.read_text()


def _plain_imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def test_every_file_says_what_it_is_for() -> None:
    for file in FILES:
        if file.name != "__init__.py" or file.read_text().strip():
            assert ast.get_docstring(ast.parse(file.read_text())), file


@pytest.mark.parametrize("file", FILES, ids=module)
def test_what_is_exported_exists(file: Path) -> None:
    """`__all__` is a table of contents: sorted by the linter, and without ghosts."""
    tree = ast.parse(file.read_text())
    listed = [
        ast.literal_eval(n.value)
        for n in tree.body
        if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "__all__"
    ]
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        names = [name for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        defined |= {name.id for name in names}
        if isinstance(node, ast.ImportFrom):
            defined |= {alias.asname or alias.name for alias in node.names}
    for contents in listed:
        assert set(contents) <= defined, set(contents) - defined


def test_no_vague_names() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
    assert not [file for file in FILES if file.stem in vague]
