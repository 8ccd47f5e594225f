"""Every metric in every draw of a bootstrap: rows are ranked once, and only their weights change.

The metrics themselves, one list and one weight at a time, are in `training.metrics`; the tests compare the two.
"""

from dataclasses import dataclass

import numpy as np

from training.metrics import BINS, bins_of
from training.resampling import Draws, Figure

__all__ = ["EVERY_PERCENT", "Lists", "Promises", "aucs", "lifts", "lists_of", "log_losses", "promises_of"]

EVERY_PERCENT = np.arange(101) / 100


@dataclass(frozen=True)
class Lists:
    """What the top of a ranking holds, by draw: `found` (draws x shares) outcomes in the top `shares` of the list, in
    proportion where equal scores lie across its edge; `rows` and `outcomes` in all; ROC AUC and average precision."""

    shares: np.ndarray
    rows: np.ndarray
    outcomes: np.ndarray
    found: np.ndarray
    auc: np.ndarray
    average_precision: np.ndarray

    def found_at(self, share: float) -> np.ndarray:
        """Outcomes in the top `share`, one of `shares`."""
        return np.asarray(self.found[:, int(np.abs(self.shares - share).argmin())])

    def lift(self, share: float) -> np.ndarray:
        """Outcomes in the top `share` over those in a random list of that size."""
        return _over(self.found_at(share), share * self.outcomes)

    def precision(self, share: float) -> np.ndarray:
        """Share of the list that had the outcome."""
        return _over(self.found_at(share), share * self.rows)


@dataclass(frozen=True)
class Promises:
    """How far probabilities are from what happened, by draw."""

    brier: np.ndarray
    log_loss: np.ndarray
    ece: np.ndarray


def lists_of(outcome: np.ndarray, score: np.ndarray, draws: Draws, shares: np.ndarray) -> Lists:
    """Rank rows by score, highest first, and look at the lists of every draw."""
    order = np.argsort(-score, kind="stable")
    ranked, happened, who = score[order], (outcome[order] == 1).astype(np.uint8), draws.customer[order]
    ends = np.r_[0, np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True]) + 1]
    count = len(draws)
    made = Lists(shares, *(np.empty(size) for size in (count, count, (count, len(shares)), count, count)))
    desk = _Desk(draws.step(len(who)), len(who), ends)
    for block, rows in draws.blocks(who):
        desk.look(made, block, rows, happened)
    return made


class _Desk:
    """Room to count a block of draws in; asking the system for it anew each time would cost more than the counting. Whole
    numbers are summed up ten times as fast as others."""

    def __init__(self, draws: int, rows: int, ends: np.ndarray) -> None:
        self.ends = None if len(ends) == rows + 1 else ends
        self.sums = np.zeros((2, draws, rows + 1), np.int32)
        self.with_it = np.empty((draws, rows), np.uint8)
        self.each = np.empty((draws, len(ends) - 1))

    def look(self, made: Lists, block: slice, rows: np.ndarray, happened: np.ndarray) -> None:
        """Fill in a block of draws from how often each row, best first, is in them."""
        (listed, found), each = self.sums[:, : len(rows)], self.each[: len(rows)]
        with_it = np.multiply(rows, happened, out=self.with_it[: len(rows)])
        np.cumsum(rows, axis=1, dtype=np.int32, out=listed[:, 1:])
        np.cumsum(with_it, axis=1, dtype=np.int32, out=found[:, 1:])
        if self.ends is not None:  # equal scores share their place
            listed, found = listed[:, self.ends], found[:, self.ends]
            rows, with_it = np.diff(listed, axis=1), np.diff(found, axis=1)
        total, outcomes = listed[:, -1].astype(np.float64), found[:, -1].astype(np.float64)
        made.rows[block], made.outcomes[block] = total, outcomes
        made.found[block] = [np.interp(made.shares * n, x, y) for n, x, y in zip(total, listed, found, strict=True)]  # fmt: skip
        np.add(found[:, 1:], found[:, :-1], out=each)  # an outcome among equal scores counts half
        above = (np.einsum("ij,ij->i", rows, each) - outcomes**2) / 2
        made.auc[block] = _over(above, outcomes * (total - outcomes))
        np.divide(found[:, 1:], np.maximum(listed[:, 1:], 1), out=each)
        made.average_precision[block] = _over(np.einsum("ij,ij->i", with_it, each), outcomes)


def promises_of(outcome: np.ndarray, probability: np.ndarray, draws: Draws) -> Promises:
    """Brier score, log loss and calibration error of every draw. The calibration error of a resample is larger than that
    of the sample by the noise it adds; that excess is taken off."""
    p = np.clip(probability, 1e-15, 1 - 1e-15)
    loss = -np.log(np.where(outcome == 1, p, 1 - p))
    tenths = bins_of(probability)[:, None] == np.arange(BINS)
    gaps = (probability - outcome)[:, None] * tenths
    sums = draws.sums(np.column_stack([np.ones(len(outcome)), (probability - outcome) ** 2, loss, gaps]))
    rows = sums[:, 0]
    return Promises(sums[:, 1] / rows, sums[:, 2] / rows, _without_excess(np.abs(sums[:, 3:]).sum(axis=1) / rows))  # fmt: skip


def aucs(outcome: np.ndarray, score: np.ndarray, draws: Draws) -> np.ndarray:
    """ROC AUC in every draw; a `Figure`."""
    return lists_of(outcome, score, draws, np.zeros(1)).auc


def log_losses(outcome: np.ndarray, probability: np.ndarray, draws: Draws) -> np.ndarray:
    """Log loss in every draw; a `Figure`."""
    return promises_of(outcome, probability, draws).log_loss


def lifts(share: float) -> Figure:
    """The lift of the top `share`."""

    def lift(outcome: np.ndarray, score: np.ndarray, draws: Draws) -> np.ndarray:
        return lists_of(outcome, score, draws, np.array([share])).lift(share)

    return lift


def _over(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A ratio; not a number where there is nothing to divide by."""
    return np.asarray(np.divide(one, other, out=np.full(np.shape(one), np.nan), where=other > 0))


def _without_excess(values: np.ndarray) -> np.ndarray:
    """Resampled values moved so that their mean is the estimate, never below nought."""
    if len(values) < 2:
        return values
    return np.asarray(np.r_[values[0], np.maximum(values[1:] - (values[1:].mean() - values[0]), 0)])
