"""A column's spread: its shares over bins learned once, as plain numbers, and how far another spread is from it.

The measure is the population stability index, sum of (p - q) log(p / q) over bins, q as learned. By custom .10 is worth a
look and .25 a deed (Siddiqi 2006); by chance alone it follows a chi-squared distribution times (1/n + 1/m) (Yurdakul and
Naranjo 2020).
"""

from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:  # who only reads a spread needs no data frames
    import pandas as pd

__all__ = ["Spread", "psi", "psi_by_chance", "spread_of"]

BINS = 10
Z_ONE_IN_TEN_THOUSAND = 3.719


class Spread(msgspec.Struct, frozen=True):
    """Shares of the rows that hold no value, hold a word not learned (categories), and lie in each bin; `edges` are the
    upper ends of all bins but the last, `levels` the words; `nothing` is the share without a value or with the one that
    means nothing, `zero`."""

    missing: float
    unseen: float
    shares: list[float]
    nothing: float
    zero: float | None = None
    edges: list[float] = []
    levels: list[str] | None = None

    def again(self, values: "pd.Series") -> "Spread":
        """Other values over the same bins."""
        return _spread(values, self.edges, self.levels, self.zero)

    @property
    def parts(self) -> np.ndarray:
        """Shares of rows that are missing, not known, and in each bin."""
        return np.array([self.missing, self.unseen, *self.shares])


def spread_of(values: "pd.Series", *, category: bool = False, zero: float | None = None) -> Spread:
    """Learn the bins of a column: tenths of its values, fewer where many are equal; of a category, its words."""
    there = values.dropna()
    if category:
        return _spread(values, [], sorted(str(word) for word in there.unique()), None)
    tenths = (
        np.quantile(there.to_numpy(dtype=np.float64), np.linspace(0, 1, BINS + 1)[1:-1], method="nearest")
        if len(there)
        else []
    )
    return _spread(values, np.unique(tenths).tolist(), None, zero)


def psi(learned: Spread, today: Spread, rows: int) -> float:
    """Population stability index; an empty share counts as half a row of `rows`."""
    least = 0.5 / max(rows, 1)
    q, p = (np.maximum(spread.parts, least) for spread in (learned, today))
    both = (learned.parts > 0) | (today.parts > 0)
    return float(((p - q) * np.log(p / q))[both].sum())


def psi_by_chance(bins: int, rows: int, others: int) -> float:
    """What the index stays below in all but one of ten thousand pairs of samples of the same population (chi-squared by
    the cube root of Wilson and Hilferty 1931)."""
    freedom = max(bins - 1, 1)
    part = 2 / (9 * freedom)
    quantile = freedom * (1 - part + Z_ONE_IN_TEN_THOUSAND * part**0.5) ** 3
    return float(quantile * (1 / max(rows, 1) + 1 / max(others, 1)))


def _spread(values: "pd.Series", edges: list[float], levels: list[str] | None, zero: float | None) -> Spread:
    rows, gone = max(len(values), 1), values.isna()
    if levels is not None:
        counts = values.dropna().astype(str).value_counts()
        shares = [float(counts.get(level, 0)) / rows for level in levels]
        missing = float(gone.mean()) if len(values) else 0.0
        return Spread(missing, max(1 - missing - sum(shares), 0.0), shares, missing, levels=levels)
    there = values[~gone].to_numpy(dtype=np.float64)
    counted = np.bincount(np.searchsorted(edges, there, side="left"), minlength=len(edges) + 1) / rows
    empty = float(gone.sum()) / rows
    nothing = empty + (float((there == zero).sum()) / rows if zero is not None else 0.0)
    return Spread(empty, 0.0, counted.tolist(), nothing, zero, edges)
