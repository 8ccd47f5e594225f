"""How many outcomes a list will hold, with an interval that does not pretend the probabilities are exact.

If every probability were true, the count would scatter around their sum by chance alone. But they may all be off together:
the card tells how many outcomes the test promised and how many came, in all and by segment and month. A list is one more group
of customers, so it is taken to be off as those groups were. How far a group's log-odds lie from what was promised has the
variance of chance, and beyond it one that the groups share, estimated around no error at all by the method of moments
(DerSimonian and Laird 1986), so that a bias common to all counts too. What the whole test could not have told, 1 / promised in
all, is added, and the deviation widened as Student's law is beyond the normal one where groups are few. It shifts the odds.

The 95 % interval is of the count itself: normal shifts on the odds, and under each the exact law of the sum of unequal chances
(Poisson-binomial) where lists are short, the normal one where its variance is large.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import erf, sqrt

import numpy as np

from serving.contract.lists import Found

__all__ = ["Calibration", "found_in"]

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
LARGE_VARIANCE = 30.0
MOST_EXACT = 400
FEWEST_PROMISED = 5.0
LEAST = 1e-12
BEYOND_NORMAL = (1.96**2 + 1) / 4  # of Student's 97.5 %, by its first term in 1 / groups


@dataclass(frozen=True)
class Calibration:
    """`sd` of the shift that a list's odds may have, on the log scale."""

    sd: float

    @classmethod
    def of(cls, groups: Iterable[tuple[int, float, int]], whole: tuple[int, float, int]) -> "Calibration":
        """From (rows, promised, happened) of the test's groups and of all of it. Groups of less than five promised outcomes
        say nothing."""
        kept = [one for one in groups if one[1] >= FEWEST_PROMISED and one[0] > one[1]]
        rows, promised, happened = (
            np.array(column, dtype=np.float64) for column in zip(*(kept or [whole]), strict=True)
        )
        share = np.clip(promised / rows, LEAST, 0.99)
        came = (happened + 0.5) / (rows + 1)
        off = np.log(came / (1 - came)) - np.log(share / (1 - share))
        chance = 1.0 / np.maximum(rows * share * (1 - share), LEAST)
        weight = 1.0 / chance
        shared = max(float((weight * (off**2 - chance)).sum() / weight.sum()), 0.0)
        told = 1.0 / max(whole[1], LEAST)
        few = 1.0 + BEYOND_NORMAL / len(rows)
        return cls(float(np.sqrt(few**2 * shared + min(told, 1.0))))


def found_in(probabilities: np.ndarray, calibration: Calibration, sizes: Sequence[int]) -> list[Found]:
    """For lists of the first so many of the probabilities: outcomes to expect. `sizes` rise."""
    shifts = np.exp(calibration.sd * NODES)[:, None]
    mean, variance = np.zeros(len(NODES)), np.zeros(len(NODES))
    expected = chance = 0.0
    before, found = 0, []
    for size in sizes:
        more = probabilities[before:size]
        shifted = _shifted(more, shifts)
        mean, variance = mean + shifted.sum(axis=1), variance + (shifted * (1 - shifted)).sum(axis=1)
        expected, chance = expected + float(more.sum()), chance + float((more * (1 - more)).sum())
        before = size
        if size <= MOST_EXACT and variance.max() < LARGE_VARIANCE:
            low, high = _exact(_shifted(probabilities[:size], shifts))
        else:
            low, high = _normal(mean, np.sqrt(np.maximum(variance, LEAST)))
        between = float(np.sqrt(WEIGHTS @ (mean - WEIGHTS @ mean) ** 2))
        low, high = min(low, expected), max(min(high, float(size)), expected)
        found.append(Found(expected, low, high, float(np.sqrt(chance)), between))
    return found


def _shifted(probabilities: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """(shifts x probabilities): the probabilities when the odds are multiplied."""
    held = np.clip(probabilities, LEAST, 1 - LEAST)
    odds = held / (1 - held) * shifts
    return np.asarray(odds / (1 + odds))


def _exact(chances: np.ndarray) -> tuple[float, float]:
    """2.5 % and 97.5 % of a mixture of Poisson-binomial laws (nodes x customers), added up customer by customer."""
    law = np.zeros((len(chances), chances.shape[1] + 1))
    law[:, 0] = 1.0
    for n, chance in enumerate(chances.T):
        law[:, 1 : n + 2] = law[:, 1 : n + 2] * (1 - chance[:, None]) + law[:, : n + 1] * chance[:, None]
        law[:, 0] *= 1 - chance
    below = np.cumsum(WEIGHTS @ law)
    return float(np.searchsorted(below, 0.025)), float(np.searchsorted(below, 0.975))


def _normal(mean: np.ndarray, sd: np.ndarray) -> tuple[float, float]:
    """The same of a mixture of normal laws, by halving."""
    return _quantile(mean, sd, 0.025), _quantile(mean, sd, 0.975)


def _quantile(mean: np.ndarray, sd: np.ndarray, wanted: float) -> float:
    low, high = float((mean - 8 * sd).min()), float((mean + 8 * sd).max())
    for _ in range(50):
        middle = (low + high) / 2
        below = float(WEIGHTS @ _below((middle - mean) / sd))
        low, high = (middle, high) if below < wanted else (low, middle)
    return max((low + high) / 2, 0.0)


def _below(z: np.ndarray) -> np.ndarray:
    """The normal distribution function."""
    return np.array([0.5 * (1 + erf(one / sqrt(2))) for one in z])
