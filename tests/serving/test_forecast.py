"""Forecasts: how many will act, with an interval that holds what comes; and settled against what came."""

from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features import nightly
from features.warehouse import connect
from serving.batch import batch
from serving.forecast import PARTIAL, Doubt, beyond_chance, doubts, forecast
from serving.ledger import ALL, Settled, ledger
from serving.runs import Run
from serving.scorer import Scorer
from serving.settle import coverage, settle_all, verdicts
from serving.settled_page import page, picture
from training import registry

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
    found = {row["grade"]: row for row in forecast(parts, {"t": Doubt(0.1, 0.1)}).to_pylist()}
    assert {grade: (row["customers"], row["expected"]) for grade, row in found.items()} == {
        "A": (40, 6.0),
        "B": (5, 1.0),
        "all": (45, 7.0),
    }
    for row in found.values():
        assert 0 <= row["low"] < row["expected"] < row["high"] <= row["customers"]


@pytest.mark.parametrize(
    ("lists", "doubt"),
    [
        ([], 0.2),
        ([(10_000, 1000.0, 1000)] * 3, 0.13),  # on the spot: less doubt than usual
        ([(10_000, 1000.0, 1300)] * 3, 0.27),  # a third more or less, in odds, beyond chance
        ([(10_000, 1000.0, 1300), (10_000, 1000.0, 750)], 0.26),
        ([(60, 6.0, 8)] * 3, 0.05),  # so few may be off by as much by chance
        ([(10, 0.0, 0)], 0.2),
    ],
)
def test_doubt_is_what_chance_does_not_explain(lists: list[tuple[int, float, int]], doubt: float) -> None:
    assert beyond_chance(lists, 0.2) == pytest.approx(doubt, abs=0.02)


def test_windows_that_overlap_count_for_less() -> None:
    lists = [(10_000, 1000.0, 1400)] * 6
    assert beyond_chance(lists, 0.1, apart=0.1) < beyond_chance(lists, 0.1) < beyond_chance(lists * 5, 0.1)


@pytest.mark.parametrize("grade", ["A", "all"])
@pytest.mark.parametrize("doubt", [Doubt(0.05, 0.1), Doubt(0.15, 0.3)])
def test_ninety_of_a_hundred_intervals_hold(doubt: Doubt, grade: str) -> None:
    """Lists of drawn customers of three grades, whose odds a month shifts by as much as stated, and a grade beside it."""
    chance = np.random.default_rng(5)
    inside = []
    for _ in range(600):
        month, rows, came = doubt.month * chance.normal(), [], []
        for name in ("A", "B", "C"):
            p = chance.beta(1, 9, 800)
            own = doubt.grade * chance.normal() if grade == name else 0.0
            odds = p / (1 - p) * np.exp(month + own)
            came.append(int((chance.random(800) < odds / (1 + odds)).sum()))
            rows.append(cell("order", 800, float(p.sum()), name) | {"variance": float((p * (1 - p)).sum())})
        told = {
            row["grade"]: row
            for row in forecast([pa.Table.from_pylist(rows, PARTIAL)], {"t": doubt}).to_pylist()
        }
        happened = came[0] if grade == "A" else sum(came)
        inside.append(told[grade]["low"] <= happened <= told[grade]["high"])
    assert 0.86 <= np.mean(inside) <= 0.95


def test_settled_runs_teach_the_next_one(settled: tuple[Run, list[Settled]], in_shop: Path) -> None:
    scorers = [Scorer(champion) for champion in registry.champions()]
    untaught, _ = doubts(scorers), settled
    assert {told.segment for told in scorers[0].card.segments} >= {"month", "grade"}
    lines = settled[1]
    off = [
        msgspec.structs.replace(line, happened=min(int(1.6 * line.expected), line.customers))
        for line in lines
    ]
    taught = doubts(scorers, off)
    assert all(taught[task].grade > untaught[task].grade for task in untaught)
    assert doubts(scorers, [line for line in lines if line.segment != ALL]) == untaught


def test_a_model_tested_at_the_dates_it_learned_from_is_doubted_more_until_runs_of_it_are_settled(
    settled: tuple[Run, list[Settled]], in_shop: Path
) -> None:
    (scorer, *_) = [Scorer(champion) for champion in registry.champions()]
    card = msgspec.structs.replace(scorer.card, fit_at=scorer.card.test_at)
    untested = SimpleNamespace(task=scorer.task, card=card)
    assert doubts([untested])[scorer.task].month == pytest.approx(0.35)
    assert doubts([scorer])[scorer.task].month < 0.2
    held = [
        msgspec.structs.replace(line, happened=round(line.expected), run=f"run {n}")
        for line in settled[1]
        for n in range(20)
    ]
    assert doubts([untested], held)[scorer.task].month < 0.3


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
    assert picture(drifted).lstrip().startswith(b"<?xml")
    told = page(drifted, verdicts(drifted)).decode()
    assert "2,460 happened of 2,400 expected" not in told
    assert "Train again: t: lately 1.60 times" in told
    assert "建议重新训练" in told
    assert told.count('class="outside"') == 5  # of the newest run every grade and all, and all in its month
    assert "http" not in told.replace("http-equiv", "")
