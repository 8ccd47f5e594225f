"""The bento: what it installs is what serving needs, within the bounds of the project."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def required(lines: list[str]) -> dict[str, Requirement]:
    return {found.name: found for found in map(Requirement, lines)}


WANTED = required(
    [
        line
        for line in (ROOT / "serving/requirements.in").read_text().splitlines()
        if line and not line.startswith("#")
    ]
)


def test_its_bounds_are_those_of_the_project() -> None:
    ours = required([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["jwt"]])
    brought = {"pyarrow-hotfix"}  # what Ibis' extra for DuckDB names beside pandas
    assert brought == WANTED.keys() - ours.keys()
    for name in WANTED.keys() & ours.keys():
        assert WANTED[name].specifier == ours[name].specifier, name
    extra = required([line for line in requires("ibis-framework") or [] if "extra == 'duckdb'" in line])
    assert extra.keys() - {"pandas", "numpy", "packaging"} <= WANTED.keys()
    assert WANTED["pyarrow-hotfix"].specifier == extra["pyarrow-hotfix"].specifier


def test_it_leaves_out_what_training_needs() -> None:
    left_out = {"pandas", "scikit-learn", "mlflow", "matplotlib", "optuna"}
    assert left_out <= required(PROJECT["dependencies"]).keys()
    assert WANTED.keys().isdisjoint(left_out)


def test_it_is_made_of_our_code() -> None:
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    assert bento["service"] == "serving.service:Propensity"
    assert bento["python"] == {"requirements_txt": "serving/requirements.txt"}
    assert bento["include"] == ["/features/", "/training/", "/serving/"]
    assert {one["name"]: one["value"] for one in bento["envs"]}["PROPENSITY_FOLLOW_S"] == "0"
    assert re.fullmatch(r">=(3\.\d+)", PROJECT["requires-python"])[1] == bento["docker"]["python_version"]  # type: ignore[index]
