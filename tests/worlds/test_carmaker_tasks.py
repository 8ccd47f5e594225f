"""Our declared tasks ask the same customers and see the same outcomes as the invented carmaker's own SQL, and the
truth behind it agrees with what came."""

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest

from features.cohorts import eligible
from features.warehouse import Warehouse, in_memory
from tests.worlds.conftest import CLEAN
from training.dataset import outcomes_by_horizon
from training.task import Task
from training.tasks import task_named
from worlds.carmaker.tasks import HORIZONS, labelled, open_world
from worlds.carmaker.truth import probabilities

SOURCES = ("customers", "vehicles", "orders", "touchpoints", "visits")
DAY = CLEAN.start + timedelta(days=7 * 66)


@pytest.fixture(scope="module")
def warehouse(clean: Path) -> Warehouse:
    return in_memory({name: ds.dataset(clean / name).to_table() for name in SOURCES})


def seen(task: Task, warehouse: Warehouse, day: date) -> pd.DataFrame:
    moments = eligible(task.cohort.ask(warehouse, [datetime(day.year, day.month, day.day)]))
    found = task.outcome.first(moments, warehouse.tables, task.horizons_days, task.gap_days)
    frame = warehouse.engine.to_pyarrow(found).to_pandas()
    return frame.sort_values("customer_id", ignore_index=True)


@pytest.mark.parametrize("name", HORIZONS)
def test_nearly_the_same_customers_and_exactly_the_same_outcomes_at_every_horizon(
    name: str, warehouse: Warehouse, clean: Path
) -> None:
    task, base = task_named(name, warehouse), open_world(clean)
    assert task.horizons_days == HORIZONS[name] or name == "upgrade"
    asked = seen(task, warehouse, DAY)
    for k, days in enumerate(task.horizons_days):
        told = labelled(base, name, DAY, days)
        # An order is open for us while orders outnumber deliveries, there while it is newer than the last delivery.
        both = set(asked["customer_id"]) & set(told["customer_id"])
        assert len(both) > 0.98 * max(len(asked), len(told))
        frame, told = (rows[rows["customer_id"].isin(both)] for rows in (asked, told))
        came = outcomes_by_horizon(task, frame)
        for m, kind in enumerate(task.kinds):
            wanted = told["outcome"] == (kind if len(task.kinds) > 1 else 1)
            assert np.array_equal(came[:, k, m], wanted.to_numpy().astype("int8")), (days, kind)
            assert came[:, k, m].any()


@pytest.mark.parametrize("name", ["purchase_intent", "repurchase"])
def test_what_came_is_what_the_truth_promised(name: str, warehouse: Warehouse, clean: Path) -> None:
    task = task_named(name, warehouse)
    frame = seen(task, warehouse, DAY)
    came = outcomes_by_horizon(task, frame)
    for k, days in enumerate(task.horizons_days):
        truth = probabilities(clean, frame, name, days, paths=4)
        for m, kind in enumerate(task.kinds):
            promised = truth[kind if len(task.kinds) > 1 else "probability"]
            spread = np.sqrt((promised * (1 - promised)).sum())
            assert abs(came[:, k, m].sum() - promised.sum()) <= 4 * spread
