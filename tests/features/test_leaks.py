"""Hunts by form: what is noted after its date is caught, what was agreed beforehand is not."""

from datetime import datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.attributes import columns_at, offered
from features.delivery import Delivery
from features.errors import BadData
from features.leaks import hunts_of_form, rewritten, undated, unique, written_after
from features.load import load
from features.sources import CANONICAL
from features.warehouse import connect
from tests.shop import END, customers_and_orders
from tests.worlds.test_motor import portfolio
from worlds import motor

START = np.datetime64("2022-01-01", "us")
DAY = np.timedelta64(1, "D")
DAYS = 1_000
N = 4_000
DATA_END = datetime(2024, 9, 27)  # 1,000 days later


def known(generator: np.random.Generator) -> np.ndarray:
    return START + np.sort(generator.integers(0, DAYS, N)) * DAY


def table(**columns: object) -> pa.Table:
    return pa.table({"customer_id": [f"c{n % 900}" for n in range(N)], **columns})


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ahead_days", [(14, 15), (1, 90), (300, 400), (1095, 1096)])
def test_ends_agreed_beforehand_are_not_accused(seed: int, ahead_days: tuple[int, int]) -> None:
    """Coupons of a fortnight, warranties of years: they reach beyond the end of the data."""
    generator = np.random.default_rng(seed)
    at = known(generator)
    ends = table(known_at=at, ends_at=at + generator.integers(*ahead_days, N) * DAY)
    assert written_after("coupons", ends, DATA_END) == []


@pytest.mark.parametrize("seed", range(5))
def test_points_that_all_lapse_at_the_end_of_a_year_are_not_accused(seed: int) -> None:
    at = known(np.random.default_rng(seed))
    lapse = (at.astype("datetime64[Y]") + 2).astype("datetime64[us]")
    assert written_after("points", table(known_at=at, lapses_at=lapse), DATA_END) == []


@pytest.mark.parametrize("seed", range(5))
def test_times_before_known_at_are_not_accused(seed: int) -> None:
    generator = np.random.default_rng(seed)
    at = known(generator)
    assert written_after("orders", table(known_at=at, asked_at=at - generator.integers(0, 50, N) * DAY)) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [1.0, 0.2])
def test_rows_dated_back_are_caught_by_when_they_were_written(seed: int, share: float) -> None:
    """None is written after the end of the data, however near to it its date lies."""
    generator = np.random.default_rng(seed)
    written = known(generator)
    back = np.where(generator.random(N) < share, generator.integers(5, 60, N), 0) * DAY
    (accused,) = written_after("notes", table(known_at=written - back, written_at=written), DATA_END)
    assert (accused.table, accused.column) == ("notes", "written_at")
    assert "written after the known_at" in accused.reason


def test_a_table_without_history_is_refused_whole_and_one_with_it_is_not() -> None:
    assert [a.column for a in undated("t", table(tier=["gold"] * N, orders=[1] * N))] == ["tier", "orders"]
    assert undated("t", table(known_at=known(np.random.default_rng(1)), tier=["gold"] * N)) == []


@pytest.mark.parametrize("leak", motor.LEAKS)
def test_what_an_insurer_knew_at_the_extraction_is_refused(leak: str, tmp_path: Path) -> None:
    contracts = pa.Table.from_pandas(pd.read_parquet(portfolio()))
    asked = contracts.rename_columns([{"id": "customer_id"}.get(n, n) for n in contracts.column_names])
    assert leak in [accused.column for accused in undated("portfolio", asked)]


def test_identifiers_are_refused_and_words_are_not() -> None:
    words = [["red", "blue"][n % 2] for n in range(N)]
    named = table(
        phone=[f"+{n}" for n in range(N)], colour=words, row_id=[str(n) for n in range(N)], cents=range(N)
    )
    assert [a.column for a in unique("t", named)] == ["phone"], "keys and amounts are unique by nature"


