"""Forecasts: how many will act, with an interval that holds what comes; and settled against what came."""

from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features import nightly
from features.warehouse import connect
from serving import settle as command
from serving.batch import batch
from serving.forecast import PARTIAL, USUAL_DRIFT, drift_of, forecast
from serving.runs import Run
from serving.settle import ALL, Settled, coverage, ledger, settle_all, verdicts

CLOSED = datetime(2023, 9, 1)


@pytest.fixture(scope="module")
def settled(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[Settled]]:
    """A run of the shop whose windows are closed, and its ledger."""
    scores = tmp_path_factory.mktemp("settled")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shop)
        patch.setattr(nightly, "materialise", partial(nightly.materialise, folder=scores / "rows"))
        warehouse = connect()
        run = batch(warehouse, CLOSED, scores=scores)
        return run, settle_all(warehouse, scores)


def cell(kind: str, customers: int, expected: float, grade: str = "A") -> dict[str, object]:
    return {"task": "t", "segment": "region", "value": "north", "grade": grade, "outcome": kind, "horizon_days": 30,
            "customers": customers, "expected": expected, "variance": expected * (1 - expected / customers)}  # fmt: skip


def test_parts_add_up_and_grades_too() -> None:
    parts = [pa.Table.from_pylist([cell("order", 10, 2.0), cell("order", 5, 1.0, "B")], PARTIAL),
             pa.Table.from_pylist([cell("order", 30, 4.0)], PARTIAL)]  # fmt: skip
    found = {row["grade"]: row for row in forecast(parts, {"t": 0.1}).to_pylist()}
    assert {grade: (row["customers"], row["expected"]) for grade, row in found.items()} == {
        "A": (40, 6.0),
        "B": (5, 1.0),
        "all": (45, 7.0),
    }
    for row in found.values():
        assert 0 <= row["low"] < row["expected"] < row["high"] <= row["customers"]


@pytest.mark.parametrize(
    ("happened", "promised", "drift"),
    [
        ([], [], USUAL_DRIFT),
        ([100, 100, 100], [100.0, 100.0, 100.0], 0.060),  # on the spot: less doubt than usual
        ([10_000, 9_000, 8_000], [10_000.0, 10_000.0, 10_000.0], 0.125),
        ([200, 50], [100.0, 100.0], 0.504),
    ],
)
def test_drift_is_what_chance_does_not_explain(
    happened: list[int], promised: list[float], drift: float
) -> None:
    assert drift_of(happened, promised) == pytest.approx(drift, abs=0.02)


@pytest.mark.parametrize("drift", [0.05, 0.15])
def test_ninety_of_a_hundred_intervals_hold(drift: float) -> None:
    """Lists of drawn customers whose month is better or worse than promised by a factor of the stated drift."""
    chance = np.random.default_rng(5)
    inside = []
    for _ in range(600):
        p = chance.beta(1, 9, 800)
        came = int((chance.random(800) < p * max(1 + drift * chance.normal(), 0)).sum())
        row = cell("order", 800, float(p.sum())) | {"variance": float((p * (1 - p)).sum())}
        told = forecast([pa.Table.from_pylist([row], PARTIAL)], {"t": drift}).to_pylist()[0]
        inside.append(told["low"] <= came <= told["high"])
    assert 0.87 <= np.mean(inside) <= 0.95


def test_a_run_promises_the_sums_of_its_probabilities(settled: tuple[Run, list[Settled]]) -> None:
    run, _ = settled
    (told,) = run.rows("forecast")
    held = pa.concat_tables(run.rows()).to_pylist()
    rows = pd.DataFrame(
        [{"task": row["task"], "grade": row["grade"], **chance} for row in held for chance in row["outlook"]]
    )
    sums = rows.groupby(["task", "outcome", "horizon_days", "grade"])["probability"].agg(["sum", "size"])
    graded = told.to_pandas().query("segment == 'all' and grade != 'all'")
    assert len(graded) == len(sums)
    for line in graded.itertuples():
        expected = sums.loc[(line.task, line.outcome, line.horizon_days, line.grade)]
        assert (line.expected, line.customers) == (pytest.approx(expected["sum"]), expected["size"])


def test_settled_against_the_orders_that_came(settled: tuple[Run, list[Settled]], in_shop: Path) -> None:
    run, lines = settled
    warehouse = connect()
    orders = warehouse.engine.to_pyarrow(warehouse.tables["orders"]).to_pandas()
    long = pa.concat_tables(run.rows())
    for line in (line for line in lines if line.segment == ALL):
        until = CLOSED + pd.Timedelta(days=line.horizon_days)
        acted = set(orders.loc[(orders.happened_at >= CLOSED) & (orders.happened_at < until), "customer_id"])
        asked = [row["customer_id"] for row in long.select(["customer_id", "task", "grade"]).to_pylist()
                 if row["task"] == line.task and line.grade in (ALL, row["grade"])]  # fmt: skip
        ordered = sum(customer in acted for customer in asked)
        assert line.happened == (len(asked) - ordered if line.outcome == "no order" else ordered)
        assert line.contacted == -1, "the shop records no contacts"
    assert len({(line.task, line.outcome, line.horizon_days) for line in lines}) == 6


def test_settled_once_and_for_all_and_open_windows_wait(
    settled: tuple[Run, list[Settled]], in_shop: Path
) -> None:
    run, lines = settled
    scores = run.folder.parent
    assert ledger(scores) == lines
    assert settle_all(connect(), scores) == lines
    assert settle_all(connect(), Path("var/scores")) == [], "the shop's own run speaks about what is not over"


def test_verdicts_advise_to_train_again_only_with_evidence() -> None:
    def line(month: int, grade: str, expected: float, happened: int) -> Settled:
        return Settled(run=f"run-{month}", as_of=datetime(2024, month, 1), task="t", model_version="1", segment=ALL, value=ALL,
                       grade=grade, outcome="order", horizon_days=30, customers=1000, expected=expected, low=expected * 0.8,
                       high=expected * 1.2, happened=happened)  # fmt: skip

    steady = [line(m, g, 100, 100 + m) for m in (1, 2, 3) for g in ("A", "B", "C", ALL)]
    (verdict,) = verdicts(steady)
    assert (verdict.inside, verdict.advice) == (1.0, "")
    drifted = [*steady, *(line(4, g, 100, 160) for g in ("A", "B", "C", ALL))]
    (verdict,) = verdicts(drifted)
    assert verdict.inside == pytest.approx(9 / 12)
    assert verdict.advice == "t: lately 1.60 times as many outcomes as were expected"
    assert np.isnan(coverage([]))
    assert command.page(drifted).lstrip().startswith(b"<?xml")
