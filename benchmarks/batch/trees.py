"""LightGBM over our tables, the same trees and rows, one thread each, as the night has one a core: raw scores of all rows,
contributions of a tenth."""

import os
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.batch.steps import measured
from benchmarks.batch.world import TASKS, rows_repeated
from features.matrix import matrix
from serving.scorer import Scorer
from training import registry

__all__ = ["trees"]


def trees(home: Path, customers: int) -> dict[str, float]:
    os.chdir(home)
    table = rows_repeated(home, customers).table()
    scorer = Scorer(registry.champion(TASKS[0]))
    values = matrix(table, list(scorer.card.features), scorer.card.levels)
    theirs = scorer.model.booster
    scorer.quicken(table.slice(0, 500))
    ours = scorer.model.booster
    assert ours is not theirs
    assert np.array_equal(ours.predict(values, raw_score=True), theirs.predict(values, raw_score=True))
    few = values[: customers // 10]
    found = {}
    for name, asked, what in (("predict", values, "raw_score"), ("contributions", few, "pred_contrib")):
        given = {what: True, "num_threads": 1}
        one, other = (measured(partial(booster.predict, asked, **given)) for booster in (theirs, ours))
        found |= {f"{name}, {unit}": one[unit] / other[unit] for unit in ("time", "processor")}
    return found
