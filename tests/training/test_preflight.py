"""Preflight: says before training what is too little, what would do, and how sure the figures could be."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.errors import NotTrainable, OpenWindow
from features.sources import CANONICAL
from features.warehouse import Warehouse, in_memory
from tests.shop import END, customers_and_orders
from training import preflight as module
from training.metrics import auc
from training.outcomes import Happens
from training.plan import plan
from training.preflight import auc_spread, lift_range, preflight, up_to
from training.task import Occasions, Task
from training.tasks import task_named

LEDGER = dict.fromkeys(CANONICAL, END)
SHOP = in_memory(customers_and_orders(2400), LEDGER)
INTENT = task_named("purchase_intent", SHOP)
NEVER = replace(
    INTENT, outcome=Happens("order", lambda future: future.orders.where(kind="cancellation").count() > 0)
)


def test_enough_is_said_with_counts_that_the_dataset_then_has() -> None:
    found = preflight(INTENT, SHOP)
    found.require()
    assert found.problems == ()
    assert [line.horizon_days for line in found.lines] == [28, 56, 91]
    for part in ("fit", "calibrate", "test"):
        counts = [line.counts[part] for line in found.lines]
        assert counts == sorted(counts)
        assert 50 <= counts[-1] < found.moments[part]


def test_no_positives_are_refused_with_what_was_found_and_what_is_needed() -> None:
    with pytest.raises(
        NotTrainable, match=r"of which 0 with the outcome within 91 days; at least 50 .* needed"
    ):
        preflight(NEVER, SHOP).require()


def test_too_few_customers_are_refused() -> None:
    few = in_memory(customers_and_orders(30), LEDGER)
    found = preflight(task_named("purchase_intent", few), few)
    with pytest.raises(NotTrainable, match="use more customers or a longer history"):
        found.require()


def test_one_row_is_refused_by_name() -> None:
    tables = customers_and_orders(10)
    one = in_memory(
        {"customers": tables["customers"].slice(0, 1), "orders": tables["orders"].slice(0, 1)}, LEDGER
    )
    with pytest.raises((NotTrainable, OpenWindow), match="purchase_intent"):
        preflight(task_named("purchase_intent", one), one).require()


def test_without_a_closed_window_the_horizon_that_would_do_is_named() -> None:
    """Two hundred days hold no window of 273 days with history before it, and one of 91 days."""
    short = in_memory(customers_and_orders(4000), dict.fromkeys(CANONICAL, datetime(2022, 7, 20)))
    with pytest.raises(OpenWindow, match=r"a horizon of \d+ days would do: --longest-horizon \d+"):
        preflight(task_named("churn", short), short)


def test_a_sample_says_so_and_refuses_nobody_for_its_bad_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = preflight(INTENT, SHOP)
    monkeypatch.setattr(module, "MOST_MOMENTS", 2400 * len(whole.planned.dates) // 2)
    half = preflight(INTENT, SHOP)
    assert half.share == pytest.approx(0.5, abs=0.01)
    assert half.problems == ()
    for one, other in zip(whole.lines, half.lines, strict=True):
        assert other.counts["fit"] == pytest.approx(one.counts["fit"], rel=0.25)


def test_shorter_horizons_are_kept_and_longer_ones_left_out() -> None:
    assert up_to(INTENT, 60).horizons_days == (28, 56, 60)
    assert up_to(INTENT, 28).horizons_days == (28,)
    assert up_to(INTENT, 365) is INTENT


def test_the_width_of_an_auc_is_what_drawing_again_gives() -> None:
    """Hanley and McNeil's width against the spread of two normal scores drawn anew."""
    chance = np.random.default_rng(2)
    shift = 0.954  # gives an AUC of .75
    y = np.r_[np.ones(60), np.zeros(600)]
    drawn = [
        auc(y, np.r_[chance.normal(shift, 1, 60), chance.normal(0, 1, 600)], np.ones(660)) for _ in range(400)
    ]
    assert np.mean(drawn) == pytest.approx(0.75, abs=0.01)
    assert auc_spread(0.75, 60, 600) == pytest.approx(1.96 * np.std(drawn), rel=0.15)
    assert auc_spread(0.75, 0, 600) == 0.5


def test_a_lift_is_seen_within_its_range_as_often_as_promised() -> None:
    chance = np.random.default_rng(3)
    low, high = lift_range(2.0, 0.05, 500)
    seen = chance.binomial(500, 0.1, 2000) / 500 / 0.05
    assert ((seen >= low) & (seen <= high)).mean() == pytest.approx(0.95, abs=0.02)
    assert lift_range(2.0, 0.0, 500) == (0.0, 0.0)


def campaigns() -> Warehouse:
    """A campaign to a tenth of the customers on each of twelve irregular days."""
    tables, chance = customers_and_orders(1200), np.random.default_rng(4)
    ids = np.array(tables["customers"]["customer_id"].to_pylist())
    days = [
        datetime(2022, 9, 1) + timedelta(days=int(d), hours=9) for d in np.cumsum(chance.integers(30, 60, 12))
    ]
    rows = [
        {
            "contact_id": f"k{n}-{c}",
            "customer_id": str(c),
            "happened_at": day,
            "known_at": day,
            "kind": "sent",
        }
        for n, day in enumerate(days)
        for c in chance.choice(ids, 120, replace=False)
    ]
    sent = pa.Table.from_pylist(rows, schema=CANONICAL["contacts"].arrow_schema)
    return in_memory({**tables, "contacts": sent}, LEDGER)


def test_a_task_with_occasions_is_asked_about_on_the_days_after_them() -> None:
    warehouse = campaigns()
    task: Task = replace(INTENT, horizons_days=(30,), occasions=Occasions("contacts", "kind", "sent"))
    assert task.occasions
    planned = plan(task, warehouse)
    assert set(planned.dates) <= set(task.occasions.days(warehouse))
    assert len(planned.fit) >= 3
    assert planned.fit == planned.calibrate
    assert max(planned.fit) + task.window <= min(planned.test)
    assert all(date.hour == 0 for date in planned.dates)


def test_customers_of_the_parts_are_drawn_apart() -> None:
    planned = plan(INTENT, SHOP)
    ids = pd.Series([f"C{n:05d}" for n in range(3000)])
    parts = {
        date: planned.parts(ids, pd.Series([date] * len(ids))) for date in (planned.fit[0], planned.test[0])
    }
    learned, test = parts[planned.fit[0]], set(ids[parts[planned.test[0]] == "test"])
    learning = set(ids[learned.isin(["fit", "calibrate"])])
    assert not learning & test
    assert len(learning) == pytest.approx(2000, rel=0.05)
    assert (learned == "fit").sum() == pytest.approx(1600, rel=0.05)
    assert learning | test == set(ids)
