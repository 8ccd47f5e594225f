"""What is taken from the slices of rows that pass: a value per moment, without looking at the rows again.

    passing = Passing(rows, mask, made)
    REDUCED["count"](passing, asked)            # (values, where there are none)

Counts and sums are differences of running ones; the newest and the oldest age and the latest value stand at the first
or the last passing row of the slice; different values are counted as spans of moments.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from features.errors import BadData
from features.formula import Values
from features.needs import Need
from features.slices import PastRows, relative

__all__ = ["REDUCED", "Asked", "Passing", "Spans"]

MOST = np.iinfo(np.int64).max


class Asked(NamedTuple):
    """A need, how it is taken from slices, and where the numbers for that will stand among what is made."""

    name: str
    need: Need
    reduction: str
    numbers: int


class Spans(NamedTuple):
    """Rows that are the newest of their value, from one moment on until another one."""

    rows: np.ndarray
    begin: np.ndarray
    end: np.ndarray


class Passing:
    """The rows that pass, and the slices of them that moments see.

    `row` are these rows, and one more, so that there is something to look at where none pass; `before` says how many
    pass before each row and in all, and `begin` where the slice of each moment begins among them.
    """

    def __init__(self, rows: PastRows, mask: np.ndarray, made: list[Any]) -> None:
        self.rows, self.made = rows, made
        self.row = np.append(np.flatnonzero(mask), 0)
        self.before = np.zeros(len(mask) + 1, dtype=np.int32)
        np.cumsum(mask.astype(np.int32), out=self.before[1:])
        self.begin: np.ndarray = self.before[rows.begin]

    def end(self, days: int | None) -> np.ndarray:
        found: np.ndarray = self.before[self.rows.until(days)]
        return found

    def moved(self, column: str, values: np.ndarray) -> np.ndarray:
        """A column's numbers as they are at the moments that see them."""
        towards = relative(self.rows.source, column)
        return values + towards * self.rows.people.as_of_s if towards else values


def _count(passing: Passing, asked: Asked) -> Values:
    return (passing.end(asked.need.days) - passing.begin).astype(np.int64), None


def _newest_age(passing: Passing, asked: Asked) -> Values:
    numbers = passing.made[asked.numbers][passing.row[passing.begin]]
    return passing.moved("age_s", numbers), _any(passing.begin == passing.end(asked.need.days))


def _oldest_age(passing: Passing, asked: Asked) -> Values:
    end = passing.end(asked.need.days)
    numbers = passing.made[asked.numbers][passing.row[end - 1]]
    return passing.moved("age_s", numbers), _any(passing.begin == end)


def _latest(passing: Passing, asked: Asked) -> Values:
    row = passing.row[passing.begin]
    values, told = passing.made[asked.numbers]
    found = values(row) if callable(values) else passing.moved(asked.need.column, values[row])
    return found, _any((passing.begin == passing.end(asked.need.days)) | ~told[row])


def _sum(passing: Passing, asked: Asked) -> Values:
    addends = passing.made[asked.numbers][passing.row[:-1]]
    if len(addends) and max(int(addends.max()), -int(addends.min())) > MOST // len(addends):
        addends = addends.astype(object)  # Python's integers do not wrap around
    running = np.concatenate([np.zeros(1, dtype=addends.dtype), np.cumsum(addends)])
    end = passing.end(asked.need.days)
    total = running[end] - running[passing.begin]
    if towards := relative(passing.rows.source, asked.need.column):
        total = total + towards * (end - passing.begin) * passing.rows.people.as_of_s
    try:
        return total.astype(np.int64), None
    except OverflowError as error:
        raise BadData(
            f"a sum over {passing.rows.source.name} does not fit into 64 bits; check the numbers there"
        ) from error


def _extreme(extreme: np.ufunc, passing: Passing, asked: Asked) -> Values:
    end = passing.end(asked.need.days)
    slices = np.stack([passing.begin, end], axis=1).ravel()
    found = extreme.reduceat(passing.made[asked.numbers][passing.row], slices)[::2]
    return passing.moved(asked.need.column, found), _any(passing.begin == end)


def _distinct(passing: Passing, asked: Asked) -> Values:
    """Spans that have begun, less those that have ended or fallen out of the window."""
    rows, moments = passing.rows, len(passing.rows.people)
    spans: Spans = passing.made[asked.numbers]
    end = spans.end
    if asked.need.days is not None:
        end = np.minimum(end, rows.first_without(asked.need.days)[spans.rows])
    there = spans.begin < end
    begun = np.bincount(spans.begin[there], minlength=moments)
    if rows.one_each:
        return begun, None
    return np.cumsum(begun - np.bincount(end[there], minlength=moments + 1)[:moments]), None


def _any(missing: np.ndarray) -> Any:
    return missing if missing.any() else None


REDUCED: dict[str, Callable[[Passing, Asked], Values]] = {
    "count": _count,
    "sum": _sum,
    "min": partial(_extreme, np.minimum),
    "max": partial(_extreme, np.maximum),
    "newest age": _newest_age,
    "oldest age": _oldest_age,
    "latest": _latest,
    "distinct": _distinct,
}
