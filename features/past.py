"""Rows of one source under the customers who were asked about, as arrays: whose, when seen, newest first.

    people = People.asked(moments)                      # (customer_id, as_of), in the order of these two
    histories = Histories.of(people, table, CANONICAL["orders"], "customer_id")

It is `timeline.past` and the order of `needs.Mark` for rows in memory. A row is seen from one moment of its customer
on, and until another one if it was corrected in between; `features.slices` makes of that what each moment sees.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.needs import Where
from features.sources import Source
from features.timeline import first_after, seconds

__all__ = ["Columns", "Histories", "People", "coded", "holding"]

FEW = 8  # values: fewer are compared one by one


class Columns(Protocol):
    """A table, as far as it is read: columns by name, strings as they are or in a dictionary."""

    def __getitem__(self, column: str) -> pa.ChunkedArray: ...


@dataclass(frozen=True)
class People:
    """The moments asked about, in the order of customers and of time."""

    customers: pa.Array  # different ones, in order
    person: np.ndarray  # of each moment: whose it is, as a place among the customers
    as_of: np.ndarray
    begin: np.ndarray  # where the moments of each customer begin, and where they end
    end: np.ndarray

    @classmethod
    def asked(cls, moments: pa.Table) -> "People":
        """`moments` has (customer_id, as_of), each pair once, ordered by these."""
        codes, customers = coded(moments["customer_id"])
        person = codes.astype(np.intp)
        count = np.bincount(person, minlength=len(customers))
        end = np.cumsum(count)
        return cls(customers, person, moments["as_of"].to_numpy(), end - count, end)

    def __len__(self) -> int:
        return len(self.as_of)

    @property
    def once(self) -> bool:
        """Whether everyone is asked about at one moment."""
        return len(self.customers) == len(self)

    @cached_property
    def as_of_s(self) -> np.ndarray:
        return seconds(self.as_of)

    @cached_property
    def dates(self) -> np.ndarray:
        return np.unique(self.as_of)

    def persons(self, owner: pa.ChunkedArray) -> np.ndarray:
        """Whose each row is; -1 for someone who was not asked about."""
        codes, words = coded(owner)
        places = pc.index_in(words, self.customers).fill_null(-1).to_numpy()
        found: np.ndarray = np.append(places, -1)[codes].astype(np.intp)
        return found

    def first_after(self, person: np.ndarray, instants: np.ndarray) -> np.ndarray:
        """Each person's first moment after an instant; where their moments end when there is none."""
        dates, rank = len(self.dates), first_after(self.dates, instants)
        if len(self) == len(self.customers) * dates:  # everyone at all dates
            every: np.ndarray = person * dates + rank
            return every
        asked = self.person * (dates + 1) + np.searchsorted(self.dates, self.as_of)
        found: np.ndarray = np.searchsorted(asked, person * (dates + 1) + rank)
        return found


@dataclass(frozen=True)
class Histories:
    """Rows that any moment sees, by person, newest first; an array each, except `read`.

    The newest is the one that happened last, then was known later, then has the greater key, in the order of its bytes.
    """

    people: People
    source: Source
    table: Columns
    row: np.ndarray  # its place in the table
    person: np.ndarray
    happened_s: np.ndarray
    seen_from: np.ndarray  # the moment from which on it is seen
    seen_until: np.ndarray  # and the one from which on it no longer is
    read: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, people: People, table: Columns, source: Source, owner: str, where: Where = ()) -> "Histories":
        """The rows of `table` under the customer who stands in the column `owner`, that pass the tests."""
        person = people.persons(table[owner])
        row = np.flatnonzero(_passing(table, person >= 0, where))
        person = person[row]
        known = table["known_at"].to_numpy()[row]
        happened = table["happened_at"].to_numpy()[row]
        seen_from = people.first_after(person, np.maximum(happened, known))
        seen_until = people.end[person]
        if table["superseded_at"].null_count < len(table["superseded_at"]):
            superseded = table["superseded_at"].to_numpy()[row]
            corrected = np.flatnonzero(~np.isnat(superseded))
            seen_until[corrected] = people.first_after(person[corrected], superseded[corrected])
        kept = np.flatnonzero(seen_from < seen_until)
        row, person, happened_s = row[kept], person[kept], seconds(happened[kept])
        order = _newest_first(person, happened_s, known[kept].view(np.int64), table, source.key, row)
        seen = (seen_from[kept][order], seen_until[kept][order])
        return cls(people, source, table, row[order], person[order], happened_s[order], *seen)

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def out_of_order(self) -> np.ndarray:
        """Of each person: whether one of their rows is seen earlier than an older one, or goes while they are asked."""
        found = np.zeros(len(self.people.customers), dtype=bool)
        if not self.people.once:
            wrong = self.seen_until < self.people.end[self.person]
            same = self.person[1:] == self.person[:-1]
            wrong[1:] |= same & (self.seen_from[1:] > self.seen_from[:-1])
            found[self.person[wrong]] = True
        return found

    def codes(self, column: str) -> tuple[np.ndarray, pa.Array]:
        """A code per row, and the values that the codes stand for; the code beyond them is nothing."""
        if ("codes", column) not in self.read:
            every, words = coded(self.table[column])
            self.read["codes", column] = every[self.row], words
        found: tuple[np.ndarray, pa.Array] = self.read["codes", column]
        return found

    def told(self, column: str) -> np.ndarray:
        """Where a column of the source holds a value."""
        if ("told", column) not in self.read:
            values = self.table[column]
            told = values.is_valid().to_numpy()[self.row] if values.null_count else np.ones(len(self), bool)
            self.read["told", column] = told
        found: np.ndarray = self.read["told", column]
        return found

    def integers(self, column: str) -> np.ndarray:
        """Whole numbers, times as seconds since 1970; some number where there is none."""
        if column not in self.read:
            self.read[column] = integers(self.table[column])[self.row]
        found: np.ndarray = self.read[column]
        return found


