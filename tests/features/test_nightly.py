"""Nightly rows: everyone, sorted, found by customer, never rewritten."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

import features
from features import cohorts, nightly, state
from features.errors import BadData, NoWarehouse
from features.planner import needs_for
from features.warehouse import in_memory
from tests.shop import END, customers_and_orders

WAREHOUSE = in_memory(customers_and_orders(300), {})
DAY = timedelta(days=1)


@pytest.mark.parametrize("customers_per_piece", [70, 1_000])
def test_rows_are_those_of_features_at_and_hold_everyone(customers_per_piece: int) -> None:
    made = nightly.materialise(WAREHOUSE, END, Path("rows"), customers_per_piece=customers_per_piece)
    moments = cohorts.everyone(WAREHOUSE, [END])
    expected = WAREHOUSE.engine.to_pyarrow(features.at(moments, WAREHOUSE).order_by("customer_id")).drop(
        ["as_of"]
    )
    assert made.table().select(expected.column_names).to_pylist() == expected.to_pylist()
    assert made.table().select(expected.column_names).schema.types == expected.schema.types
    assert len(made) == 300


def test_a_customer_is_found_and_a_stranger_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nightly, "ROWS_PER_BATCH", 64)
    made = nightly.materialise(WAREHOUSE, END, Path("rows"))
    ids = made.table()["customer_id"].to_pylist()
    assert ids == sorted(ids)
    assert len(made.batches) > 1
    asked = ["zzz", ids[299], "", ids[0], "C00010x", ids[64], ids[63]]
    assert made.find(asked)["customer_id"].to_pylist() == [ids[299], ids[0], ids[64], ids[63]]
    assert made.find(["nobody"]).num_rows == 0
    assert made.find([ids[7], ids[7], ids[2]])["customer_id"].to_pylist() == [ids[7], ids[7], ids[2]]


def test_the_pointer_moves_and_an_open_reader_keeps_its_rows() -> None:
    old = nightly.materialise(WAREHOUSE, datetime(2023, 1, 1), Path("rows"))
    before = old.table().to_pylist()
    for _ in range(3):
        nightly.materialise(WAREHOUSE, END, Path("rows"))
    assert nightly.latest(Path("rows")).as_of == END
    assert old.table().to_pylist() == before
    kept = sorted(file.stem.removeprefix("rows-") for file in Path("rows").glob("rows-*"))
    assert len(kept) == 2
    assert sorted(folder.name.removeprefix("needs-") for folder in Path("rows").glob("needs-*")) == kept


def test_a_date_before_anybody_was_known_is_refused_and_leaves_nothing() -> None:
    with pytest.raises(BadData, match="nobody is known before 2020-01-01"):
        nightly.materialise(WAREHOUSE, datetime(2020, 1, 1), Path("rows"))
    assert not Path("rows").exists()
    with pytest.raises(NoWarehouse, match=r"features\.nightly"):
        nightly.latest(Path("rows"))


def test_the_next_night_carries_over_and_gives_the_same_rows() -> None:
    first = nightly.materialise(WAREHOUSE, END - DAY, Path("rows"))
    assert first.work.why == "there are no rows before"
    carried = nightly.materialise(WAREHOUSE, END, Path("rows"), customers_per_piece=120)
    everyone = nightly.materialise(WAREHOUSE, END, Path("rows"), incremental=False)
    assert carried.table().equals(everyone.table())
    assert (carried.work.why, everyone.work.why) == ("", "it was asked for")
    assert 0 < carried.work.touched["orders"].measured < carried.work.touched["orders"].customers / 2
    assert everyone.work.touched["orders"].measured == everyone.work.touched["orders"].customers
    console = Console(width=100)
    with console.capture() as printed:
        console.print(carried.work)
    assert "orders" in printed.get()
    assert nightly.latest(Path("rows")).work == everyone.work


def test_kept_needs_are_used_only_as_they_were_kept_and_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = needs_for({"orders": lambda past: past.orders.count()})
    others = needs_for({"orders": lambda past: past.orders.count(days=7)})
    folder, engine = Path("kept"), WAREHOUSE.engine
    folder.mkdir()
    assert state.kept(folder, needs, engine) == "no needs are kept beside the rows before"
    (folder / "orders").mkdir()
    (folder / "orders" / "part-00000.parquet").write_bytes(b"content")
    state.seal(folder, END, needs, engine)
    assert state.kept(folder, needs, engine) == state.Kept(folder, END)
    assert (
        state.kept(folder, others, engine) == "the definitions of the needs kept are no longer those of today"
    )
    for name in ("SEMANTICS", "LAYOUT"):
        with monkeypatch.context() as changed:
            changed.setattr(state, name, "another")
            assert "the semantics of the needs kept" in str(state.kept(folder, needs, engine))
    (folder / "orders" / "part-00000.parquet").write_bytes(b"other content")
    assert (
        state.kept(folder, needs, engine)
        == "orders/part-00000.parquet of the needs kept is missing or altered"
    )


def test_where_nothing_can_be_kept_everyone_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    everyone = nightly.materialise(WAREHOUSE, END, Path("rows")).table()
    monkeypatch.setattr(nightly, "why_not_on", lambda _: "another engine")
    made = nightly.materialise(WAREHOUSE, END, Path("others"))
    assert made.work.why == "another engine"
    assert made.table().equals(everyone)
    assert not list(Path("others").glob("needs-*"))


@pytest.mark.parametrize("step", ["incremental.followed", "nightly.followed", "nightly.point"])
def test_a_night_that_breaks_off_leaves_the_rows_before(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces whose needs are measured, two whose rows are written, and at the end."""
    nightly.materialise(WAREHOUSE, END - DAY, Path("rows"))
    with monkeypatch.context() as broken:
        broken.setattr(f"features.{step}", _after_one_piece if "followed" in step else _broken_off)
        with pytest.raises(KeyboardInterrupt):
            nightly.materialise(WAREHOUSE, END, Path("rows"), customers_per_piece=100)
    assert nightly.latest(Path("rows")).as_of == END - DAY
    assert not list(Path("rows").glob(".*"))


