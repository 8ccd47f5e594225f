"""What is installed is what was meant: floors and why, one bill of materials, no code in data."""

import ast
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.supply.sbom import made

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROW = re.compile(r"^\| ([a-z0-9-]+) \| ([0-9.]+) \| (.*(?:CVE|GHSA)-.*) \|$")
FLOORS = {m[1]: Version(m[2]) for line in (ROOT / "docs/dependencies.md").read_text().splitlines() if (m := ROW.match(line))}  # fmt: skip
PACKAGES = ("features", "training", "serving", "worlds")
FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
# Files that Python runs at every start: those of the environment and of our own installation in it.
STARTS = re.compile(
    r"^(distutils-precedence|_virtualenv|__editable__\.car_propensity-.*|easy-install|matplotlib-.*-nspkg)\.pth$"
)
CODE_FROM_DATA = {"pickle.load", "pickle.loads", "joblib.load", "cloudpickle.load", "cloudpickle.loads", "marshal.loads", "shelve.open",
                  "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle", "numpy.fromregex", "dill.load", "dill.loads",
                  "os.system", "os.popen", "pd.read_pickle", "ssl._create_unverified_context"}  # fmt: skip


def declared() -> dict[str, Requirement]:
    lines = [
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    ]
    return {canonicalize_name(found.name): found for found in map(Requirement, lines)}


PINNED = re.compile(
    r"^([a-z0-9._-]+)==([^\s;]+)(?: ; [^\\]+?)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.MULTILINE
)
LISTS = ("constraints.txt", "serving/requirements.txt", "worlds/data-packages.txt")


def pinned(file: str = "constraints.txt") -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for name, version, _ in PINNED.findall((ROOT / file).read_text()):
        found.setdefault(canonicalize_name(name), []).append(Version(version))
    return found


def floor(wanted: Requirement) -> Version:
    return max(Version(one.version) for one in wanted.specifier if one.operator in (">=", "==", "~="))


def test_the_table_of_floors_is_read_whole() -> None:
    rows = [
        line for line in (ROOT / "docs/dependencies.md").read_text().splitlines() if line.startswith("| ")
    ]
    assert len(FLOORS) == len(rows) - 2 >= 10


@pytest.mark.parametrize("name", FLOORS)
def test_a_floor_answers_what_is_known_to_be_wrong_below_it(name: str) -> None:
    if wanted := declared().get(name):
        assert floor(wanted) >= FLOORS[name], f"pyproject.toml allows {wanted}"
    for version in pinned().get(name, []):
        assert version >= FLOORS[name], f"constraints.txt pins {version}"
    assert name in declared() or name in pinned(), f"nothing brings {name} any more: take its row out"


def test_every_dependency_has_a_floor() -> None:
    for name, wanted in declared().items():
        assert name == "car-propensity" or any(
            one.operator in (">=", "~=", "==") for one in wanted.specifier
        ), name


@pytest.mark.parametrize("file", LISTS)
def test_what_is_pinned_has_hashes_and_names_no_address(file: str) -> None:
    said = (ROOT / file).read_text()
    assert PINNED.sub("", said) == "", "nothing else stands there"
    assert len(pinned(file)) >= 3


def test_every_installed_package_is_pinned() -> None:
    versions = pinned() | pinned("worlds/data-packages.txt")
    for one in distributions():
        name = canonicalize_name(one.name)
        if name != "car-propensity":
            assert Version(one.version) in versions.get(name, []), f"{name}: run `make constraints`"


def test_the_image_has_the_versions_of_our_tests() -> None:
    versions = pinned()
    for name, those in pinned("serving/requirements.txt").items():
        assert set(those) <= set(versions[name]), f"{name}: run `make constraints`"


def test_only_files_whose_hash_is_known_are_installed() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = re.findall(r"(?:\$\$install|pip install -q) ([^&|\n]+-(?:r|e) [^&|\n]*)", makefile)
    assert len(installs) == 4
    for words in installs:
        assert "--require-hashes" in words or words.strip() == "--no-deps --no-build-isolation -e .", words


@pytest.mark.slow
def test_the_question_for_advisories_fails_when_nobody_answers() -> None:
    nowhere = os.environ | {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    asked = subprocess.run(
        ["make", "-s", "advisories"], cwd=ROOT, env=nowhere, capture_output=True, text=True, check=False
    )
    assert asked.returncode != 0
    assert "No known vulnerabilities" not in asked.stdout + asked.stderr


def test_nothing_runs_at_every_start_of_python_but_what_is_known() -> None:
    there = {file.name for file in Path(sysconfig.get_path("purelib")).glob("*.pth")}
    assert {name for name in there if not STARTS.match(name)} == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_code_comes_out_of_data(file: Path) -> None:
    tree = ast.parse(file.read_text())
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & CODE_FROM_DATA
    given = {
        (word.arg, ast.unparse(word.value))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for word in node.keywords
    }
    assert not given & {("shell", "True"), ("verify", "False"), ("allow_pickle", "True")}


def test_what_a_worker_loads_unpickles_nothing() -> None:
    """Over the import graph: no module of ours that a worker reaches imports a module whose purpose is to make code of data."""
    reached, waiting = set[str](), ["serving.service"]
    while waiting:
        name = waiting.pop()
        file = next((f for f in (ROOT / f"{name.replace('.', '/')}.py", ROOT / name.replace(".", "/") / "__init__.py") if f.is_file()), None)  # fmt: skip
        if name in reached or file is None:
            continue
        reached.add(name)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    assert {"serving.desk.desk", "serving.trees.text", "features.nightly", "training.copies"} <= reached
    for name in reached:
        place = ROOT / name.replace(".", "/")
        source = (place / "__init__.py" if place.is_dir() else place.with_suffix(".py")).read_text()
        assert not re.search(
            r"^\s*(import|from) (pickle|joblib|cloudpickle|dill|marshal|shelve|skops|yaml)\b",
            source,
            re.MULTILINE,
        ), name


@pytest.mark.slow
def test_the_bill_of_materials_is_valid_whole_and_names_no_registry(tmp_path: Path) -> None:
    bill = made(tmp_path / "sbom.json")
    said = (tmp_path / "sbom.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(said) is None
    listed = {canonicalize_name(part["name"]) for part in bill["components"]}  # type: ignore[attr-defined]
    assert {canonicalize_name(one.name) for one in distributions()} - {"car-propensity"} <= listed
    assert set(re.findall(r"\w+://[^/\"\s]+", said)) == {"http://cyclonedx.org"}, (
        "but for the form's own, no host"
    )
    assert not re.search(r"py(pi\.|thonhosted)|/simple/|file:|" + re.escape(sys.prefix), said)
