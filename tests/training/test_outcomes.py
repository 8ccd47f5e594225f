"""Outcomes: what owners do excludes each other, a dearer car is dearer than the one held, horizons nest."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.sources import CANONICAL
from features.warehouse import Warehouse, in_memory
from tests.tables import rows
from training.dataset import happened, outcomes_by_horizon
from training.outcomes import Happens
from training.ownership import WHAT_OWNERS_DO
from training.task import Task
from training.tasks import TASKS

DAY = datetime(2024, 1, 1)
BY_NAME = {f"{task.name} of {task.cohort.name}": task for task in TASKS}
REPURCHASE = BY_NAME["repurchase of owners"]
UPGRADE = BY_NAME["upgrade of owners"]


def world(**drawn: pa.Table) -> Warehouse:
    return in_memory({name: source.empty() for name, source in CANONICAL.items()} | drawn)


def first(task: Task, warehouse: Warehouse, customers: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Customer: (kind, interval) at DAY."""
    pairs = {"customer_id": list(customers), "as_of": pa.array([DAY] * len(customers), pa.timestamp("us"))}
    moments = ibis.memtable(pa.table(pairs), schema={"customer_id": "string", "as_of": "timestamp(6)"})
    found = task.outcome.first(moments, warehouse.tables, task.horizons_days, task.gap_days)
    told = warehouse.engine.to_pyarrow(found).to_pylist()
    return {row["customer_id"]: (row["kind"], row["interval"]) for row in told}


DEEDS = """
    customer  order_id  happened    kind          cancels
    adds      o1        2024-03-01  order         -
    swaps     o2        2024-08-01  order         -
    regrets   o3        2024-02-01  order         -
    regrets   o4        2024-03-01  cancellation  o3
    late      o5        2024-12-31  order         -
    first     o6        2024-04-01  order         -
    after     o7        2024-02-01  order         -
"""
CARS = """
    customer  vehicle_event_id  vehicle_id  happened    kind
    swaps     e1                c1          2024-11-28  disposal
    leaves    e2                c2          2024-05-01  disposal
    regrets   e3                c3          2024-02-10  disposal
    first     e4                c4          2024-01-31  disposal
    after     e5                c5          2024-05-31  disposal
"""


def test_what_owners_do_is_told_by_orders_that_stand_and_cars_around_them() -> None:
    """Replacement: a car goes in [order - 60 d, order + 120 d); a day beyond, they are two deeds, and the first counts."""
    found = first(
        REPURCHASE,
        world(orders=rows("orders", DEEDS), vehicles=rows("vehicles", CARS)),
        ["adds", "swaps", "leaves", "regrets", "late", "first", "after", "idle"],
    )
    additional, replacement, defection = (
        WHAT_OWNERS_DO.kinds.index(kind) + 1 for kind in WHAT_OWNERS_DO.kinds
    )
    assert found == {
        "adds": (additional, 0),
        "swaps": (replacement, 1),
        "leaves": (defection, 0),
        "regrets": (defection, 0),
        "late": (0, 2),
        "first": (defection, 0),
        "after": (additional, 0),
        "idle": (0, 2),
    }


def test_an_upgrade_is_dearer_than_the_dearest_car_held_at_the_moment() -> None:
    cars = rows("vehicles", """
        customer  vehicle_event_id  vehicle_id  happened    kind      price_class
        up        e1                c1          2023-01-01  delivery  3
        same      e2                c2          2023-01-01  delivery  3
        sold      e3                c3          2022-01-01  delivery  5
        sold      e4                c3          2023-05-01  disposal  5
        sold      e5                c4          2023-06-01  delivery  2
        unknown   e6                c5          2023-06-01  delivery  -
    """)  # fmt: skip
    orders = rows("orders", """
        customer  order_id  happened    kind   price_class
        up        o1        2024-03-01  order  4
        same      o2        2024-03-01  order  3
        sold      o3        2024-03-01  order  3
        unknown   o4        2024-03-01  order  3
    """)  # fmt: skip
    found = first(UPGRADE, world(vehicles=cars, orders=orders), ["up", "same", "sold", "unknown", "nobody"])
    assert {name: kind for name, (kind, _) in found.items()} == {
        "up": 1, "same": 0, "sold": 1, "unknown": 0, "nobody": 0,
    }  # fmt: skip


AGES = st.lists(st.integers(-30 * 24, 420 * 24), max_size=6)


@settings(max_examples=25)
@given(st.lists(AGES, min_size=1, max_size=6))
def test_the_interval_is_that_of_the_first_horizon_the_event_lies_within(histories: list[list[int]]) -> None:
    task = BY_NAME["purchase_intent of active leads"]
    placed = [
        {"order_id": f"{n}-{k}", "customer_id": f"c{n}", "happened_at": at, "known_at": at, "kind": "order"}
        for n, hours in enumerate(histories)
        for k, at in enumerate(DAY + timedelta(hours=h) for h in hours)
    ]
    orders = pa.Table.from_pylist(placed, schema=CANONICAL["orders"].arrow_schema)
    found = first(task, world(orders=orders), [f"c{n}" for n in range(len(histories))])
    for n, hours in enumerate(histories):
        ahead = [h for h in hours if h >= 0]
        passed = [h for h in task.horizons_days if not any(age < h * 24 for age in ahead)]
        assert found[f"c{n}"] == (int(len(passed) < 3), len(passed))


@pytest.mark.parametrize("task", BY_NAME.values(), ids=list(BY_NAME))
def test_nothing_happens_in_an_empty_world(task: Task) -> None:
    never = len(task.horizons_days)
    assert first(task, world(), ["a", "b"]) == {"a": (0, never), "b": (0, never)}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=30))
def test_competing_outcomes_are_disjoint_and_horizons_nest(told: Iterable[tuple[int, int]]) -> None:
    frame = pd.DataFrame(
        [(kind, interval if kind else 2) for kind, interval in told], columns=["kind", "interval"]
    )
    came = outcomes_by_horizon(REPURCHASE, frame)
    assert (came.sum(axis=2) <= 1).all()
    assert (np.diff(came, axis=1) >= 0).all()
    wanted = came[:, -1, :2].sum(axis=1)
    assert np.array_equal(wanted, happened(REPURCHASE, frame))


def test_a_task_whose_horizons_do_not_rise_is_refused() -> None:
    def declared(**other: Any) -> Task:
        base: dict[str, Any] = {
            "name": "t", "question": "?", "cohort": REPURCHASE.cohort, "rules": (),
            "outcome": Happens("order", lambda future: future.orders.count() > 0), "horizons_days": (30, 60),
        }  # fmt: skip
        return Task(**base | other)

    assert declared().horizon_days == 60
    with pytest.raises(ValueError, match="horizons must rise"):
        declared(horizons_days=(60, 30))
    with pytest.raises(ValueError, match="no kind of its outcome is called order2"):
        declared(wanted=("order2",))
