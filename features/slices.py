"""What each moment sees of its customer's rows: a slice of them.

A customer's rows stand once for all their moments, newest first. What was known at a moment is all from some row on;
a window ends sooner:

    newest │ r0  r1  r2  r3  r4  r5  r6 │ oldest
           │         └─ seen on 1 May ──┤
           └─ seen on 1 June ───────────┤       of its last 30 days: r0 to r2

That is so while rows become known in the order in which they happened. Where one comes late or is corrected between
two moments, the customer's rows are written out for each moment; so are everyone's, in `alone`, for measures that
choose rows by the moment.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from features.past import Histories, People
from features.sources import Source
from features.timeline import DAY_S, earliest_within_s

__all__ = ["PastRows", "relative"]


@dataclass
class PastRows:
    """Rows by viewer, newest first: a customer, or one moment of a customer whose rows are written out.

    `at` says which row of the histories each is (None: they are the same); the other arrays of rows are `viewer` and
    `seen_from`, the moment from which on it is seen. Of moments: `viewing`, whose rows it sees, `begin` and `end`, which
    of them.
    """

    histories: Histories
    at: np.ndarray | None
    viewer: np.ndarray
    seen_from: np.ndarray
    viewing: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    moments_begin: np.ndarray  # of each viewer: where its moments begin, and where they end
    moments_end: np.ndarray
    _ends: dict[int, np.ndarray] = field(default_factory=dict)
    _without: dict[int | None, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, histories: Histories) -> "PastRows":
        return cls._sliced(histories, histories.out_of_order)

    @classmethod
    def _sliced(cls, histories: Histories, apart: np.ndarray) -> "PastRows":
        """With the rows of the persons marked written out for each of their moments."""
        people = histories.people
        begins = apart[people.person]
        begins[people.begin] = True
        first = np.flatnonzero(begins)  # of each viewer: its first moment
        viewing = np.cumsum(begins) - 1
        at, viewer, seen_from = None, histories.person, histories.seen_from
        if apart.any():
            at, viewer, seen_from = _written_out(histories, apart, first)
        count = np.bincount(viewer, minlength=len(first))
        end = np.cumsum(count)
        unseen_and_seen = (2 * end - count)[viewing]
        begin = unseen_and_seen - np.cumsum(np.bincount(seen_from, minlength=len(people)))
        moments_end = np.append(first[1:], len(people))
        return cls(histories, at, viewer, seen_from, viewing, begin, end[viewing], first, moments_end)

    def __len__(self) -> int:
        return len(self.viewer)

    @property
    def people(self) -> People:
        return self.histories.people

    @property
    def source(self) -> Source:
        return self.histories.source

    @property
    def one_each(self) -> bool:
        """Whether every viewer has one moment, and so every row."""
        return len(self.moments_begin) == len(self.people)

    @cached_property
    def alone(self) -> "PastRows":
        """The same with every moment's rows written out, so that a row has one moment."""
        if self.one_each:
            return self
        return self._sliced(self.histories, np.ones(len(self.people.customers), dtype=bool))

    # what is in the rows

    def codes(self, column: str) -> tuple[np.ndarray, pa.Array]:
        """A code per row, and the values that the codes stand for; the code beyond them is nothing."""
        codes, words = self.histories.codes(column)
        return self._placed(codes), words

    def told(self, column: str) -> np.ndarray:
        """Where a column of the source holds a value."""
        return self._placed(self.histories.told(column))

    def integers(self, column: str) -> np.ndarray:
        """Whole numbers, to which a moment adds `relative(...)` times its own seconds; some number where there is none."""
        match column:
            case "age_s":
                return -self.happened_s
            case "day":
                return self.happened_s // DAY_S
        return self._placed(self.histories.integers(column))

    @cached_property
    def happened_s(self) -> np.ndarray:
        return self._placed(self.histories.happened_s)

    def _placed(self, values: np.ndarray) -> np.ndarray:
        return values if self.at is None else values[self.at]

    # what a moment sees of them

    def until(self, days: int | None) -> np.ndarray:
        """Where the slice of each moment ends in its last `days`."""
        if days is None:
            return self.end
        if days not in self._ends:
            key, newest, apart = self._by_time
            beyond = np.clip(newest - earliest_within_s(self.people.as_of_s, days), -1, apart - 1)
            found = np.searchsorted(key, self.viewing * apart + beyond, side="right")
            self._ends[days] = np.maximum(found, self.begin)
        return self._ends[days]

    @cached_property
    def _by_time(self) -> tuple[np.ndarray, int, int]:
        """A number by which the rows are in order, the newest second, and how many there are until the oldest."""
        newest = int(self.happened_s.max())
        apart = newest - int(self.happened_s.min()) + 1
        return self.viewer * apart + (newest - self.happened_s), newest, apart

    def first_without(self, days: int | None) -> np.ndarray:
        """Of each row: its viewer's first moment whose last `days` do not reach back to it, however soon it is seen."""
        if days not in self._without:
            beyond = np.cumsum(np.bincount(self.until(days), minlength=len(self) + 1))[:-1]
            self._without[days] = (self.moments_begin + self.moments_end)[self.viewer] - beyond
        return self._without[days]

    @property
    def as_of_s(self) -> np.ndarray:
        """Of each row, written out: the second of its moment."""
        found: np.ndarray = self.people.as_of_s[self.seen_from]
        return found


def relative(source: Source, column: str) -> int:
    """How much a measure of the column grows with each second of the moment: an age by 1, the time until a date by -1."""
    if column == "age_s":
        return 1
    return -1 if column not in ("", "day") and source[column].type == "timestamp" else 0


def _written_out(
    histories: Histories, apart: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row of the histories, viewer, from which moment on it is seen), by viewer, newest first."""
    people = histories.people
    whose = people.person[first]
    count = np.bincount(histories.person, minlength=len(people.customers))
    times = count[whose]
    viewer = np.repeat(np.arange(len(first)), times)
    begin = (np.cumsum(count) - count)[whose] - (np.cumsum(times) - times)
    at = np.arange(len(viewer)) + begin[viewer]
    moment, seen_from, out = first[viewer], histories.seen_from[at], apart[whose][viewer]
    seen = ~out | ((seen_from <= moment) & (moment < histories.seen_until[at]))
    return at[seen], viewer[seen], np.where(out, moment, seen_from)[seen]
