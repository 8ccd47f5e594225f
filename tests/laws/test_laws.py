"""The laws of the design, on random order histories with late arrivals and corrections in them.

They speak about every feature of orders, so a new one is covered unasked; `tests/features` holds the laws over
the whole catalogue.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from math import isclose
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import features
from features import cohorts, timeline
from features.delivery import Delivery
from features.errors import OpenWindow
from features.feature import Feature
from features.live import Live
from features.load import load
from features.sources import CANONICAL
from features.views.orders import FEATURES as ORDER_FEATURES
from features.warehouse import Warehouse, connect, in_memory
from tests.oracle import EXPECTED, Moment, index
from training.dataset import dataset
from training.plan import plan
from training.task import Task
from training.tasks import TASKS

AS_OF = datetime(2024, 6, 1)
Row = dict[str, Any]
MOMENTS = [AS_OF, datetime(2024, 3, 1, 12, 30), datetime(2023, 6, 2)]
EVERY_MOMENT = [(customer, moment) for customer in "abcd" for moment in MOMENTS]
SECONDS = st.integers(-500 * 86_400, 40 * 86_400)


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Orders of three customers around AS_OF; some known late, some corrected, some on the edge of a window."""
    edges = st.sampled_from(
        [0, 1, -1, *(-days * 86_400 + near for days in (30, 90, 180, 365) for near in (-1, 0, 1))]
    )
    rows = []
    for number in range(draw(st.integers(0, 12))):
        happened = AS_OF + timedelta(seconds=draw(st.one_of(SECONDS, edges)))
        row = {
            "order_id": f"o{number}",
            "customer_id": draw(st.sampled_from("abc")),
            "happened_at": happened,
            "known_at": happened + timedelta(seconds=draw(st.sampled_from([0, 0, 0, 3600, 20 * 86_400]))),
            "superseded_at": None,
            "kind": draw(st.sampled_from(["order", "order", "order", "cancellation"])),
            "quantity": draw(st.one_of(st.none(), st.integers(0, 9))),
            "amount_cents": draw(st.one_of(st.none(), st.integers(0, 10**9))),
            "discount_cents": draw(st.one_of(st.none(), st.integers(0, 10**8))),
        }
        rows.append(row)
        if draw(st.integers(0, 5)) == 0:
            corrected = row | {"known_at": row["known_at"] + timedelta(days=5), "amount_cents": 7}
            row["superseded_at"] = corrected["known_at"]
            rows.append(corrected)
    return rows


def people() -> pa.Table:
    since = datetime(2020, 1, 1)
    rows = [{"profile_id": c, "customer_id": c, "happened_at": since, "known_at": since} for c in "abcd"]
    return pa.Table.from_pylist(rows, schema=CANONICAL["customers"].arrow_schema)


def orders(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=CANONICAL["orders"].arrow_schema)


def world(rows: list[Row]) -> Warehouse:
    ledger = dict.fromkeys(CANONICAL, AS_OF + timedelta(days=30))
    return in_memory({"customers": people(), "orders": orders(rows)}, ledger)


@cache
def live() -> Live:
    return Live(["customers", "orders"], without_consents="invented rows")


def pairs_of(moments: Iterable[tuple[str, datetime]]) -> pa.Table:
    customers, dates = zip(*moments, strict=True)
    return pa.table({"customer_id": customers, "as_of": pa.array(dates, pa.timestamp("us"))})


def values(
    rows: list[Row], moments: Iterable[tuple[str, datetime]] = EVERY_MOMENT
) -> dict[tuple[str, datetime], Row]:
    """Every feature of orders at every moment, by (customer, moment)."""
    answered = live().rows(pairs_of(moments), {"customers": people(), "orders": orders(rows)}).to_pylist()
    return {
        (row["customer_id"], row["as_of"]): {feature.name: row[feature.name] for feature in ORDER_FEATURES}
        for row in answered
    }


