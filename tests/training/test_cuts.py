"""A random split is no evidence: there is none to be had, and what cannot be cut in time says so wherever it is read."""

import ast
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import training
from features.sources import CANONICAL
from features.warehouse import in_memory
from tests.shop import END, customers_and_orders
from tests.training.test_model import card
from training.gates import Evidence, judged
from training.plan import Plan, plan
from training.tasks import offered

AT = [datetime(2024, 1, 1) + timedelta(days=28 * n) for n in range(6)]
PLANS = {
    "three parts in time": Plan(tuple(AT[:2]), tuple(AT[2:4]), tuple(AT[4:]), "in time"),
    "two parts in time": Plan(tuple(AT[:3]), tuple(AT[:3]), tuple(AT[4:]), "in time"),
    "everyone": Plan(tuple(AT[:3]), tuple(AT[:3]), tuple(AT[4:]), "in time", everyone=True),
    "by customer": Plan((AT[0],), (AT[0],), (AT[0],), "by customer at the same dates"),
    "listed": Plan((AT[0],), (AT[0],), (AT[0],), "by customer", frozenset({"a1", "a2", "a3"})),
}


@pytest.mark.parametrize("name", PLANS)
@settings(max_examples=30)
@given(people=st.lists(st.integers(0, 60), min_size=1, max_size=40), seed=st.integers(0, 99))
def test_a_part_follows_from_customer_and_date_alone(name: str, people: list[int], seed: int) -> None:
    """Drawn in another order, among other rows, or twice: always the same part. Nothing is drawn by lot."""
    planned = PLANS[name]
    generator = np.random.default_rng(seed)
    rows = pd.DataFrame({"who": [f"a{n}" for n in people], "as_of": generator.choice(AT, len(people))})
    parts = planned.parts(rows["who"], rows["as_of"])
    order = generator.permutation(len(rows))
    assert planned.parts(rows["who"].iloc[order], rows["as_of"].iloc[order]).sort_index().equals(parts)
    alone = planned.parts(rows["who"].iloc[:1], rows["as_of"].iloc[:1])
    assert alone.iloc[0] == parts.iloc[0] or (pd.isna(alone.iloc[0]) and pd.isna(parts.iloc[0]))


@pytest.mark.parametrize("name", PLANS)
def test_no_moment_is_tested_that_was_learned_and_no_later_one_learned(name: str) -> None:
    planned = PLANS[name]
    rows = pd.DataFrame([(f"a{n}", at) for n in range(400) for at in AT], columns=["who", "as_of"])
    part = planned.parts(rows["who"], rows["as_of"])
    learned, tested = rows[part.isin(["fit", "calibrate"])], rows[part == "test"]
    assert len(learned)
    assert len(tested)
    assert learned["as_of"].max() < tested["as_of"].min() or planned.by_customer
    if planned.by_customer:
        assert not set(learned["who"]) & set(tested["who"])


def test_every_task_is_tested_a_whole_window_later_or_its_cut_says_by_customer() -> None:
    shop = in_memory(customers_and_orders(2_400), dict.fromkeys(CANONICAL, END))
    for task in offered(shop).values():
        for back in (0, 100, 200, 300):
            latest = task.latest_closed(shop) - timedelta(days=back)
            for planned in (plan(task, shop, until=latest), plan(task, shop, test_at=latest, everyone=True)):
                in_time = max(*planned.fit, *planned.calibrate) + task.window <= min(planned.test)
                assert in_time != planned.cut.startswith("by customer"), planned


def test_no_module_draws_a_random_split() -> None:
    """Neither by the names that libraries have for it, nor for cross-validation by rows."""
    random_cuts = {"train_test_split", "KFold", "StratifiedKFold", "ShuffleSplit", "StratifiedShuffleSplit",
                   "GroupShuffleSplit", "cross_val_score", "cross_validate", "cv"}  # fmt: skip
    for file in Path(training.__path__[0]).rglob("*.py"):
        tree = ast.parse(file.read_text())
        named = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        named |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        named |= {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        assert not named & random_cuts, file


def test_a_model_without_a_later_test_serves_with_a_reservation_at_best() -> None:
    later = msgspec.structs.replace(card(), fit_at=[AT[0]], trained_through=AT[3], test_at=[AT[3]])
    same = msgspec.structs.replace(later, test_at=[AT[0]], cut="by customer at the same dates")
    rows = pd.DataFrame(
        {"customer_id": [f"c{n}" for n in range(400)], "as_of": AT[0], "outcome": [0, 1] * 200}
    )
    evidence = Evidence(later, rows, np.linspace(0.1, 0.9, 400), {})
    verdicts = {f.gate: f.verdict for f in judged(evidence).findings}
    assert verdicts["later test"] == "passed"
    (found,) = (f for f in judged(replace(evidence, card=same)).findings if f.gate == "later test")
    assert found.verdict == "reserved"
    assert "by customer at the same dates" in found.words
