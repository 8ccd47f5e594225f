"""Performance without outcomes: what the figures should be if the probabilities are true.

A calibrated probability says how often its rows have the outcome, and so how good a ranking by it will prove (confidence-based
estimation, as in Bialek et al. 2024). The interval is that of the figure which will be measured once windows close: customers
are drawn again and each has the outcome by chance, as promised. It sees that other people are asked about. It cannot see
that the same people act otherwise than they did: that only outcomes show.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from training.metrics import auc, brier, log_loss
from training.resampling import Estimate

__all__ = ["BLIND_SPOT", "expected"]

BLIND_SPOT = "holds while the probabilities are true; it cannot see that the same people act otherwise"
REPLICATES = 100
MOST_ROWS = 20_000


def expected(
    probability: np.ndarray, customer_ids: pd.Series, *, replicates: int = REPLICATES, seed: int = 7
) -> Mapping[str, Estimate]:
    """AUC, Brier, log loss and the share with the outcome, each with a 95 % interval, from probabilities alone."""
    generator = np.random.default_rng(seed)
    drawn = np.sort(generator.permutation(len(probability))[:MOST_ROWS])
    p, who = probability[drawn], pd.factorize(customer_ids.iloc[drawn])[0]
    count = int(who.max()) + 1
    found = [
        _figures((generator.random(len(p)) < p).astype(np.float64), p, _times(generator, who, count))
        for _ in range(replicates)
    ]
    middle = _promised(p)
    return {
        name: Estimate(
            middle[name], *(float(q) for q in np.nanpercentile([one[name] for one in found], [2.5, 97.5]))
        )
        for name in middle
    }


def _promised(p: np.ndarray) -> dict[str, float]:
    """Means over all outcomes, in closed form: metrics are linear in them, and AUC is a ratio of two such sums."""
    entropy = -(p * np.log(np.clip(p, 1e-15, 1)) + (1 - p) * np.log(np.clip(1 - p, 1e-15, 1)))
    return {
        "auc": auc(p, p, np.ones(len(p))),
        "brier": float((p * (1 - p)).mean()),
        "log_loss": float(entropy.mean()),
        "outcome_share": float(p.mean()),
    }


def _figures(outcome: np.ndarray, p: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    return {
        "auc": auc(outcome, p, weight),
        "brier": brier(outcome, p, weight),
        "log_loss": log_loss(outcome, p, weight),
        "outcome_share": float(np.average(outcome, weights=weight)),
    }


def _times(generator: np.random.Generator, who: np.ndarray, count: int) -> np.ndarray:
    drawn = np.bincount(generator.integers(0, count, count), minlength=count)
    return np.asarray(drawn[who], dtype=np.float64)