def same(value: float | None, expected: float | None) -> bool:
    if value is None or expected is None:
        return value is expected
    return isclose(value, expected, rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=60)
@given(histories())
def test_features_equal_the_slow_and_obvious_oracle(rows: list[Row]) -> None:
    told = index({"orders": rows})
    for (customer, as_of), row in values(rows).items():
        moment = Moment(customer, as_of, told)
        for name, value in row.items():
            assert same(value, EXPECTED[name](moment)), (name, customer, as_of)


@settings(max_examples=40)
@given(histories())
def test_no_future(rows: list[Row]) -> None:
    """What was not known before a moment can be deleted, and nothing changes."""
    for moment in MOMENTS:
        left = [row for row in rows if row["known_at"] < moment and row["happened_at"] < moment]
        left = [
            row | {"superseded_at": None} if (row["superseded_at"] or moment) >= moment else row
            for row in left
        ]
        pairs = [(c, moment) for c in "abcd"]
        assert values(rows, pairs) == values(left, pairs)


def test_nothing_means_what_it_says() -> None:
    """In an empty world each feature is what its documentation calls "nothing"."""
    row = values([], [("a", AS_OF)])["a", AS_OF]
    assert row == {feature.name: feature.nothing for feature in ORDER_FEATURES}


@settings(max_examples=15)
@given(histories())
def test_alone_or_together(rows: list[Row]) -> None:
    """One customer live gets the same bits as in the batch of everybody at every date."""
    table = ibis.memtable(pairs_of(EVERY_MOMENT), schema={"customer_id": "string", "as_of": "timestamp(6)"})
    warehouse = world(rows)
    batch = warehouse.engine.to_pyarrow(features.at(table, warehouse, ORDER_FEATURES)).to_pylist()
    for together in batch:
        pair = together.pop("customer_id"), together.pop("as_of")
        alone = values([row for row in rows if row["customer_id"] == pair[0]], [pair])[pair]
        assert repr(alone) == repr(together)


@settings(max_examples=40)
@given(histories(), st.randoms(use_true_random=False))
def test_order_is_irrelevant(rows: list[Row], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    assert repr(values(rows)) == repr(values(shuffled))


@settings(max_examples=15)
@given(histories(), st.randoms(use_true_random=False))
def test_delivering_again_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], random: Any
) -> None:
    """The same rows shuffled, doubled and split over two files load into the same warehouse."""
    once, again = tmp_path_factory.mktemp("once"), tmp_path_factory.mktemp("again")
    doubled = random.sample(rows + rows, 2 * len(rows))
    _load(once, [rows])
    _load(again, [doubled[: len(rows)], doubled[len(rows) :]])
    assert _loaded(once) == _loaded(again)


def _loaded(folder: Path) -> list[Row]:
    warehouse = connect(str(folder))
    table = warehouse.tables["orders"]
    return warehouse.engine.to_pyarrow(table.order_by("order_id", "known_at")).to_pylist()


def _load(folder: Path, files: list[list[Row]]) -> None:
    deliveries = [Delivery(CANONICAL["customers"], "customers", people())]
    for number, rows in enumerate(files):
        deliveries.append(Delivery(CANONICAL["orders"], f"orders-{number}", orders(rows)))
    load(
        deliveries,
        folder,
        complete_until=dict.fromkeys(CANONICAL, AS_OF),
        delivered_at=AS_OF + timedelta(days=99),
    )


@settings(max_examples=25)
@given(histories(), st.integers(-400, 400))
def test_shifting_everything_by_days_changes_nothing(rows: list[Row], days: int) -> None:
    by = timedelta(days=days)
    clocks = ("happened_at", "known_at", "superseded_at")
    moved = [row | {clock: row[clock] and row[clock] + by for clock in clocks} for row in rows]
    there = values(moved, [(c, m + by) for c in "abcd" for m in MOMENTS])
    assert {(c, m - by): row for (c, m), row in there.items()} == values(rows)


