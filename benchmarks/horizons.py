"""One model for all horizons against a model for each: log loss out of sample, seconds to train, cost of a reason.

    ours        one booster for the longest horizon, whose margin drives the hazard of every interval
    separate    a booster per horizon and outcome, each calibrated, then made coherent by force
    chained     a booster per interval, on those to whom nothing happened before
    interval    one booster over moment x interval, the interval a feature

Same rows, same features, same cut, same hazards. Every figure is ours over the peer's: below 1, ours is nearer the
truth, quicker, cheaper. Log loss is the mean over horizons and outcomes; a reason is a tree-SHAP of all horizons.

    make bench-horizons        CDNOW; WAREHOUSE_URL=... python -m benchmarks.horizons --tasks repurchase  elsewhere
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import lightgbm as lgb
import numpy as np
import pandas as pd
import typer

from benchmarks.record import record
from features.warehouse import Warehouse, connect
from training.dataset import Parts, dataset, outcomes_by_horizon, split, telling
from training.grow import PARAMETERS, ROUNDS, numbers
from training.hazards import Hazards, fit_hazards
from training.metrics import log_loss
from training.model import margins_of
from training.plan import plan
from training.task import Task
from training.tasks import task_named
from worlds import cdnow

EXPLAINED = 2_000


@dataclass(frozen=True)
class Case:
    """A task's parts, cut and numbered."""

    task: Task
    parts: Parts
    names: list[str]
    categories: list[str]

    def rows(self, part: str) -> np.ndarray:
        return numbers(getattr(self.parts, part), self.names)


@dataclass(frozen=True)
class Made:
    """A way's boosters, one per interval (the same one several times, or several), and its probabilities."""

    outlook: np.ndarray
    boosters: list[lgb.Booster]
    explains: int  # boosters x rows that explain one moment at every horizon


def main(
    tasks: Annotated[str, typer.Option(help="task names, with commas between")] = "churn,purchase_intent",
) -> None:
    with TemporaryDirectory() as scratch:
        if "WAREHOUSE_URL" in os.environ:
            measure(connect(), tasks.split(","), "the warehouse given")
        else:
            cdnow.convert(Path(scratch))
            measure(connect(scratch), tasks.split(","), "CDNOW")


def measure(warehouse: Warehouse, tasks: Sequence[str], where: str) -> None:
    table: dict[str, dict[str, list[float]]] = {}
    for name in tasks:
        case = prepared(task_named(name, warehouse), warehouse)
        figures = {way.__name__: measured(case, way) for way in (ours, separate, chained, interval)}
        for peer in ("separate", "chained", "interval"):
            columns = ("log loss", "seconds to train", "cost of a reason")
            table[f"{name} / {peer}"] = {
                column: [figures["ours"][n] / figures[peer][n]] for n, column in enumerate(columns)
            }
    record("horizons", f"{where}, out of sample: ours against each way to several horizons", table)


def prepared(task: Task, warehouse: Warehouse) -> Case:
    planned = plan(task, warehouse)
    data = dataset(task, warehouse, planned.dates)
    parts = split(data, planned)
    names = [feature.name for feature in telling(data.features, parts.fit)]
    return Case(task, parts, names, [name for name in names if name in parts.levels])


def measured(case: Case, way: Callable[[Case], Made]) -> tuple[float, float, float]:
    """Mean log loss over horizons and outcomes, seconds to train and score, seconds to explain the first rows."""
    began = time.process_time()
    made = way(case)
    trained = time.process_time() - began
    came = outcomes_by_horizon(case.task, case.parts.test).astype(np.float64)
    said = 1.0 - made.outlook if case.task.silence else made.outlook
    weight = np.ones(len(came))
    losses = [
        log_loss(came[:, k, m], said[:, k, m], weight) for k, m in np.ndindex(came.shape[1], came.shape[2])
    ]
    began = time.process_time()
    for booster in made.boosters[: made.explains]:
        width = booster.num_feature()
        rows = case.rows("test")[:EXPLAINED]
        booster.predict(np.pad(rows, ((0, 0), (0, width - rows.shape[1]))), pred_contrib=True)
    return float(np.mean(losses)), trained, time.process_time() - began


def boosted(
    rows: np.ndarray, kind: np.ndarray, case: Case, *more: str, outcomes: int | None = None
) -> lgb.Booster:
    classes = (outcomes or len(case.task.kinds)) + 1
    several = {"objective": "multiclass", "num_class": classes} if classes > 2 else {}
    table = lgb.Dataset(
        rows,
        kind,
        feature_name=[*case.names, *more],
        categorical_feature=case.categories,
        params={"verbosity": -1},
    )
    return lgb.train({**PARAMETERS, **several, "num_threads": 1}, table, num_boost_round=ROUNDS)


