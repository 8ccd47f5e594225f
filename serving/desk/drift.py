"""How far today's customers are from those a model learned from: the population stability index of its heaviest columns.

It is that of `training.spread` over the bins that lie beside the model (see `training.drift`, which tells all columns, what
chance gives and what to do); computed here over arrays, so that the service needs no data frames.
"""

from typing import Any

import numpy as np

from serving.contract.people import Drift, DriftLine
from serving.desk.day import Day
from serving.desk.picked import Picked
from serving.scorer import Scorer

__all__ = ["drift_of"]

HEAVIEST = 15
MOST = 100_000


def drift_of(scorer: Scorer, day: Day) -> Drift | None:
    """None for a model without a baseline, or while everybody is being ranked."""
    baseline, population = scorer.loaded.baseline, day.population(scorer)
    if baseline is None or population is None or not len(population.place):
        return None
    step = max(len(population.place) // MOST, 1)
    places = np.sort(population.place)[::step]
    rows = Picked(day.sheet, [""] * len(places), places)
    features = {feature.name: feature for feature in scorer.features}
    heaviest = sorted(baseline.weights, key=lambda name: -baseline.weights[name])[:HEAVIEST]
    lines = [
        DriftLine(
            name,
            features[name].en,
            features[name].zh,
            _index(baseline.features[name], _shares(baseline.features[name], name, rows), len(places)),
            baseline.tested[name],
            baseline.weights[name],
        )
        for name in heaviest
    ]
    scores = _binned(baseline.scores, population.probability)
    return Drift(
        scorer.task,
        len(population.place),
        _index(baseline.scores, scores, len(population.place)),
        baseline.tested_scores,
        lines,
    )


def _shares(spread: Any, name: str, rows: Picked) -> np.ndarray:
    """Today's shares over the learned bins: nothing, a word not learned, each bin."""
    if spread.levels is None:
        return _binned(spread, rows.numbers(name))
    words = np.array([word or "" for word in rows.words(name)])
    shares = [float((words == level).mean()) for level in spread.levels]
    missing = float((words == "").mean())
    return np.array([missing, max(1 - missing - sum(shares), 0.0), *shares])


def _binned(spread: Any, values: np.ndarray) -> np.ndarray:
    there = values[~np.isnan(values)]
    counted = np.bincount(np.searchsorted(spread.edges, there, side="left"), minlength=len(spread.edges) + 1)
    return np.array([1 - len(there) / len(values), 0.0, *(counted / len(values))])


def _index(spread: Any, today: np.ndarray, rows: int) -> float:
    least = 0.5 / max(rows, 1)
    q, p = np.maximum(spread.parts, least), np.maximum(today, least)
    both = (spread.parts > 0) | (today > 0)
    return float(((p - q) * np.log(p / q))[both].sum())
