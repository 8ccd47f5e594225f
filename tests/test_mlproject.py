"""The MLflow project and the commands are one: names, parameters, types, defaults, and what a wrong call says."""

import shlex
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import click
import pytest
import typer
from mlflow.projects._project_spec import load_project
from typer.testing import CliRunner

ROOT = Path(__file__).parent.parent
PROJECT = load_project(str(ROOT))
NEEDED = {"main", "features", "train", "tune", "evaluate", "promote", "monitor", "score"}
SECOND_NAMES = {"main": "demo", "features": "nightly", "score": "batch"}


def command_of(entry_point: str) -> tuple[str, list[str], click.Command]:
    """The module an entry point runs, the words after it with every default filled in, and the module's command."""
    words = shlex.split(PROJECT.get_entry_point(entry_point).compute_command({}, None))
    assert words[:2] == ["python", "-m"]
    return words[2], words[3:], typer.main.get_command(import_module(words[2]).app)


def options(command: click.Command) -> dict[str, click.Parameter]:
    """By the long spelling without its dashes, which is what the command line and a project's parameter share."""
    return {max(o.opts, key=len).removeprefix("--").replace("-", "_"): o for o in command.params}


def test_the_jobs_have_entry_points_named_as_their_modules() -> None:
    assert set(PROJECT._entry_points) >= NEEDED
    for name in PROJECT._entry_points:
        assert command_of(name)[0].split(".")[-1] == SECOND_NAMES.get(name, name)


@pytest.mark.parametrize("name", sorted(SECOND_NAMES))
def test_a_second_name_is_the_same_entry_point(name: str) -> None:
    one, other = (PROJECT.get_entry_point(called) for called in (name, SECOND_NAMES[name]))
    assert one.compute_command({}, None) == other.compute_command({}, None)
    assert one.parameters.keys() == other.parameters.keys()


@pytest.mark.parametrize("name", sorted(PROJECT._entry_points))
def test_parameters_types_and_defaults_are_those_of_the_command(name: str) -> None:
    module, words, command = command_of(name)
    hints = get_type_hints(import_module(module).main)
    offered, declared = options(command), PROJECT.get_entry_point(name).parameters
    plain = {key for key, option in offered.items() if isinstance(option.default, str | int | float)}
    required = {key for key, option in offered.items() if option.required}
    switches = {key for key, option in offered.items() if isinstance(option.default, bool)}
    assert declared.keys() == (plain | required) - switches
    for key, parameter in declared.items():
        assert parameter.default is not None, "an entry point runs without parameters"
        if not offered[key].required:
            assert parameter.default == offered[key].default
        assert parameter.type == ("float" if hints[offered[key].name] in (int, float) else "string")
    with command.make_context(name, words) as context:
        assert {key for key, option in offered.items() if option.name in context.params} == offered.keys()


def test_an_option_without_a_default_goes_to_the_command_as_it_is() -> None:
    words = PROJECT.get_entry_point("train").compute_command({"held-out": "some ids.txt"}, None)
    assert words.endswith("--held-out 'some ids.txt'")


@pytest.mark.parametrize("name", sorted(PROJECT._entry_points))
def test_a_parameter_nobody_declared_is_named_and_nothing_is_done(name: str) -> None:
    module, _, _ = command_of(name)
    words = shlex.split(PROJECT.get_entry_point(name).compute_command({"nonsense": 1}, None))[3:]
    done = CliRunner().invoke(import_module(module).app, words)
    assert done.exit_code == 2
    assert "No such option: --nonsense" in done.output
    assert not Path("var").exists()


@pytest.mark.parametrize("name", ["preflight", "train", "tune"])
@pytest.mark.parametrize("amount", ["many", "12.5"])
def test_a_number_that_is_none_is_named(name: str, amount: str) -> None:
    module, _, _ = command_of(name)
    words = shlex.split(PROJECT.get_entry_point(name).compute_command({"longest_horizon": amount}, None))[3:]
    done = CliRunner().invoke(import_module(module).app, words)
    assert done.exit_code == 2
    assert "valid integer" in done.output
