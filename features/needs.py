"""What definitions ask for, as plain values that a planner can compare, merge and hash.

    Selection   which rows of a source: equal to, newest of each car, after the last answer, due soon
    Need        one measure of such rows: how, of which column, in which last days
    Mark        a number written beside each row first, which a selection or a measure reads

A timestamp column is measured in whole seconds from the moment: ahead is positive, behind negative.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir

from features.sources import CANONICAL
from features.timeline import seconds_until, within, within_next

__all__ = ["ZERO_WHEN_NOTHING", "Mark", "Need", "Selection", "Where"]

ZERO_WHEN_NOTHING = frozenset(
    {"count", "sum", "distinct", "step_count", "step_sum", "step_square_sum", "change_count"}
)
LONGEST_NAME = 60  # PostgreSQL cuts names at 63 bytes, silently

Where = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Selection:
    """Rows of one source: those whose `owner` column names the customer, and that pass every test.

    `where` columns hold one of the values; `told` holds a value at all; `newest_per` keeps the newest row of each value of a column (a car);
    `since` keeps rows after the newest row of its kind; `ahead` keeps rows whose timestamp column lies at the
    moment or later, at most so many days (None: any).
    """

    source: str
    owner: str = "customer_id"
    where: Where = ()
    told: str = ""
    newest_per: str = ""
    since: Where = ()
    ahead: tuple[str, int | None] | None = None

    @property
    def name(self) -> str:
        parts = [self.source, f"of {self.owner}" if self.owner != "customer_id" else "", _words(self.where)]
        parts += [f"{self.told} told"] if self.told else []
        parts += [f"newest per {self.newest_per}"] if self.newest_per else []
        parts += [f"since {_words(self.since)}"] if self.since else []
        parts += [f"{self.ahead[0]} ahead {self.ahead[1]}"] if self.ahead else []
        return " ".join(part for part in parts if part)

    @property
    def marks(self) -> tuple["Mark", ...]:
        """The marks its tests read."""
        found = [Mark("place", self.source, per=self.newest_per)] if self.newest_per else []
        return (*found, *([Mark("newest age", self.source, among=self._reference)] if self.since else ()))

    @property
    def _reference(self) -> "Selection":
        return Selection(self.source, self.owner, self.since)

    def chosen(self, rows: ir.Table, days: int | None = None) -> ir.BooleanValue | None:
        """Which rows pass, of the last `days`; None when every row does."""
        tests: list[Any] = [rows[column].isin(values) for column, values in self.where]
        if days is not None:
            tests.append(within(rows, days))
        if self.told:
            tests.append(rows[self.told].notnull())
        if self.newest_per:
            tests.append(rows[Mark("place", self.source, per=self.newest_per).name] == 0)
        if self.since:
            newest = rows[Mark("newest age", self.source, among=self._reference).name]
            tests.append(newest.isnull() | (rows.age_s < newest))
        if self.ahead:
            tests.append(within_next(rows, *self.ahead))
        return ibis.and_(*tests) if tests else None


@dataclass(frozen=True)
class Mark:
    """A number beside each row of a moment: its `place` from the newest (within `per`), the `newest age` of
    the rows `among`, or the value of `column` `before` it, in the previous one of the rows `among`."""

    what: str
    source: str
    column: str = ""
    per: str = ""
    among: Selection | None = None

    @property
    def name(self) -> str:
        per = f"per {self.per}" if self.per else ""
        among = f"among {self.among.name}" if self.among else ""
        return _short(" ".join(part for part in ("mark", self.what, self.column, per, among) if part))

    @property
    def layer(self) -> int:
        """Marks of layer 1 select rows by marks of layer 0."""
        return 1 if self.what == "before" else 0

    def value(self, rows: ir.Table) -> ir.Value:
        """The window expression; order is total, because ties are broken by the row's key."""
        key = rows[CANONICAL[self.source].key]
        group = [rows.customer_id, rows.as_of] + ([rows[self.per]] if self.per else [])
        chosen = self.among.chosen(rows) if self.among else None
        if self.what == "place":
            newest_first = [rows.age_s, ibis.desc(rows.known_at), ibis.desc(key)]
            return ibis.row_number().over(group_by=group, order_by=newest_first)
        if self.what == "newest age":
            return ibis.ifelse(chosen, rows.age_s, ibis.null("int64")).min().over(group_by=group)
        oldest_first = [ibis.desc(rows.age_s), rows.known_at, key]
        group += [] if chosen is None else [chosen]
        return rows[self.column].lag().over(group_by=group, order_by=oldest_first)


