"""How far promises are from what happens, with and without the noise of a test.

A test of so many customers shows a calibration error even where every probability is true, for gaps between promised and
happened count whatever their sign. Their squares can be freed of that: noise adds the variance of a bin's gap to its
square, and the customers themselves tell that variance (Broecker 2012 and Ferro and Fricker 2012 for the reliability of
forecasts; the debiased estimator of Kumar, Liang and Ma 2019). So there are two errors:

    plain        mean size of the gaps over ten bins of equal size (`training.metrics.ece`); grows as customers get fewer
    corrected    the same, the gaps shrunk so that their mean square is what is left of it without noise (Louis 1984):
                 nought where noise explains them all

A customer's moments share their luck, so variances and intervals are of customers.
"""

from dataclasses import dataclass

import numpy as np

from training.metrics import BINS, bins_of

__all__ = ["Calibration", "calibration_of"]

DRAWS = 400
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Calibration:
    """Both errors, `low` and `high` of the corrected one's 95 % interval, and what chance alone gives: what either stays
    below, in the asked share of tests of this size, when every probability is true."""

    plain: float
    corrected: float
    low: float
    high: float
    plain_by_chance: float
    by_chance: float


def calibration_of(
    outcome: np.ndarray, probability: np.ndarray, customers: np.ndarray, *, share: float = 0.95, seed: int = 7
) -> Calibration:
    """Calibration of `probability` for rows with `outcome` 0/1, each row of one of `customers`.

    The interval is of customers drawn again, less the noise that a resample has beyond the sample's. For chance alone, each
    customer's gaps keep their size and, together, get a sign by chance (the wild bootstrap by cluster of Cameron, Gelbach
    and Miller 2008).
    """
    gaps = _gaps(outcome, probability, customers)
    rows, squares = np.bincount(bins_of(probability), minlength=BINS), gaps**2
    generator, count = np.random.default_rng(seed), len(gaps)
    ones = np.ones((1, count))
    measured = _measured(ones @ gaps, ones @ squares, count, rows)
    signs = (generator.integers(0, 2, count) * 2.0 - 1.0 for _ in range(DRAWS))
    signed = _measured(np.array([drawn @ gaps for drawn in signs]), ones @ squares, count, rows)
    times = (np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(DRAWS))
    sums = np.array([(drawn @ gaps, drawn @ squares) for drawn in times])
    drawn = _measured(sums[:, 0], sums[:, 1], count, rows)
    square = drawn.square - drawn.noise - measured.noise
    low, high = measured.shrunk(np.quantile(square, INTERVAL))
    return Calibration(
        plain=float(measured.plain[0]),
        corrected=float(measured.corrected[0]),
        low=float(low),
        high=float(high),
        plain_by_chance=float(np.quantile(signed.plain, share)),
        by_chance=float(np.quantile(signed.corrected, share)),
    )


@dataclass(frozen=True)
class _Measured:
    """By draw: the mean size of the bins' gaps, their mean square, and what noise adds to the square."""

    plain: np.ndarray
    square: np.ndarray
    noise: np.ndarray

    @property
    def corrected(self) -> np.ndarray:
        return self.shrunk(self.square - self.noise)

    def shrunk(self, square: np.ndarray) -> np.ndarray:
        """The mean size of gaps whose mean square is this, in the same proportions."""
        return np.asarray(self.plain * np.sqrt(np.maximum(square, 0) / np.maximum(self.square, 1e-300)))


def _measured(sums: np.ndarray, squares: np.ndarray, count: int, rows: np.ndarray) -> _Measured:
    """From sums of the customers' gaps and of their squares (draws x bins), `count` customers and `rows` by bin."""
    per_row, total = 1 / np.maximum(rows, 1), rows.sum()
    variances = count / max(count - 1, 1) * (squares - sums**2 / count)
    return _Measured(np.abs(sums).sum(axis=1) / total, sums**2 @ per_row / total, variances @ per_row / total)


def _gaps(outcome: np.ndarray, probability: np.ndarray, customers: np.ndarray) -> np.ndarray:
    """(customers x bins): by how much more was promised than happened, summed over a customer's rows."""
    found, who = np.unique(customers, return_inverse=True)
    place = who * BINS + bins_of(probability)
    return np.bincount(place, probability - outcome, len(found) * BINS).reshape(len(found), BINS)