def _after_one_piece(blocks: Iterable[object], *_: object) -> Iterator[object]:
    yield next(iter(blocks))
    raise KeyboardInterrupt


def _broken_off(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_killed_night_leaves_the_rows_before() -> None:
    nightly.materialise(WAREHOUSE, END - DAY, Path("rows"))
    program = """
import os, signal
from pathlib import Path
from features import nightly
from features.warehouse import in_memory
from tests.shop import END, customers_and_orders
nightly.point = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
nightly.materialise(in_memory(customers_and_orders(300), {}), END, Path("rows"))
"""
    root = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", program], env=root, check=False).returncode == -9
    assert nightly.latest(Path("rows")).as_of == END - DAY
    assert len(list(Path("rows").glob("needs-*"))) == 2
    assert nightly.materialise(WAREHOUSE, END, Path("rows")).work.why == ""


def test_what_was_left_behind_goes_after_a_day() -> None:
    rows = Path("rows")
    (rows / ".needs-killed").mkdir(parents=True)
    (rows / "needs-orphan").mkdir()
    (rows / ".rows-killed.arrow").touch()
    (rows / ".rows-of-somebody-still-working.arrow").touch()
    yesterday = time.time() - 90_000
    for left in (".needs-killed", "needs-orphan", ".rows-killed.arrow"):
        os.utime(rows / left, (yesterday, yesterday))
    made = nightly.materialise(WAREHOUSE, END, rows)
    names = sorted(path.name.split("-")[0] for path in rows.iterdir())
    assert names == [".rows", "CURRENT", "needs", "rows"]
    assert len(made) == 300
