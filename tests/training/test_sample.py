"""A sample of customers is decided by their ids alone, says so, and changes no cell of those who are in it."""

from datetime import datetime

import pandas as pd
import pytest

from features.errors import NotTrainable
from features.sample import of_customers, sampled, share_of_customers
from features.sources import CANONICAL
from features.warehouse import Warehouse, in_memory
from tests.shop import END, customers_and_orders
from training.dataset import dataset, facts, split
from training.plan import FIT_SHARE, plan, share_of
from training.tasks import task_named
from training.train import prepare

SHOP = in_memory(customers_and_orders(2400), dict.fromkeys(CANONICAL, END))
CHURN = task_named("churn", SHOP)


def ids(warehouse: Warehouse) -> set[str]:
    return set(warehouse.engine.to_pandas(warehouse.tables["customers"].customer_id))


@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.9999])
def test_who_is_in_is_what_a_loop_over_the_ids_says(share: float) -> None:
    expected = {customer for customer in ids(SHOP) if share_of(f"training {customer}") < share}
    assert ids(sampled(SHOP, share, "training")) == expected


def test_a_larger_sample_holds_the_smaller_one_and_all_is_all() -> None:
    assert ids(of_customers(SHOP, 300)) < ids(of_customers(SHOP, 900)) < ids(SHOP)
    assert len(ids(of_customers(SHOP, 900))) == pytest.approx(900, rel=0.1)
    assert of_customers(SHOP, 0) is SHOP
    assert of_customers(SHOP, 5000) is SHOP
    assert share_of_customers(SHOP, 600) == 0.25


def test_a_draw_knows_nothing_of_the_split_nor_of_another_draw() -> None:
    """Else a sample of a third would hold nobody to test on."""
    within = ids(sampled(SHOP, 1 / 3, "training"))
    assert sum(share_of(customer) < FIT_SHARE for customer in within) / len(within) == pytest.approx(
        FIT_SHARE, abs=0.05
    )
    twice = sampled(sampled(SHOP, 0.5, "training"), 0.5, "preflight")
    assert len(ids(twice)) == pytest.approx(600, rel=0.1)
    assert twice.share == 0.25


def test_a_sample_changes_no_cell_of_those_who_are_in_it() -> None:
    dates = [datetime(2023, 6, 1), datetime(2023, 9, 1)]
    whole, part = dataset(CHURN, SHOP, dates), dataset(CHURN, sampled(SHOP, 0.4, "training"), dates)
    inside = whole.frame["customer_id"].map(lambda customer: share_of(f"training {customer}") < 0.4)
    pd.testing.assert_frame_equal(part.frame, whole.frame[inside].reset_index(drop=True))
    assert 0 < inside.sum() < len(inside)


def test_what_was_learned_from_a_sample_says_so() -> None:
    made = prepare(CHURN, sampled(SHOP, 0.75, "training"), plan(CHURN, SHOP))
    assert made.planned.cut.endswith("; 75.0% of the customers, drawn by their ids")
    assert facts(CHURN, made.data, made.parts)["share_of_customers"] == 0.75


def test_a_sample_too_small_to_learn_from_is_refused() -> None:
    with pytest.raises(NotTrainable, match="use more customers"):
        prepare(CHURN, of_customers(SHOP, 60))
    planned = plan(CHURN, SHOP)
    with pytest.raises(NotTrainable, match="at least 50"):
        split(dataset(CHURN, of_customers(SHOP, 60), planned.dates), planned)
