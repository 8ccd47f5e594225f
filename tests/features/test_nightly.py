"""Nightly rows: everyone, sorted, found by customer, never rewritten."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import features
from features import bulk, cohorts, nightly, state
from features.begun import Begun
from features.delivery import Delivery
from features.errors import BadData, NoWarehouse, RunInProgress, UnknownMoment
from features.incremental import Night
from features.load import load
from features.lock import held
from features.planner import needs_for
from features.sources import CANONICAL
from features.warehouse import LATE, connect, in_memory
from tests.shop import END, customers_and_orders

WAREHOUSE = in_memory(customers_and_orders(300), {})
NAMED = replace(WAREHOUSE, digest="what it holds")
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


def test_a_date_that_the_events_have_not_come_to_is_refused_and_leaves_nothing() -> None:
    warehouse = replace(WAREHOUSE, complete_until={"orders": END, "customers": END - DAY})
    assert len(nightly.materialise(warehouse, END + LATE, Path("a few days on")))
    with pytest.raises(UnknownMoment, match=f"has not come .* complete until {END:%Y-%m-%d}"):
        nightly.materialise(warehouse, END + LATE + DAY, Path("rows"))
    assert not Path("rows").exists()


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
    monkeypatch.setattr(nightly, "ROWS_PER_BATCH", 64)
    nightly.materialise(NAMED, END - DAY, Path("rows"))
    with monkeypatch.context() as broken:
        broken.setattr(f"features.{step}", _after_one_piece if "followed" in step else _broken_off)
        with pytest.raises(KeyboardInterrupt):
            nightly.materialise(NAMED, END, Path("rows"), customers_per_piece=100)
    assert nightly.latest(Path("rows")).as_of == END - DAY
    resumed = nightly.materialise(NAMED, END, Path("rows"), customers_per_piece=100)
    assert resumed.table().equals(nightly.materialise(NAMED, END, Path("others")).table())
    assert not list(Path("rows").glob(".*"))


@pytest.mark.parametrize("incremental", [True, False])
def test_pieces_that_are_done_are_not_done_again(
    incremental: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of rows are counted as they are made, and pieces of needs; together they are those of a night that never broke off."""
    load(
        [Delivery(CANONICAL[name], name, table) for name, table in customers_and_orders(300).items()],
        tmp_path / "held",
        complete_until=dict.fromkeys(CANONICAL, END),
        delivered_at=END,
    )
    warehouse, folder = connect(str(tmp_path / "held")), tmp_path / "rows"
    monkeypatch.setattr(nightly, "ROWS_PER_BATCH", 64)
    monkeypatch.setattr(bulk, "MOMENTS_PER_PIECE", 32)
    whole = nightly.materialise(warehouse, END, tmp_path / "whole", incremental=incremental).table()
    made: list[str] = []
    for owner, name in ((Begun, "_block"), (Night, "_measure")):
        monkeypatch.setattr(owner, name, _counting(getattr(owner, name), made))
    breaks = 0
    while True:
        try:
            rows = nightly.materialise(
                warehouse, END, folder, incremental=incremental, customers_per_piece=100
            )
            break
        except KeyboardInterrupt:
            breaks += 1
    groups = len(list((tmp_path / "whole").glob("needs-*/*/")))
    assert rows.table().equals(whole)
    assert breaks >= 1
    assert made.count("_block") == 5
    # A piece's groups count together: those of a piece that broke off are measured again.
    assert made.count("_measure") <= 3 * groups + breaks * groups
    assert [len(batch) for batch in rows.batches] == [64, 64, 64, 64, 44]


def _counting(real: Callable[..., Any], made: list[str]) -> Callable[..., Any]:
    """The real thing, counted; every fourth time the night dies after it."""

    def counted(*given: Any) -> Any:
        found = real(*given)
        made.append(real.__name__)
        if len(made) % 4 == 0 and len(made) < 60:
            raise KeyboardInterrupt
        return found

    return counted


def test_another_date_or_delivery_does_not_go_on_with_what_was_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(nightly, "point", _broken_off)
        with pytest.raises(KeyboardInterrupt):
            nightly.materialise(NAMED, END, Path("rows"))
    for another, as_of in ((NAMED, END - DAY), (replace(NAMED, digest="another"), END)):
        made = nightly.materialise(another, as_of, Path("rows"))
        assert made.as_of == as_of
        assert not list(Path("rows").glob(".*"))


def test_who_comes_second_leaves_naming_the_holder() -> None:
    with held(Path("rows")), pytest.raises(RunInProgress, match=rf"process {os.getpid()} "):
        nightly.materialise(WAREHOUSE, END, Path("rows"))


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
    assert not list(Path("rows").glob(".night-*"))


def test_what_was_left_behind_goes() -> None:
    rows = Path("rows")
    for folder in (".needs-killed", "needs-orphan", ".night-killed"):
        (rows / folder).mkdir(parents=True)
    (rows / ".rows-killed.arrow").touch()
    made = nightly.materialise(WAREHOUSE, END, rows)
    names = sorted(path.name.split("-")[0] for path in rows.iterdir())
    assert names == ["CURRENT", "LOCK", "needs", "rows"]
    assert len(made) == 300