def deliveries(closed: datetime, **changed: object) -> list[str]:
    """Columns accused between a delivery of notes known before `closed`, and a later one of all of them."""
    at = known(np.random.default_rng(3))
    rows = {"note_id": [f"n{n}" for n in range(N)], "known_at": at, "rating": np.arange(N) % 5}
    now, engine = table(**rows), ibis.duckdb.connect()
    before = now.filter(pa.array(at < np.datetime64(closed)))
    later = now if not changed else table(**(rows | changed))
    held = engine.create_table("before", before), engine.create_table("later", later)
    return [accused.column for accused in rewritten("notes", *held, "note_id", closed)]


CLOSED = datetime(2024, 1, 1)


def test_an_honest_second_delivery_is_not_accused() -> None:
    assert deliveries(CLOSED) == []


def test_a_few_mended_rows_are_not_accused() -> None:
    assert deliveries(CLOSED, rating=np.where(np.arange(N) < 15, 0, np.arange(N) % 5)) == []


def test_values_that_change_under_the_same_date_are_accused() -> None:
    assert deliveries(CLOSED, rating=(np.arange(N) % 5) + (np.arange(N) < 500)) == ["rating"]


def test_rows_that_appear_later_though_dated_earlier_are_accused() -> None:
    at = known(np.random.default_rng(3))
    assert deliveries(CLOSED, known_at=np.where(np.arange(N) % 4 == 0, at - 400 * DAY, at)) == ["known_at"]


def test_two_loads_of_one_warehouse_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """An honest load brings new rows; one that rewrites amounts under the same date is caught."""
    tables = customers_and_orders(200)
    half = END - timedelta(days=300)

    def loaded(**orders: pa.Array) -> list[str]:
        rows = tables["orders"]
        for name, values in orders.items():
            rows = rows.set_column(rows.column_names.index(name), name, values)
        for until in (half, END):
            given = {"customers": tables["customers"], "orders": rows if until == END else tables["orders"]}
            some = {
                n: t.filter(pa.array(t["known_at"].to_numpy() < np.datetime64(until)))
                for n, t in given.items()
            }
            made = [Delivery(CANONICAL[n], n, t) for n, t in some.items()]
            load(
                made,
                Path("var/warehouse"),
                complete_until=dict.fromkeys(CANONICAL, until),
                delivered_at=until,
                allow=["orders.history"],  # the second round begins with half of the rows again
            )
        (*_, last) = hunts_of_form(connect(), [])
        assert last.columns > 0
        return [accused.column for accused in last.accused]

    assert loaded() == []
    assert loaded(amount_cents=pa.array(range(len(tables["orders"])))) == ["amount_cents"]


def test_tables_are_read_from_files_parts_and_folders(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for part in (0, 1):
        rows = pa.table({"customer_id": [f"c{part}"], "rating": [part]})
        pq.write_table(rows, tmp_path / "notes" / f"part-{part}.parquet")
    (tmp_path / "today.csv").write_text("customer_id,tier\nc1,gold\n")
    assert {name: len(rows) for name, rows in offered([tmp_path]).items()} == {"notes": 2, "today": 1}
    assert list(offered([tmp_path / "notes"])) == ["notes"]
    (tmp_path / "nobody.csv").write_text("tier\ngold\n")
    with pytest.raises(BadData, match="customer_id"):
        offered([tmp_path])
    with pytest.raises(BadData, match="no Parquet or CSV"):
        offered([tmp_path / "nowhere"])


def test_columns_of_a_dated_table_see_only_what_it_says_was_known() -> None:
    at = [datetime(2024, 1, 1), datetime(2024, 2, 1), datetime(2024, 3, 1)]
    notes = pa.table({"customer_id": ["a"] * 3, "known_at": at, "rating": [5, 1, 3], "kind": ["x", "y", "x"]})
    moments = pd.DataFrame(
        {"customer_id": ["b", "a", "a"], "as_of": [datetime(2024, 2, 15), datetime(2024, 2, 15), at[0]]},
        index=[7, 3, 5],
    )
    found = columns_at(notes, moments)
    assert found.index.tolist() == [7, 3, 5]
    assert found["rows"].fillna(0).tolist() == [0, 2, 0]
    assert found.loc[
        3, ["rating, latest", "rating, greatest in 30 days", "rating, greatest in 90 days"]
    ].tolist() == [1, 1, 5]
    assert columns_at(notes, moments, days_earlier=20).loc[3, "rows"] == 1
