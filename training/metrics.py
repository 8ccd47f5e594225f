"""How good a list is: each metric on weighted rows, so that a bootstrap only changes the weights.

`outcome` is 0/1, `score` orders rows (higher: more likely), `probability` is calibrated, `weight` counts rows.
Equal scores share their place: no metric depends on how ties happen to be sorted.
"""

from collections.abc import Callable, Mapping

import numpy as np

__all__ = [
    "BINS",
    "OF_PROBABILITIES",
    "OF_RANKS",
    "Metric",
    "auc",
    "average_precision",
    "bins_of",
    "brier",
    "ece",
    "lift_at",
    "log_loss",
]

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
BINS = 10


def auc(outcome: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """Chance that a row with the outcome is ranked above one without it; equal scores count half."""
    with_it, without = _by_score(outcome, score, weight)
    above = np.cumsum(without) - without
    pairs = with_it.sum() * without.sum()
    return float((with_it * (without.sum() - above - without / 2)).sum() / pairs) if pairs else float("nan")


def average_precision(outcome: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """Mean precision over the rows with the outcome, from the top of the list down."""
    with_it, without = _by_score(outcome, score, weight)
    found, listed = np.cumsum(with_it), np.cumsum(with_it + without)
    return (
        float((with_it * found / np.maximum(listed, 1e-300)).sum() / with_it.sum())
        if with_it.sum()
        else float("nan")
    )


def lift_at(share: float) -> Metric:
    """Outcomes in the top `share` of the list over those in a random list of that size."""

    def lift(outcome: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
        with_it, without = _by_score(outcome, score, weight)
        rows, capacity = with_it + without, share * weight.sum()
        taken = np.clip(capacity - (np.cumsum(rows) - rows), 0, rows)
        found = (with_it * taken / np.maximum(rows, 1e-300)).sum()
        return float(found / (share * with_it.sum())) if with_it.sum() else float("nan")

    return lift


def brier(outcome: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Mean square of what was promised less what happened."""
    return float(np.average((probability - outcome) ** 2, weights=weight))


def log_loss(outcome: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Mean of minus the logarithm of the chance given to what happened; chances are held within 1e-15 of 0 and 1."""
    p = np.clip(probability, 1e-15, 1 - 1e-15)
    return float(np.average(-np.log(np.where(outcome == 1, p, 1 - p)), weights=weight))


def ece(outcome: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> float:
    """Expected calibration error: mean gap between promised and happened over ten bins of equal size."""
    bins = bins_of(probability)
    promised = np.bincount(bins, weight * probability, BINS)
    happened = np.bincount(bins, weight * outcome, BINS)
    return float(np.abs(promised - happened).sum() / weight.sum())


OF_RANKS: Mapping[str, Metric] = {
    "auc": auc,
    "average_precision": average_precision,
    "lift_1": lift_at(0.01),
    "lift_5": lift_at(0.05),
    "lift_10": lift_at(0.10),
    "lift_20": lift_at(0.20),
}
OF_PROBABILITIES: Mapping[str, Metric] = {"brier": brier, "log_loss": log_loss, "ece": ece}


def bins_of(probability: np.ndarray) -> np.ndarray:
    """Each row's bin of `BINS` that hold equally many; equal probabilities share one."""
    edges = np.quantile(probability, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(edges, probability, side="right")


def _by_score(outcome: np.ndarray, score: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight with and without the outcome for each distinct score, highest first."""
    order = np.argsort(-score, kind="stable")
    ranked, weights = score[order], weight[order].astype(np.float64)
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    happened = weights * outcome[order]
    return np.add.reduceat(happened, starts), np.add.reduceat(weights - happened, starts)
