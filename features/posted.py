"""The past of moments in tables that were posted: rows as arrays, in the order in which measures want them.

    people = People.asked(moments)                      # (customer_id, as_of), one entry each
    rows = PastRows.of(people, table, CANONICAL["orders"], "customer_id")

It is `timeline.past` and the order of `needs.Mark` for rows in memory, where an engine's fixed cost per query counts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.sources import Source
from features.timeline import DAY_S, seconds, seen

__all__ = ["PastRows", "People"]


@dataclass(frozen=True)
class People:
    """The moments asked about: `as_of` of each, and which of them are whose."""

    as_of: np.ndarray
    place: dict[str, int]  # of a customer, among the customers
    by_customer: np.ndarray  # the moments, customer by customer
    begin: np.ndarray  # where a customer's moments begin in `by_customer`
    count: np.ndarray

    @classmethod
    def asked(cls, moments: pa.Table) -> "People":
        """`moments` has (customer_id, as_of), each pair once."""
        ids, place = coded(moments["customer_id"].combine_chunks())
        count = np.bincount(ids, minlength=len(place))
        return cls(
            moments["as_of"].to_numpy(),
            {customer: n for n, customer in enumerate(place)},
            np.argsort(ids, kind="stable"),
            np.cumsum(count) - count,
            count,
        )

    def __len__(self) -> int:
        return len(self.as_of)

    def joined(self, owner: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """(rows, moments): each row of a table beside each moment of the customer it belongs to."""
        codes, words = coded(owner)
        person = np.array([self.place.get(word, -1) for word in words] + [-1])[codes]
        rows = np.flatnonzero(person >= 0)
        person = person[rows]
        times = self.count[person]
        nth = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        return np.repeat(rows, times), self.by_customer[np.repeat(self.begin[person], times) + nth]


@dataclass
class PastRows:
    """Rows of one source beside the moments that see them, by moment, newest first.

    The newest is of the least age, then known later, then of the greater key, in the order of its bytes. Columns are
    read once, when first asked for; nothing in a number is told apart, nothing in a code is a code of its own.
    """

    source: Source
    table: pa.Table
    rows: np.ndarray
    moment: np.ndarray
    as_of_s: np.ndarray
    age_s: np.ndarray
    day: np.ndarray
    begin: np.ndarray  # where the rows of a moment begin, of those that have any
    count: np.ndarray  # how many they are
    present: np.ndarray  # which moments these are
    _read: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, people: People, table: pa.Table, source: Source, owner: str) -> "PastRows":
        """The past rows of `table` under the customer who stands in the column `owner`."""
        rows, moment = people.joined(table[owner].combine_chunks())
        clocks = [table[clock].to_numpy() for clock in ("happened_at", "known_at", "superseded_at")]
        happened, known, superseded = (clock[rows] for clock in clocks)
        as_of = people.as_of[moment]
        kept = np.flatnonzero(seen(as_of, happened, known, superseded))
        rows, moment, known = rows[kept], moment[kept], known[kept].view(np.int64)
        as_of_s, happened_s = seconds(as_of[kept]), seconds(happened[kept])
        age_s = as_of_s - happened_s
        order = _newest_first(moment, age_s, known, lambda: table[source.key].combine_chunks().take(rows))
        rows, moment, as_of_s, age_s = rows[order], moment[order], as_of_s[order], age_s[order]
        day = np.floor(happened_s[order] / DAY_S).astype(np.int64)
        present, begin, count = np.unique(moment, return_index=True, return_counts=True)
        return cls(source, table, rows, moment, as_of_s, age_s, day, begin, count, present)

    def __len__(self) -> int:
        return len(self.rows)

    def codes(self, column: str) -> tuple[np.ndarray, list[Any]]:
        """A code per row, and the values that the codes stand for; the code beyond them is nothing."""
        if ("codes", column) not in self._read:
            if column == "day":
                values, codes = np.unique(self.day, return_inverse=True)
                self._read["codes", column] = codes, list(values)
            else:
                every, words = coded(self.table[column].combine_chunks())
                self._read["codes", column] = every[self.rows], words
        found: tuple[np.ndarray, list[Any]] = self._read["codes", column]
        return found

    def told(self, column: str) -> np.ndarray:
        """Where a column of the source holds a value."""
        if ("told", column) not in self._read:
            told = self.table[column].combine_chunks().is_valid()
            self._read["told", column] = told.to_numpy(zero_copy_only=False)[self.rows]
        found: np.ndarray = self._read["told", column]
        return found

    def numbers(self, column: str) -> np.ndarray:
        """Integers; a time as whole seconds from the moment. 0 or some number where there is none."""
        if column in ("age_s", "day"):
            return self.age_s if column == "age_s" else self.day
        if column not in self._read:
            values = self.table[column].combine_chunks()
            if self.source[column].type == "timestamp":
                held = seconds(values.to_numpy(zero_copy_only=False)[self.rows]) - self.as_of_s
            else:
                held = (values.fill_null(0) if values.null_count else values).to_numpy()[self.rows]
            self._read[column] = held
        found: np.ndarray = self._read[column]
        return found


def coded(values: pa.Array) -> tuple[np.ndarray, list[Any]]:
    """A code per entry, and the values the codes stand for; the code beyond them is nothing."""
    encoded = values.dictionary_encode()
    codes = encoded.indices
    if codes.null_count:
        codes = codes.fill_null(len(encoded.dictionary))
    return codes.to_numpy(), encoded.dictionary.to_pylist()


def _newest_first(
    moment: np.ndarray, age_s: np.ndarray, known: np.ndarray, keys: Callable[[], pa.Array]
) -> np.ndarray:
    order = np.lexsort((-known, age_s, moment))
    tied = [column[order][1:] == column[order][:-1] for column in (moment, age_s, known)]
    if not np.logical_and.reduce(tied).any():
        return order
    rank = pc.rank(keys(), sort_keys="descending").to_numpy()  # ranking keys is dear, and seldom needed
    return np.lexsort((rank, -known, age_s, moment))
