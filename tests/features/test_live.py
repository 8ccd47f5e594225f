"""Live rows are the batch's rows, to the bit: every feature, whatever its kind, and every cohort's answer."""

import random
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import BadData, UnknownName
from features.feature_set import FEATURES
from features.live import Live
from features.nightly import excluded_column
from features.sources import CANONICAL
from tests.carmaker import BEGIN, DAYS, loaded
from tests.features.compiled import EVERY, Arithmetic, Compiled
from tests.features.histories import DATES, Row, World, arrow, moments_table, random_world
from tests.tables import rows

ALL = list(FEATURES.values())
PEOPLE = [f"c{n:05d}" for n in range(12)]
STRANGERS = ["Z", "nobody", "顾客"]


@cache
def live() -> Live:
    return Arithmetic(CANONICAL, FEATURES)


@cache
def compiled() -> Compiled:
    return Compiled(ALL)


def posted(world: World) -> dict[str, pa.Table]:
    return {name: arrow(name, some) for name, some in world.items()}


def assert_same(moments: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
    found, wanted = live().rows(moments, tables), compiled().rows(moments, tables)
    assert found.schema.equals(wanted.schema)
    assert [name for name in wanted.column_names if not same_bits(found[name], wanted[name])] == []
    return found


def same_bits(found: pa.ChunkedArray, wanted: pa.ChunkedArray) -> bool:
    """Equal in type, length, nulls and values; of doubles every bit."""
    if not pa.types.is_float64(wanted.type):
        return found.equals(wanted)
    mine, theirs = found.combine_chunks(), wanted.combine_chunks()
    return mine.is_valid().equals(theirs.is_valid()) and (
        mine.drop_null().view(pa.int64()).equals(theirs.drop_null().view(pa.int64()))
    )


@pytest.mark.parametrize("seed", range(2))
def test_many_customers_at_many_moments(seed: int) -> None:
    world = random_world(seed, len(PEOPLE))
    answered = assert_same(
        moments_table((who, date) for who in PEOPLE + STRANGERS for date in DATES), posted(world)
    )
    assert answered.num_rows == 15 * len(DATES)


@pytest.mark.parametrize(
    "kept", [("customers", "orders"), ("touchpoints",), ("referrals", "vehicles", "visits")]
)
def test_few_tables(kept: tuple[str, ...]) -> None:
    tables = posted(random_world(3, 2))
    moments = moments_table((who, date) for who in PEOPLE[:3] for date in DATES)
    assert_same(moments, {name: tables[name] for name in kept})


@cache
def crowd() -> tuple[World, dict[tuple[str, datetime], Row]]:
    """People, and what is told of them all in one call."""
    world = random_world(4, len(PEOPLE))
    answered = live().rows(moments_table((who, date) for who in PEOPLE for date in DATES), posted(world))
    return world, {(row["customer_id"], row["as_of"]): row for row in answered.to_pylist()}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(DATES)), min_size=1, max_size=6, unique=True)
)
def test_alone_or_together(asked: list[tuple[str, datetime]]) -> None:
    """Whoever else is asked about or posted, at whatever moments, changes nothing."""
    world, told = crowd()
    who = {customer for customer, _ in asked}
    mine = {
        name: [row for row in some if row["customer_id"] in who or row.get("invitee_id") in who]
        for name, some in world.items()
    }
    found = live().rows(moments_table(asked), posted(mine)).to_pylist()
    order = sorted(asked, key=lambda pair: (pair[1], pair[0]))
    assert [repr(row) for row in found] == [repr(told[pair]) for pair in order]


def test_order_and_pieces_are_irrelevant() -> None:
    luck = random.Random(4)
    world = random_world(11, len(PEOPLE))
    pairs = [(who, date) for who in PEOPLE for date in DATES[2:6]]
    wanted = live().rows(moments_table(pairs), posted(world))
    shuffled = {name: arrow(name, luck.sample(some, len(some))) for name, some in world.items()}
    chunked = {
        name: pa.concat_tables([table.slice(0, 7), table.slice(7)]) for name, table in shuffled.items()
    }
    assert live().rows(moments_table(luck.sample(pairs, len(pairs))), chunked).equals(wanted)


def test_nobody_and_nothing_posted() -> None:
    assert assert_same(moments_table([("nobody", DATES[0])]), {}).num_rows == 1
    none = moments_table([("nobody", DATES[0])]).slice(0, 0)
    assert live().rows(none, posted(random_world(1, 3))).num_rows == 0