@pytest.mark.parametrize("cohort", cohorts.COHORTS.values(), ids=lambda cohort: cohort.name)
def test_nobody_from_nothing(cohort: cohorts.Cohort) -> None:
    """A cohort of an empty world is empty, and so is one of people without events."""
    empty = {name: source.empty() for name, source in CANONICAL.items()}
    nobody = in_memory(empty)
    assert nobody.engine.execute(cohort.moments(nobody, MOMENTS).count()) == 0
    idle = in_memory({**empty, "customers": people()})
    assert idle.engine.execute(cohort.moments(idle, MOMENTS).count()) == 0


def one_buyer(complete: datetime) -> Warehouse:
    """A world with one customer who ordered once, complete until then."""
    ordered = orders([{**_order("a", datetime(2022, 1, 1)), "order_id": "o"}])
    empty = {name: source.empty() for name, source in CANONICAL.items() if name != "consents"}
    held = {**empty, "customers": people(), "orders": ordered}
    return in_memory(held, dict.fromkeys(CANONICAL, complete))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_closed_outcomes(task: Task) -> None:
    """A date whose window is not fully observed is refused, naming the latest usable date, which is not."""
    complete = AS_OF + timedelta(days=30)
    warehouse = one_buyer(complete)
    latest = complete - task.window
    too_late = latest + timedelta(days=1)
    for refused in (
        lambda: dataset(task, warehouse, [too_late]),
        lambda: plan(task, warehouse, test_at=too_late),
    ):
        with pytest.raises(OpenWindow, match=f"Latest usable date: {latest:%Y-%m-%d}"):
            refused()
    task.require_closed([latest], warehouse)


def test_the_latest_usable_date_has_its_rows() -> None:
    complete = AS_OF + timedelta(days=30)
    for task in (
        next(task for task in TASKS if (task.cohort is cohorts.has_ordered) is buys) for buys in (True, False)
    ):
        found = dataset(task, one_buyer(complete), [complete - task.window]).frame
        assert list(found["customer_id"]) == (["a"] if task.cohort is cohorts.has_ordered else [])


@settings(max_examples=40)
@given(histories(), st.integers(1, 200), st.integers(0, 20))
def test_an_outcome_counts_what_happens_in_its_half_open_window(
    rows: list[Row], horizon: int, gap: int
) -> None:
    warehouse = world(rows)
    moment = datetime(2024, 1, 15)
    opens = moment + timedelta(days=gap)
    closes = opens + timedelta(days=horizon)
    pairs = ibis.memtable(
        pa.table({"customer_id": list("abcd"), "as_of": pa.array([moment] * 4, pa.timestamp("us"))})
    )
    found = timeline.future(pairs, warehouse.tables["orders"], horizon_days=horizon, gap_days=gap)
    ids = sorted(warehouse.engine.to_pyarrow(found)["order_id"].to_pylist())
    assert ids == sorted(
        r["order_id"] for r in rows if r["superseded_at"] is None and opens <= r["happened_at"] < closes
    )


def test_a_fingerprint_moves_with_the_definition_and_not_with_the_words() -> None:
    def made(measure: Any, sentence: str) -> str:
        return Feature(
            "x", measure, unit="orders", nothing=0, concept="c", en=sentence, zh=sentence
        ).fingerprint

    assert made(lambda past: past.orders.count(days=30), "a") == made(
        lambda past: past.orders.count(days=30), "b"
    )
    assert made(lambda past: past.orders.count(days=30), "a") != made(
        lambda past: past.orders.count(days=31), "a"
    )
    assert made(lambda past: past.orders.count(), "a") != made(lambda past: past.orders.count() + 1, "a")


def _order(customer: str, happened: datetime) -> Row:
    return {
        "customer_id": customer,
        "happened_at": happened,
        "known_at": happened,
        "superseded_at": None,
        "kind": "order",
        "quantity": 1,
        "amount_cents": 1,
    }