@dataclass(frozen=True)
class Need:
    """One measure of the rows selected. `step_…` and `change_…` compare each row with the one before it,
    `per` value of a column where given: of each car, say."""

    selection: Selection
    how: str
    column: str = ""
    days: int | None = None
    per: str = ""

    @property
    def source(self) -> str:
        return self.selection.source

    @property
    def name(self) -> str:
        """The column under which the planner delivers it; readable in a query plan."""
        parts = [self.how, self.column, self.selection.name, f"per {self.per}" if self.per else ""]
        parts += [f"{self.days}d"] if self.days is not None else []
        return _short(" ".join(part for part in parts if part))

    def anywhere(self) -> "Need":
        """The same measure of all rows of its source."""
        return replace(self, selection=Selection(self.source, self.selection.owner))

    def without(self, tests: Collection[tuple[str, tuple[str, ...]]]) -> "Need":
        """The same measure of rows that have passed these `where` tests already."""
        left = tuple(test for test in self.selection.where if test not in tests)
        return replace(self, selection=replace(self.selection, where=left))

    @property
    def columns(self) -> frozenset[str]:
        """The source's columns it reads to measure or to select."""
        tested = {column for column, _ in (*self.selection.where, *self.selection.since)}
        ahead = {self.selection.ahead[0]} if self.selection.ahead else set()
        read = {self.column, self.per, self.selection.told, self.selection.newest_per, self.selection.owner}
        return frozenset((tested | ahead | read) & set(CANONICAL[self.source].column_names))

    @property
    def marks(self) -> tuple[Mark, ...]:
        return (*self.selection.marks, self._before) if self.compares else self.selection.marks

    @property
    def compares(self) -> bool:
        """Whether it looks at a row and the one before it."""
        return self.how.startswith(("step_", "change_"))

    @property
    def _before(self) -> Mark:
        return Mark("before", self.source, self.column, self.per, self.selection)

    def measure(self, rows: ir.Table) -> ir.Value:
        """The aggregate over one moment's rows."""
        chosen = self.selection.chosen(rows, self.days)
        if self.compares:
            return self._comparison(rows, chosen)
        match self.how:
            case "count":
                return rows.count(where=chosen)
            case "sum":
                return rows[self.column].sum(where=chosen).cast("int64")
            case "min" | "max":
                return getattr(self.measured(rows), self.how)(where=chosen)
            case "distinct":
                return rows[self.column].nunique(where=chosen)
        raise ValueError(f"no measure is called {self.how!r}")

    def _comparison(self, rows: ir.Table, chosen: ir.BooleanValue | None) -> ir.Value:
        before = rows[self._before.name]
        if self.how.startswith("change_"):
            changed = rows[self.column] != before
            changed = changed if chosen is None else chosen & changed
            return rows.count(where=changed) if self.how == "change_count" else rows.age_s.min(where=changed)
        step = (rows[self.column] - before).nullif(0)  # two rows on one day are no gap between days
        match self.how:
            case "step_count":
                return step.count(where=chosen)
            case "step_sum":
                return step.sum(where=chosen).cast("int64")
            case "step_square_sum":
                return (step * step).sum(where=chosen).cast("int64")
            case "step_max":
                return step.max(where=chosen)
        raise ValueError(f"no measure is called {self.how!r}")

    @property
    def reads_a_timestamp(self) -> bool:
        """Whether its column is a time, measured from the moment."""
        return (
            self.column not in ("", "age_s", "day")
            and CANONICAL[self.source][self.column].type == "timestamp"
        )

    @property
    def text(self) -> bool:
        """Whether it gives a string; else it gives an integer."""
        return (
            self.how == "latest"
            and self.column not in ("age_s", "day")
            and CANONICAL[self.source][self.column].type == "string"
        )

    def measured(self, rows: ir.Table) -> Any:
        """Its column's value in each row."""
        return seconds_until(rows, self.column) if self.reads_a_timestamp else rows[self.column]


def _words(where: Where) -> str:
    return " ".join(f"{column}={'|'.join(values)}" for column, values in where)


def _short(name: str) -> str:
    """The name, or its beginning and a digest of all of it when an engine would cut it."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 13]} {hashlib.sha256(name.encode()).hexdigest()[:12]}"