def hazards_of(case: Case, margins: Sequence[np.ndarray]) -> Hazards:
    """Calibration of each interval's own margins."""
    calibrate, intervals = case.parts.calibrate, len(case.task.horizons_days)
    kind, when = calibrate["kind"].to_numpy(), calibrate["interval"].to_numpy()
    each = [fit_hazards(margin, kind, when, intervals) for margin in margins]
    return Hazards(
        tuple(h.slopes[k] for k, h in enumerate(each)), tuple(h.intercepts[k] for k, h in enumerate(each))
    )


def outlook(hazards: Hazards, margins: Sequence[np.ndarray]) -> np.ndarray:
    """As `Hazards.outlook`, with margins of their own for each interval."""
    intercepts = np.asarray(hazards.intercepts)
    moved = np.stack([np.asarray(s) * z for s, z in zip(hazards.slopes, margins, strict=True)], axis=1)
    odds = np.exp(np.clip(moved + intercepts, -500, 500))
    nothing = 1 / (1 + odds.sum(axis=2))
    before = np.cumprod(np.c_[np.ones(len(nothing)), nothing[:, :-1]], axis=1)
    return np.asarray(np.cumsum(odds * (nothing * before)[:, :, None], axis=1))


def ours(case: Case) -> Made:
    booster = boosted(case.rows("fit"), case.parts.fit["kind"].to_numpy(), case)
    intervals = len(case.task.horizons_days)
    hazards = hazards_of(case, [margins_of(booster, case.rows("calibrate"))] * intervals)
    return Made(outlook(hazards, [margins_of(booster, case.rows("test"))] * intervals), [booster], 1)


def chained(case: Case) -> Made:
    boosters = [boosted(rows, kind, case) for rows, kind in waiting(case)]
    hazards = hazards_of(case, [margins_of(b, case.rows("calibrate")) for b in boosters])
    margins = [margins_of(b, case.rows("test")) for b in boosters]
    return Made(outlook(hazards, margins), boosters, len(boosters))


def interval(case: Case) -> Made:
    stacked = [(np.c_[rows, np.full(len(rows), k)], kind) for k, (rows, kind) in enumerate(waiting(case))]
    rows, kinds = np.vstack([r for r, _ in stacked]), np.concatenate([kind for _, kind in stacked])
    booster = boosted(rows, kinds, case, "interval")
    intervals = len(case.task.horizons_days)

    def margins(part: str) -> list[np.ndarray]:
        table = case.rows(part)
        return [margins_of(booster, np.c_[table, np.full(len(table), k)]) for k in range(intervals)]

    return Made(
        outlook(hazards_of(case, margins("calibrate")), margins("test")), [booster] * intervals, intervals
    )


def waiting(case: Case) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per interval the rows to whom nothing has happened before, and what happens in it."""
    made, fit = [], case.parts.fit
    for k in range(len(case.task.horizons_days)):
        rows = fit[fit["interval"] >= k]
        made.append((numbers(rows, case.names), np.where(rows["interval"] == k, rows["kind"], 0)))
    return made


def separate(case: Case) -> Made:
    """A model per horizon and outcome; then the greatest so far, and shares of one where they sum past it."""
    horizons, kinds = len(case.task.horizons_days), len(case.task.kinds)
    found, boosters = np.zeros((len(case.parts.test), horizons, kinds)), []
    for k, m in np.ndindex(horizons, kinds):
        booster = boosted(case.rows("fit"), _by(case.parts.fit, k, m), case, outcomes=1)
        came = _by(case.parts.calibrate, k, m)
        hazards = fit_hazards(margins_of(booster, case.rows("calibrate")), came, 1 - came, 1)
        found[:, k, m] = hazards.outlook(margins_of(booster, case.rows("test")))[:, 0, 0]
        boosters.append(booster)
    found = np.maximum.accumulate(found, axis=1)
    return Made(found / np.maximum(found.sum(axis=2, keepdims=True), 1), boosters, len(boosters))


def _by(rows: pd.DataFrame, horizon: int, kind: int) -> np.ndarray:
    return ((rows["interval"] <= horizon) & (rows["kind"] == kind + 1)).to_numpy().astype(np.int64)


if __name__ == "__main__":
    typer.run(main)