def coded(values: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """A code per entry, and the values the codes stand for; the code beyond them is nothing. Codes are short, which
    makes sorting and comparing them cheap."""
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    if values.num_chunks > 1:
        values = values.unify_dictionaries()
    words = values.chunk(0).dictionary if values.num_chunks else pa.array([], values.type.value_type)
    codes = np.empty(len(values), dtype=np.min_scalar_type(len(words)))
    at = 0
    for chunk in values.chunks:
        indices = chunk.indices
        found = indices.fill_null(len(words)) if indices.null_count else indices
        codes[at : at + len(chunk)] = found.to_numpy()
        at += len(chunk)
    return codes, words


def integers(values: pa.ChunkedArray) -> np.ndarray:
    """Whole numbers, times as seconds since 1970; some number where there is none."""
    if pa.types.is_timestamp(values.type):
        return seconds(values.to_numpy())
    found: np.ndarray = (values.fill_null(0) if values.null_count else values).to_numpy()
    return found


def _passing(table: Columns, chosen: np.ndarray, where: Where) -> np.ndarray:
    for column, values in where:
        chosen = chosen & holding(*coded(table[column]), values)
    return chosen


def holding(codes: np.ndarray, words: pa.Array, values: Iterable[str]) -> np.ndarray:
    """Which codes stand for one of the values."""
    wanted = frozenset(values)
    places = [place for place, word in enumerate(words.to_pylist()) if word in wanted]
    if len(places) > FEW:
        found: np.ndarray = np.isin(np.arange(len(words) + 1), places).take(codes)
        return found
    return reduce(np.logical_or, [codes == place for place in places], np.zeros(len(codes), dtype=bool))


def _newest_first(
    person: np.ndarray, happened_s: np.ndarray, known: np.ndarray, table: Columns, key: str, row: np.ndarray
) -> np.ndarray:
    if not len(row):
        return np.arange(0)
    order = _by_time(person, happened_s)
    tied = np.zeros(len(order) + 1, dtype=bool)  # a row with the one before it
    tied[1:-1] = (person[order][1:] == person[order][:-1]) & (happened_s[order][1:] == happened_s[order][:-1])
    places = np.flatnonzero(tied[:-1] | tied[1:])
    if len(places):
        some = order[places]
        columns = [-known[some], -happened_s[some], person[some]]
        same = np.lexsort(columns)
        if np.logical_and.reduce([c[same][1:] == c[same][:-1] for c in columns]).any():
            # Reading and ranking keys is dear, and seldom needed.
            keys = table[key].take(pa.array(row[some])).combine_chunks()
            same = np.lexsort((pc.rank(keys, sort_keys="descending").to_numpy(), *columns))
        order[places] = some[same]
    return order


def _by_time(person: np.ndarray, happened_s: np.ndarray) -> np.ndarray:
    newest = happened_s.max()
    return np.argsort(person * (newest - happened_s.min() + 1) + (newest - happened_s), kind="stable")