def test_ties_go_to_the_row_known_later_then_to_the_greater_key_in_its_bytes() -> None:
    drawn = """
    touchpoint_id customer happened    known       kind        channel
    a9            a        2024-05-02  2024-05-02  page_view   app
    B             a        2024-05-02  2024-05-02  page_view   site
    车            a        2024-05-02  2024-05-02  page_view   wecom
    z             a        2024-05-02  2024-05-02  page_view   phone
    zz            a        2024-05-02  2024-05-03  app_open    dealer
    zzz           a        2024-05-02  2024-07-03  app_open    sms
    """
    table = rows("touchpoints", drawn)
    table = table.set_column(
        table.column_names.index("initiated_by"), "initiated_by", pa.array(["customer"] * 6)
    )
    found = assert_same(moments_table([("a", datetime(2024, 6, 1))]), {"touchpoints": table})
    assert found["last_touchpoint_channel"].to_pylist() == ["dealer"]
    without = table.filter(pc.not_equal(table["touchpoint_id"], "zz"))
    found = assert_same(moments_table([("a", datetime(2024, 6, 1))]), {"touchpoints": without})
    assert found["last_touchpoint_channel"].to_pylist() == ["wecom"]


def test_a_moment_between_two_seconds() -> None:
    world = posted(random_world(21, 4))
    pairs = [(who, date + timedelta(microseconds=us)) for who in PEOPLE[:4] for date in DATES[:3] for us in (1, 500_000, 999_999)]  # fmt: skip
    assert_same(moments_table(pairs), world)


def test_some_features_and_the_cohorts() -> None:
    names = ["orders_90d", "days_since_order", "tier"]
    some = Arithmetic(CANONICAL, names)
    assert list(some.fingerprints) == names
    asked, tables = moments_table([(who, DATES[5]) for who in PEOPLE]), posted(random_world(2, len(PEOPLE)))
    wanted = ["customer_id", "as_of", *names, *(excluded_column(one.name) for one in EVERY)]
    assert some.rows(asked, tables).equals(live().rows(asked, tables).select(wanted))
    with pytest.raises(UnknownName, match="orders_91d"):
        Live(CANONICAL, ["orders_91d"])


def test_a_sum_beyond_64_bits_is_refused_and_one_within_is_exact() -> None:
    asked = moments_table([("a", datetime(2024, 6, 1))])
    drawn = f"""order_id customer happened    kind   amount_cents
    1        a        2024-05-02  order  {2**62}
    2        a        2024-05-03  order  {2**62 - 1}"""
    found = assert_same(asked, {"orders": rows("orders", drawn)})
    assert 2**63 - 1 in found["order_value_90d_cents"].to_pylist()
    too_much = rows("orders", f"{drawn}\n    3        a        2024-05-04  order  1")
    with pytest.raises(BadData, match="orders"):
        live().rows(asked, {"orders": too_much})


@pytest.mark.slow
def test_a_thousand_requests_of_the_carmaker_answered_one_by_one(tmp_path: Path) -> None:
    """Everyone with their own history, as of a moment of their own; with late rows, corrections and merges."""
    luck = random.Random(5)
    warehouse = loaded(tmp_path, customers=1_000)
    tables = {name: warehouse.engine.to_pyarrow(table) for name, table in warehouse.tables.items()}
    people = sorted(set(tables["customers"]["customer_id"].to_pylist()))
    pairs = [
        (who, BEGIN + timedelta(days=luck.randrange(DAYS), seconds=luck.randrange(86_400))) for who in people
    ]
    batch = {row["customer_id"]: row for row in compiled().rows(moments_table(pairs), tables).to_pylist()}
    told: Counter[str] = Counter()
    for who, as_of in pairs:
        (answer,) = live().rows(moments_table([(who, as_of)]), own(tables, who)).to_pylist()
        told.update(compared(answer, batch.pop(who)))
    print(f"{len(pairs)} requests:", dict(told))
    assert len(pairs) >= 1_000
    assert batch == {}
    assert set(told) == {"same"}
    together = live().rows(moments_table(pairs), tables)
    assert together.equals(compiled().rows(moments_table(pairs), tables))


def own(tables: Mapping[str, pa.Table], who: str) -> dict[str, pa.Table]:
    """What is posted for one customer."""
    mine = {name: table.filter(pc.field("customer_id") == who) for name, table in tables.items()}
    invited = (pc.field("customer_id") == who) | (pc.field("invitee_id") == who)
    return mine | {"referrals": tables["referrals"].filter(invited)}


def compared(answer: Mapping[str, object], wanted: Mapping[str, object]) -> Counter[str]:
    """How many cells are the same, mismatch, are missing, or are extra."""
    cells: Counter[str] = Counter()
    for name in wanted.keys() | answer.keys():
        if name not in answer or (answer[name] is None) > (wanted.get(name) is None):
            cells["missing"] += 1
        elif name not in wanted or (answer[name] is None) < (wanted[name] is None):
            cells["extra"] += 1
        else:
            cells["same" if repr(answer[name]) == repr(wanted[name]) else "mismatch"] += 1
    return cells
