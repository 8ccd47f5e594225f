"""Intervals: customers are drawn again, so that a customer's several moments stay together.

Bootstrap percentiles over customers (Efron and Tibshirani 1993). The first draw holds everyone once, so that its figure
is the estimate and the others are its interval.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["REPLICATES", "Draws", "Estimate", "Figure", "draws_of", "estimate", "lead", "mean_by_customer"]

REPLICATES = 200
REPLICATES_OF_A_MEAN = 2000
CELLS_OF_A_BLOCK = 60_000  # what is worked on at a time stays in the processor's cache


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"


@dataclass(frozen=True)
class Draws:
    """`customer` is each row's customer, as a place; `times` (draws x customers) how often each draw holds them."""

    customer: np.ndarray
    times: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def step(self, places: int) -> int:
        """How many draws of so many places make a block."""
        return min(max(1, CELLS_OF_A_BLOCK // max(places, 1)), len(self.times))

    def blocks(self, places: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """A few draws at a time: which, and how often (draws x places) they hold the customers at `places`; good until
        the next block, which is written into the same room."""
        step = self.step(len(places))
        room = np.empty((step, len(places)), np.uint8)
        for start in range(0, len(self.times), step):
            block = slice(start, min(start + step, len(self.times)))
            times = np.take(self.times[block], places, axis=1, out=room[: block.stop - start], mode="clip")
            yield block, times

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(draws x columns): a sum over rows in each draw, of (rows x columns) values."""
        count = self.times.shape[1]
        by_customer = np.stack([np.bincount(self.customer, column, count) for column in values.T], axis=1)
        found = np.empty((len(self), by_customer.shape[1]))
        for block, times in self.blocks(np.arange(count)):
            found[block] = times.astype(np.float64) @ by_customer
        return found


# A metric in every draw, from outcomes, scores and draws; see `training.ranking`.
Figure = Callable[[np.ndarray, np.ndarray, Draws], np.ndarray]


def draws_of(customer_ids: pd.Series, replicates: int = REPLICATES, seed: int = 7) -> Draws:
    """Everyone once, and then so many draws of as many customers, with replacement."""
    customer, count = pd.factorize(customer_ids)[0], customer_ids.nunique()
    generator = np.random.default_rng(seed)
    times = np.ones((replicates + 1, count), dtype=np.uint8)  # nobody is drawn 256 times
    for draw in times[1:]:
        draw[:] = np.bincount(generator.integers(0, count, count), minlength=count)
    return Draws(customer, times)


def estimate(values: np.ndarray) -> Estimate:
    """The first value with the 2.5 and 97.5 percentiles of the others; values that are not numbers are passed over."""
    value, others = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not len(others):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(others, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def lead(
    figure: Figure,
    test: pd.DataFrame,
    score: np.ndarray,
    other: np.ndarray | None = None,
    *,
    replicates: int = REPLICATES,
) -> Estimate:
    """A figure of `score` on the test rows (customer_id, outcome), less that of `other` on the same redrawn customers."""
    outcome, draws = test["outcome"].to_numpy(dtype=np.float64), draws_of(test["customer_id"], replicates)
    less = figure(outcome, other, draws) if other is not None else 0.0
    return estimate(figure(outcome, score, draws) - less)


def mean_by_customer(
    values: np.ndarray, customer_ids: pd.Series, *, replicates: int = REPLICATES_OF_A_MEAN, seed: int = 7
) -> Estimate:
    """The mean of a value per row, such as a difference of two scorers, customers drawn again."""
    customers, count = pd.factorize(customer_ids)[0], customer_ids.nunique()
    sums, rows = np.bincount(customers, values, count), np.bincount(customers, minlength=count)
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(0, count, count) for _ in range(replicates))
    means = [sums[who].sum() / rows[who].sum() for who in drawn]
    return estimate(np.r_[values.mean(), means])
