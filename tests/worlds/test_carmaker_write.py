"""Writing a world: one content whatever the processes, nothing foreign harmed, nothing half-done left behind."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.sources import CANONICAL
from tests.worlds.conftest import MESSY
from worlds.carmaker.__main__ import app
from worlds.carmaker.block import part, write_block
from worlds.carmaker.plots import PICTURES, draw
from worlds.carmaker.sanity import figures
from worlds.carmaker.world import Mess, World
from worlds.carmaker.write import NotOursError, read_world, write_world

SMALL = World(customers=300, seed=1)


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    return result.exit_code, result.output


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_same_seed_same_files_with_one_process_or_two(messy: Path, tmp_path: Path) -> None:
    write_world(MESSY, tmp_path / "again", threads=2)
    first, again = content(messy), content(tmp_path / "again")
    assert first.keys() == again.keys()
    assert [name for name in first if first[name] != again[name]] == []


def test_a_block_does_not_depend_on_those_before_it(messy: Path, tmp_path: Path) -> None:
    write_block(MESSY, 1, tmp_path)
    for name in CANONICAL:
        assert part(tmp_path, name, 1).read_bytes() == part(messy, name, 1).read_bytes(), name


def test_customers_are_sorted_across_parts(messy: Path) -> None:
    for name in CANONICAL:
        first, second = (
            pq.read_table(part(messy, name, block))["customer_id"].to_pylist() for block in (0, 1)
        )
        assert max(first) < min(second), name


def test_another_seed_is_another_world(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_block(World(customers=300, seed=seed), 0, tmp_path / str(seed))
    one, two = (pq.read_table(part(tmp_path / seed, "touchpoints", 0)) for seed in ("1", "2"))
    assert not one.equals(two)


def test_an_earlier_world_is_replaced_and_nothing_else_is_left_beside_it(tmp_path: Path) -> None:
    for customers in (300, 200):
        write_world(World(customers=customers), tmp_path / "world", threads=1)
    assert read_world(tmp_path / "world").customers == 200
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_a_foreign_folder_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "world.json").write_text("[1]")
    with pytest.raises(NotOursError, match="not empty"):
        write_world(SMALL, tmp_path, threads=1)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_failure_leaves_the_old_world_and_no_debris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_world(SMALL, tmp_path / "world", threads=1)
    before = content(tmp_path / "world")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("worlds.carmaker.write.write_block", fail)
    with pytest.raises(OSError, match="disk full"):
        write_world(World(customers=200), tmp_path / "world", threads=1)
    assert content(tmp_path / "world") == before
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


def test_settings_survive_the_world_file(tmp_path: Path) -> None:
    world = World(customers=200, seed=9, years=1, campaign=False, mess=Mess(late=False))
    write_world(world, tmp_path / "world", threads=1)
    assert read_world(tmp_path / "world") == world
    assert not (tmp_path / "world" / "truth" / "campaign").exists()


def test_the_command_writes_reports_and_says_invented(tmp_path: Path) -> None:
    code, output = run(
        "--customers",
        "300",
        "--to",
        str(tmp_path / "world"),
        "--no-sanity",
        "--without",
        "late",
        "--without",
        "leaks",
    )
    assert code == 0, output
    assert "invented carmaker" in output
    told = json.loads((tmp_path / "world" / "world.json").read_text())
    assert told["settings"]["mess"] == {
        name: name not in {"late", "leaks"} for name in told["settings"]["mess"]
    }


@pytest.mark.parametrize(("arguments", "hint"), [
    (["--customers", "0"], "at least 1"),
    (["--years", "0"], "between 1 and 10"),
    (["--seed", "-1"], "not be negative"),
    (["--drift-from", "2030-01-01"], "outside the history"),
    (["--without", "hope"], "no such kind of mess: hope; there are late"),
    (["--start", "yesterday"], "yesterday"),
    (["--threads", "0"], "threads"),
])  # fmt: skip
def test_bad_arguments_are_explained(tmp_path: Path, arguments: list[str], hint: str) -> None:
    code, output = run("--to", str(tmp_path / "world"), *arguments)
    assert code != 0
    assert hint in output
    assert list(tmp_path.iterdir()) == []


def test_the_sanity_table_is_plausible_on_a_messy_world(messy: Path) -> None:
    found = figures(messy)
    assert len(found) > 25
    # A small world scatters: a figure may lie a little outside its band.
    strange = [f"{f.name}: {f.value:.3f}" for f in found if not 0.75 * f.low <= f.value <= 1.25 * f.high]
    assert strange == []


def test_pictures_are_drawn(messy: Path, tmp_path: Path) -> None:
    files = draw(messy, tmp_path)
    assert [file.stem for file in files] == list(PICTURES)
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
