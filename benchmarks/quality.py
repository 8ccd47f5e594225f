"""Quality on real orders: ours against the recency rule, the linear challenger and library-default LightGBM.

Same rows, same features, same cut; five runs that differ in who is drawn for calibration and in the booster's
seed, the peers of each run beside ours. Lift is ours over the peer's (above 1: ours finds more); Brier and log
loss are ours over the peer's (below 1: ours is nearer the truth).

    make bench-quality
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier

from benchmarks.record import record
from features.warehouse import Warehouse, connect
from training.blend import fit_both
from training.challenger import fit_linear, linear_probabilities
from training.dataset import Dataset, Parts, dataset, split, telling
from training.grow import numbers
from training.metrics import auc, average_precision, brier, lift_at, log_loss
from training.plan import plan
from training.task import Task
from training.tasks import task_named
from worlds import cdnow

RUNS = 5
Scores = dict[str, np.ndarray]


def main() -> None:
    with TemporaryDirectory() as scratch:
        cdnow.convert(Path(scratch))
        warehouse = connect(scratch)
        rows: dict[str, dict[str, list[float]]] = {}
        for task, data, parts in studies(warehouse):
            for seed in range(RUNS):
                compare(
                    task,
                    parts.test["outcome"].to_numpy(dtype=np.float64),
                    scores(task, data, redrawn(parts, seed), seed),
                    rows,
                )
    record(
        "quality",
        "CDNOW, out of sample: ours against each peer, median of five runs (range)",
        rows,
        {"runs": RUNS},
    )


def studies(warehouse: Warehouse) -> Iterator[tuple[Task, Dataset, Parts]]:
    """The two published cuts: by the 1/10 sample, and by time."""
    churn, intent = task_named("churn", warehouse), task_named("purchase_intent", warehouse)
    plans = (
        (churn, plan(churn, warehouse, held_out=cdnow.published_sample())),
        (intent, plan(intent, warehouse, test_at=datetime(1998, 1, 1), everyone=True)),
    )
    for task, planned in plans:
        data = dataset(task, warehouse, planned.dates)
        parts = split(data, planned)
        yield task, replace(data, features=telling(data.features, parts.fit)), parts


def redrawn(parts: Parts, seed: int) -> Parts:
    """The same test; where fit and calibration share their dates, other customers are drawn for each."""
    if set(parts.fit["as_of"]) != set(parts.calibrate["as_of"]):
        return parts
    training = pd.concat([parts.fit, parts.calibrate])
    chosen = np.random.default_rng(seed).random(len(training)) < 0.2
    return replace(parts, fit=training[~chosen], calibrate=training[chosen])


def scores(task: Task, data: Dataset, parts: Parts, seed: int) -> Scores:
    """Each scorer's values on the test rows; the peers may learn from fit and calibration together."""
    tested = numbers(parts.test, data.names)
    everything = pd.concat([parts.fit, parts.calibrate])
    default = LGBMClassifier(verbosity=-1, random_state=seed, n_jobs=1)
    default.fit(numbers(everything, data.names), everything["outcome"])
    model = fit_both(parts.fit, parts.calibrate, data.names, task.answers, parameters={"seed": seed})
    linear = fit_linear(everything, data.names, beside=model.line)
    return {
        "ours": model.probabilities(tested),
        "recency": task.rules[0].score(parts.test),
        "linear": linear_probabilities(linear, parts.test, data.names),
        "default LightGBM": np.asarray(default.predict_proba(tested))[:, 1],
    }


def compare(task: Task, outcome: np.ndarray, scored: Scores, rows: dict[str, dict[str, list[float]]]) -> None:
    """Add one run's ratios of ours to each peer."""
    weight = np.ones(len(outcome))
    lift = lift_at(0.1)
    for peer, values in scored.items():
        if peer == "ours":
            continue
        row = rows.setdefault(f"{task.name} / {peer}", {})
        ratios = {name: f(outcome, scored["ours"], weight) / f(outcome, values, weight) for name, f in
                  (("ROC AUC", auc), ("average precision", average_precision), ("lift top 10 %", lift))}  # fmt: skip
        if peer != "recency":
            ratios["Brier"] = brier(outcome, scored["ours"], weight) / brier(outcome, values, weight)
            ratios["log loss"] = log_loss(outcome, scored["ours"], weight) / log_loss(outcome, values, weight)
        for name, ratio in ratios.items():
            row.setdefault(name, []).append(ratio)


if __name__ == "__main__":
    main()
