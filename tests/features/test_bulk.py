"""Rows of many moments over arrays are the planner's rows to the bit, and the oracle's; where they cannot be had that
way the planner gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import bulk
from features.bulk import over_arrays, rows_of, table_of
from features.feature import Feature
from features.feature_set import FEATURES
from features.sources import CANONICAL
from features.warehouse import Warehouse, connect
from tests.features.compiled import EVERY
from tests.features.histories import DATES, World, arrow, moments, moments_table, random_world
from tests.features.test_live import compiled, same_bits
from tests.features.test_oracle import agree
from tests.oracle import Moment, expected, index

ALL = list(FEATURES.values())
PEOPLE = [f"c{n:05d}" for n in range(40)]
EVERYONE = [(who, date) for who in PEOPLE for date in DATES]
Pairs = Sequence[tuple[str, datetime]]


def written(world: World, folder: Path, rows_per_group: int = 40, *, parts: int = 2) -> Warehouse:
    """The world as a folder like the loader's: sorted by customer, in parts, in small row groups."""
    for name, rows in world.items():
        (folder / name).mkdir(parents=True)
        table = arrow(name, rows).sort_by([("customer_id", "ascending"), ("happened_at", "ascending")])
        for part in range(parts):
            begin, end = (len(table) * n // parts for n in (part, part + 1))
            file = folder / name / f"part-{part}.parquet"
            pq.write_table(table.slice(begin, end - begin), file, row_group_size=rows_per_group)
    return connect(str(folder))


@pytest.fixture(scope="module")
def world() -> World:
    return random_world(31, len(PEOPLE))


@pytest.fixture(scope="module")
def held(world: World, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return written(world, tmp_path_factory.mktemp("bulk") / "warehouse")


def by_arrays(warehouse: Warehouse, features: Sequence[Feature] = ALL) -> bool:
    return over_arrays(moments(EVERYONE[:1]), warehouse, features) is not None


def assert_as_planned(pairs: Pairs, held: Warehouse, world: World) -> None:
    assert by_arrays(held)
    found = pa.Table.from_batches(rows_of(moments(pairs), held, ALL, EVERY))
    wanted = compiled().rows(moments_table(pairs), {name: arrow(name, rows) for name, rows in world.items()})
    wanted = wanted.sort_by([("customer_id", "ascending"), ("as_of", "ascending")])
    assert found.schema.equals(wanted.schema)
    assert [name for name in wanted.column_names if not same_bits(found[name], wanted[name])] == []


@pytest.mark.parametrize(("rows", "most"), [(100_000, 20_000), (60, 20_000), (100_000, 7), (1, 1)])
def test_any_pieces_are_the_planner_s_rows(
    held: Warehouse, world: World, monkeypatch: pytest.MonkeyPatch, rows: int, most: int
) -> None:
    monkeypatch.setattr(bulk, "ROWS_PER_PIECE", rows)
    monkeypatch.setattr(bulk, "MOMENTS_PER_PIECE", most)
    assert_as_planned(EVERYONE, held, world)


@pytest.mark.parametrize(
    "pairs",
    [
        [(who, DATES[3]) for who in PEOPLE],
        [(who, DATES[n % 10]) for n, who in enumerate(PEOPLE)],
        [(who, date) for n, who in enumerate(PEOPLE) for date in DATES[n % 7 : n % 7 + 1 + n % 4]],
        [("A", DATES[0]), (PEOPLE[7], DATES[5]), (PEOPLE[7], DATES[6]), ("zz", DATES[9])],
        [("nobody", DATES[0])],
    ],
    ids=["one date", "a date each", "some dates each", "few and strangers", "nobody"],
)
def test_any_moments_are_the_planner_s_rows(held: Warehouse, world: World, pairs: Pairs) -> None:
    assert_as_planned(pairs, held, world)


def test_they_are_the_oracle_s(held: Warehouse, world: World) -> None:
    rows, wrong = index(world), []
    for row in table_of(moments(EVERYONE), held, ALL).to_pylist():
        for name, wanted in expected(Moment(row["customer_id"], row["as_of"], rows)).items():
            if not agree(row[name], wanted):
                wrong.append(
                    f"{name} of {row['customer_id']} at {row['as_of']}: {row[name]!r} instead of {wanted!r}"
                )
    assert wrong == []


def test_some_features_and_no_moments(held: Warehouse) -> None:
    some = [FEATURES[name] for name in ("orders_90d", "tier", "days_since_order")]
    found = table_of(moments(EVERYONE[:30]), held, some)
    assert found.column_names == ["customer_id", "as_of", *(feature.name for feature in some)]
    assert table_of(moments([("nobody", DATES[0])]).limit(0), held, some).schema.equals(found.schema)


def spoilt(world: World, folder: Path, change: Mapping[str, pa.Table]) -> Warehouse:
    written(world, folder)
    for name, table in change.items():
        for old in (folder / name).glob("*.parquet"):
            old.unlink()
        pq.write_table(table, folder / name / "part-0.parquet")
    return connect(str(folder))


def test_where_files_are_not_in_order_or_not_as_declared_the_planner_is_asked(
    world: World, held: Warehouse, tmp_path: Path
) -> None:
    orders = arrow("orders", world["orders"])
    wide = orders.set_column(
        orders.column_names.index("customer_id"), "customer_id", orders["customer_id"].cast(pa.large_string())
    )
    upside_down = orders.sort_by([("customer_id", "descending")])
    wanted = table_of(moments(EVERYONE), held, [FEATURES["orders_90d"]])
    for n, table in enumerate((upside_down, wide.sort_by("customer_id"))):
        other = spoilt(world, tmp_path / str(n), {"orders": table})
        assert not by_arrays(other, [FEATURES["orders_90d"]])
        assert by_arrays(other, [FEATURES["touchpoints_90d"]])
        assert table_of(moments(EVERYONE), other, [FEATURES["orders_90d"]]).equals(wanted)


def test_a_table_that_is_not_the_files_any_more_is_asked_of_the_engine(held: Warehouse) -> None:
    fewer = replace(held, tables={**held.tables, "orders": held.tables["orders"].limit(0)})
    assert not by_arrays(fewer)
    assert set(table_of(moments(EVERYONE), fewer, [FEATURES["orders_90d"]])["orders_90d"].to_pylist()) == {0}


def test_an_optional_column_that_no_file_holds(world: World, tmp_path: Path) -> None:
    assert CANONICAL["touchpoints"]["campaign"].optional
    without = arrow("touchpoints", world["touchpoints"]).sort_by("customer_id").drop_columns("campaign")
    other = spoilt(world, tmp_path / "without", {"touchpoints": without})
    assert by_arrays(other)
    campaigns = [FEATURES["touchpoint_campaigns_180d"]]
    assert set(table_of(moments(EVERYONE), other, campaigns)["touchpoint_campaigns_180d"].to_pylist()) == {0}
