"""Rows to learn from: closed windows, parts kept apart in time and by customer, too little is refused."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from features.errors import NotTrainable, OpenWindow, UnknownName
from features.sources import CANONICAL
from features.warehouse import Warehouse, in_memory
from tests.shop import END, customers_and_orders
from training.dataset import dataset, facts, split, telling
from training.outcomes import Happens
from training.plan import plan
from training.tasks import TASKS, offered, task_named

LEDGER = dict.fromkeys(CANONICAL, END)
SHOP = in_memory(customers_and_orders(2400), LEDGER)
INTENT, CHURN = task_named("purchase_intent", SHOP), task_named("churn", SHOP)


def test_no_training_window_reaches_into_a_later_part() -> None:
    planned = plan(INTENT, SHOP)
    assert max(planned.test) == END - INTENT.window
    assert len(planned.test) == 3
    assert max(planned.calibrate) + INTENT.window <= min(planned.test)
    assert planned.fit == planned.calibrate
    assert max(planned.fit) + INTENT.window > min(planned.test) - timedelta(days=28), (
        "up to the latest closed"
    )


def test_fit_and_calibration_share_no_customer() -> None:
    planned = plan(INTENT, SHOP)
    parts = split(dataset(INTENT, SHOP, planned.dates), planned)
    fitted, calibrated = set(parts.fit["customer_id"]), set(parts.calibrate["customer_id"])
    assert fitted
    assert calibrated
    assert not fitted & calibrated
    assert set(parts.test["as_of"]) == set(planned.test)
    assert not fitted & set(parts.test["customer_id"]), "nobody is tested whom the fit has seen"
    everyone = split(dataset(INTENT, SHOP, planned.dates), replace(planned, everyone=True))
    assert set(everyone.test["customer_id"]) > set(parts.test["customer_id"])


@pytest.mark.parametrize("held_out", [None, frozenset(f"C{n:05d}" for n in range(0, 2500, 3))])
def test_a_history_too_short_to_cut_in_time_is_cut_by_customer(held_out: frozenset[str] | None) -> None:
    at, shop = datetime(2022, 9, 1), in_memory(customers_and_orders(2500), LEDGER)
    planned = plan(CHURN, shop, test_at=at, held_out=held_out)
    assert planned.by_customer
    assert "by customer" in planned.cut
    parts = split(dataset(CHURN, shop, planned.dates), planned)
    groups = [set(part["customer_id"]) for part in (parts.fit, parts.calibrate, parts.test)]
    assert not groups[0] & groups[1]
    assert not groups[2] & (groups[0] | groups[1])
    if held_out is not None:
        assert groups[2] <= held_out


def test_outcomes_are_those_a_loop_finds() -> None:
    moment = datetime(2023, 6, 1)
    frame = dataset(INTENT, SHOP, [moment]).frame.set_index("customer_id")
    orders = SHOP.engine.to_pyarrow(SHOP.tables["orders"]).to_pylist()
    before = {row["customer_id"] for row in orders if row["happened_at"] < moment}
    bought = {
        row["customer_id"] for row in orders if moment <= row["happened_at"] < moment + timedelta(days=91)
    }
    assert set(frame.index) == before
    assert set(frame.index[frame["outcome"] == 1]) == before & bought


def test_the_same_data_has_the_same_digest_and_other_data_another() -> None:
    moment = [datetime(2023, 6, 1)]
    assert dataset(INTENT, SHOP, moment).digest == dataset(INTENT, SHOP, moment).digest
    assert dataset(INTENT, SHOP, moment).digest != dataset(INTENT, SHOP, [datetime(2023, 6, 2)]).digest


def test_who_was_not_asked_is_counted_with_the_reason() -> None:
    tables = customers_and_orders(10)
    nobody_ordered = in_memory(
        {"customers": tables["customers"], "orders": tables["orders"].slice(0, 1)}, LEDGER
    )
    excluded = dataset(INTENT, nobody_ordered, [datetime(2023, 6, 1)]).excluded
    assert excluded[["excluded", "customers"]].to_dict("records") == [
        {"excluded": "has not ordered yet", "customers": 9}
    ]


def test_too_few_outcomes_are_refused_with_the_numbers() -> None:
    few = in_memory(customers_and_orders(60), LEDGER)
    planned = plan(INTENT, few)
    with pytest.raises(NotTrainable, match="at least 50 with it and without it are needed"):
        split(dataset(INTENT, few, planned.dates), planned)


def test_one_class_only_is_refused() -> None:
    always = replace(INTENT, outcome=Happens("order", lambda future: future.orders.count() >= 0))
    planned = plan(always, SHOP)
    with pytest.raises(NotTrainable, match="of which"):
        split(dataset(always, SHOP, planned.dates), planned)


def test_a_warehouse_without_orders_cannot_be_planned() -> None:
    empty = in_memory({name: CANONICAL[name].empty() for name in ("customers", "orders")}, LEDGER)
    with pytest.raises(NotTrainable, match="orders holds no rows"):
        plan(INTENT, empty)
    with pytest.raises(OpenWindow, match="has no moment with 90 days of history"):
        plan(CHURN, in_memory(customers_and_orders(50), dict.fromkeys(CANONICAL, datetime(2022, 6, 1))))


def test_an_unknown_task_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match="no task named 'chrun'; there are: churn, purchase_intent"):
        task_named("chrun", SHOP)


def test_a_task_is_offered_only_where_its_sources_are() -> None:
    only_people = Warehouse(SHOP.engine, {"customers": SHOP.tables["customers"]}, LEDGER)
    with pytest.raises(UnknownName, match="there are: none"):
        task_named("churn", only_people)
    assert set(offered(SHOP)) == {"churn", "purchase_intent"}
    assert all(SHOP.has(task.needs) for task in offered(SHOP).values())
    assert {"redemption", "lapse"} <= {task.name for task in TASKS}


def test_a_column_that_only_tells_dates_apart_is_left_out() -> None:
    planned = plan(INTENT, SHOP)
    data = dataset(INTENT, SHOP, planned.dates)
    part = split(data, planned).fit
    kept = {feature.name for feature in telling(data.features, part)}
    assert "orders_90d" in kept
    assert not kept & {"month", "days_to_spring_festival", "city_tier"}


def test_categories_are_numbered_by_what_the_fit_has_seen() -> None:
    planned = plan(INTENT, SHOP)
    data = dataset(INTENT, SHOP, planned.dates)
    fitted = planned.parts(data.frame["customer_id"], data.frame["as_of"]) == "fit"
    plans = np.where(np.arange(len(data.frame)) % 2, "loan", "cash").astype(object)
    plans[~fitted.to_numpy()] = "barter"
    plans[np.flatnonzero(fitted)[:5]] = "shells"
    parts = split(replace(data, frame=data.frame.assign(last_finance_plan=plans)), planned)
    assert parts.levels["last_finance_plan"] == ("cash", "loan")
    assert set(parts.fit["last_finance_plan"].dropna()) == {0.0, 1.0}
    assert parts.fit["last_finance_plan"].isna().sum() == 5, "too rare to teach anything"
    assert parts.test["last_finance_plan"].isna().all(), "never seen by the fit"


def test_a_category_of_very_many_levels_is_left_out() -> None:
    planned = plan(INTENT, SHOP)
    data = dataset(INTENT, SHOP, planned.dates)
    dealers = np.array([f"D{n % 40}" for n in range(len(data.frame))], dtype=object)
    parts = split(replace(data, frame=data.frame.assign(order_dealer=dealers)), planned)
    assert parts.levels["order_dealer"] == ()
    assert "order_dealer" not in {feature.name for feature in telling(data.features, parts.fit)}


def test_contact_is_recorded_beside_the_outcome_and_never_a_feature() -> None:
    moment, tables = datetime(2023, 6, 1), customers_and_orders(40)
    days = {"C00001": -3, "C00002": 10, "C00003": -40, "C00004": 200}
    rows = [
        {"contact_id": c, "customer_id": c, "happened_at": moment + timedelta(days=d), "known_at": moment + timedelta(days=d), "kind": "sent"}
        for c, d in days.items()
    ]  # fmt: skip
    contacts = pa.Table.from_pylist(rows, schema=CANONICAL["contacts"].arrow_schema)
    data = dataset(INTENT, in_memory({**tables, "contacts": contacts}, LEDGER), [moment])
    frame = data.frame.set_index("customer_id")
    assert set(frame.index[frame["contacted_before"]]) == {"C00001"}
    assert set(frame.index[frame["contacted_during"]]) == {"C00002"}
    assert not {"contacted_before", "contacted_during", "kind", "interval", "outcome"} & set(data.names)


def test_what_is_remembered_of_the_rows_adds_up() -> None:
    planned = plan(INTENT, SHOP)
    data = dataset(INTENT, SHOP, planned.dates)
    parts = split(data, planned)
    told = facts(INTENT, data, parts)
    assert told["digest"] == data.digest
    assert told["moments_asked"] == len(data.frame)
    assert told["parts"]["test"]["outcomes"]["order"]["91 d"] == int(parts.test["outcome"].sum())
    assert sum(told["moments_not_asked_by_reason"].values()) == data.excluded["customers"].sum()
