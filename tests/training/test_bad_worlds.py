"""Every job on a world it cannot work on: a named error of one line, an exit that is not zero, and nothing registered."""

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from features.command import run
from features.errors import NotTrainable
from features.sources import CANONICAL
from features.warehouse import Warehouse, in_memory
from serving import batch
from tests.shop import BEGIN, END, customers_and_orders
from training import evaluate, leak_hunt, preflight, promote, train, tune
from training.plan import plan
from training.tasks import task_named

LEDGER = dict.fromkeys(CANONICAL, END)
TRAINING = [preflight, train, tune]
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """A job on a world, called as `python -m` calls it: its exit and what it says."""

    def called(job: ModuleType, world: Warehouse, *words: str) -> tuple[int, str]:
        monkeypatch.setattr(job, "connect", lambda: world)
        monkeypatch.setattr(sys, "argv", [job.__name__, *words])
        with pytest.raises(SystemExit) as ended:
            run(job.app)
        return int(ended.value.code or 0), capfd.readouterr().err

    return called


def orders(days: np.ndarray, customers: int) -> dict[str, pa.Table]:
    """Everyone orders the same on these days."""
    ids = np.array([f"C{n:05d}" for n in range(customers)])
    who, day = np.repeat(ids, len(days)), np.tile(days, customers)
    at = BEGIN + day.astype("timedelta64[D]")
    rows = {"order_id": [f"O{n}" for n in range(len(who))], "customer_id": who, "happened_at": at, "known_at": at,
            "kind": ["order"] * len(who), "quantity": [1] * len(who), "amount_cents": [100] * len(who)}  # fmt: skip
    known = {"profile_id": ids, "customer_id": ids, "happened_at": [BEGIN] * customers,
             "known_at": [BEGIN] * customers}  # fmt: skip
    return {"customers": pa.table(known), "orders": pa.table(rows)}


def one_row() -> Warehouse:
    return in_memory({name: table.slice(0, 1) for name, table in customers_and_orders(10).items()}, LEDGER)


def nobody_orders_again() -> Warehouse:
    return in_memory(orders(np.array([0, 1]), 300), LEDGER)


def everybody_always_orders() -> Warehouse:
    return in_memory(orders(np.arange(0, 900, 9), 300), LEDGER)


def no_closed_window() -> Warehouse:
    return in_memory(customers_and_orders(300), dict.fromkeys(CANONICAL, datetime(2022, 2, 1)))


def nothing_tells_customers_apart() -> Warehouse:
    """The same past for all on the only date with a closed window; then every second one orders."""
    same, later = orders(np.array([0, 30, 60]), 1200), orders(np.array([100]), 1200)["orders"]
    again = later.slice(0, 600).set_column(0, "order_id", pa.array([f"L{n}" for n in range(600)]))
    same["orders"] = pa.concat_tables([same["orders"], again])
    until = BEGIN.astype(datetime) + timedelta(days=91 + 91)
    return in_memory(same, dict.fromkeys(CANONICAL, until))


def no_rows() -> Warehouse:
    return in_memory({name: CANONICAL[name].empty() for name in ("customers", "orders")}, LEDGER)


@pytest.mark.parametrize("job", TRAINING, ids=lambda job: job.__name__)
@pytest.mark.parametrize(
    ("world", "said"),
    [
        (one_row, "cannot be learned here"),
        (no_rows, "holds no rows"),
        (nobody_orders_again, "of which 0 with the outcome within 91 days; at least 50"),
        (everybody_always_orders, "at least 50 with it and without it are needed"),
        (no_closed_window, "has no moment with 90 days of history and a closed window"),
    ],
)
def test_a_world_that_cannot_teach_is_refused_by_name(
    call: Call, job: ModuleType, world: Callable[[], Warehouse], said: str
) -> None:
    code, told = call(job, world(), "--task", "purchase_intent")
    assert code == 1
    assert told.startswith("error: ")
    assert said in told
    assert "Traceback" not in told
    assert not Path("var").exists()


@pytest.mark.parametrize("job", [train, tune], ids=lambda job: job.__name__)
def test_features_that_tell_nobody_apart_are_refused(call: Call, job: ModuleType) -> None:
    code, told = call(job, nothing_tells_customers_apart(), "--task", "purchase_intent")
    assert code == 1
    assert "no feature tells customers apart" in told
    assert not Path("var/mlflow.db").exists()


def test_figures_that_are_no_numbers_register_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = in_memory(customers_and_orders(600), LEDGER)
    task = task_named("purchase_intent", shop)
    planned = plan(task, shop, test_at=task.latest_closed(shop), everyone=True)
    monkeypatch.setattr(train, "linear_probabilities", lambda _, rows, __: np.full(len(rows), np.nan))
    with pytest.raises(NotTrainable, match="linear"):
        train.train(task, shop, planned)
    assert not Path("var").exists()


@pytest.mark.parametrize("job", [*TRAINING, evaluate, promote, leak_hunt], ids=lambda job: job.__name__)
def test_an_unknown_task_is_answered_with_those_there_are(call: Call, job: ModuleType) -> None:
    code, told = call(job, no_rows(), "--task", "chrun")
    assert code == 1
    assert "there is no task named 'chrun'; there are: churn, purchase_intent" in told
    assert not Path("var").exists()


def test_scoring_without_a_champion_says_how_to_come_by_one(call: Call) -> None:
    code, told = call(batch, no_rows(), "--as-of", "2024-01-01", "--task", "chrun")
    assert code == 1
    assert "python -m training.train --task" in told
    assert not Path("var/scores").exists()


def test_trials_are_run_on_a_spark_or_not_at_all(call: Call) -> None:
    shop = in_memory(customers_and_orders(600), LEDGER)
    code, told = call(tune, shop, "--task", "purchase_intent", "--trials-on", "the cluster")
    assert code == 1
    assert "names no Spark: say spark:local[2] or spark://host:7077" in told
