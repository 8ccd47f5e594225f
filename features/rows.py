"""What a definition may say: the past (or future) of a moment, source by source, as measures of rows.

A feature, a cohort condition or an outcome is a small function that receives one `Rows` per source:

    lambda past: past.orders.where(kind="order").count(days=90)

Each measure it asks for becomes a `Need`: a plain value the planner can merge with everybody else's.
What the function gets back is a deferred Ibis value that stands for the number to come, ready for
arithmetic. Definitions never see timestamps or other people's rows: looking ahead takes effort.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import ibis
import ibis.expr.types as ir

from features.sources import CANONICAL
from features.timeline import DAY_S, within

__all__ = ["Definition", "Need", "Past", "Rows", "needs_of"]

ZERO_WHEN_NOTHING = frozenset({"count", "sum", "distinct", "gap_count", "gap_sum", "gap_square_sum"})


@dataclass(frozen=True, order=True)
class Need:
    """One measure of one source's rows: how, of which column, among which rows, in which last days."""

    source: str
    how: str
    column: str = ""
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    days: int | None = None

    @property
    def name(self) -> str:
        """The column under which the planner delivers it; readable in a query plan."""
        parts = [self.source, self.how, self.column]
        parts += [f"{column}={'|'.join(values)}" for column, values in self.where]
        parts += [f"{self.days}d"] if self.days is not None else []
        return " ".join(part for part in parts if part)

    def chosen(self, rows: ir.Table) -> ir.BooleanValue | None:
        """Which of the rows count, or None for all of them."""
        tests: list[Any] = [rows[column].isin(values) for column, values in self.where]
        if self.days is not None:
            tests.append(within(rows, self.days))
        return ibis.and_(*tests) if tests else None

    def measure(self, rows: ir.Table) -> ir.Value:
        """The aggregate over one moment's rows."""
        chosen = self.chosen(rows)
        match self.how:
            case "count":
                return rows.count(where=chosen)
            case "sum":
                return rows[self.column].sum(where=chosen).cast("int64")
            case "min" | "max":
                return getattr(rows[self.column], self.how)(where=chosen)
            case "distinct":
                return rows[self.column].nunique(where=chosen)
            case "latest":
                return rows[self.column].max(where=_is_latest(rows, self))
            case "gap_max":
                return _gap_days(rows, self).max(where=chosen)
            case "gap_count":
                return _gap_days(rows, self).count(where=chosen)
            case "gap_sum":
                return _gap_days(rows, self).sum(where=chosen).cast("int64")
            case "gap_square_sum":
                gap = _gap_days(rows, self)
                return (gap * gap).sum(where=chosen).cast("int64")
        raise ValueError(f"no measure is called {self.how!r}")

    @property
    def marks(self) -> str | None:
        """The row mark this measure reads, if it needs one: its rank from the latest, or the gap before it."""
        if self.how == "latest":
            return "rank " + self._rows_name
        return "gap " + self._rows_name if self.how.startswith("gap_") else None

    @property
    def _rows_name(self) -> str:
        return replace(self, how="", column="", days=None).name

    def mark(self, rows: ir.Table) -> ir.Value:
        """The window expression behind `marks`: order within a moment, ties broken by the row's key."""
        key = CANONICAL[self.source].key
        of_interest = replace(self, days=None).chosen(rows)
        groups = [rows.customer_id, rows.as_of] + ([] if of_interest is None else [of_interest])
        if self.how == "latest":
            newest_first = [rows.age_s, ibis.desc(rows.known_at), ibis.desc(rows[key])]
            return ibis.row_number().over(group_by=groups, order_by=newest_first)
        before = rows.day.lag().over(group_by=groups, order_by=[ibis.desc(rows.age_s), rows[key]])
        return rows.day - before


def _is_latest(rows: ir.Table, need: Need) -> ir.BooleanValue:
    first = rows[need.marks] == 0
    chosen = need.chosen(rows)
    return first if chosen is None else first & chosen


def _gap_days(rows: ir.Table, need: Need) -> ir.IntegerValue:
    """Days since the row before it; rows on the same day are no gap."""
    return rows[need.marks].nullif(0)


@dataclass(frozen=True)
class Rows:
    """The rows of one source that belong to a moment. Measures take `days`, the last days before it.

    Nothing to measure gives 0 for counts and sums, null for the rest.
    """

    source: str
    asked: set[Need] = field(repr=False, compare=False)
    conditions: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def where(self, **equal: str | tuple[str, ...]) -> "Rows":
        """Only rows whose columns hold the value, or one of the values: `where(kind="repair")`."""
        for column in equal:
            CANONICAL[self.source][column]  # a misspelt column fails here, by name
        more = tuple(
            (column, (value,) if isinstance(value, str) else tuple(sorted(value)))
            for column, value in equal.items()
        )
        return replace(self, conditions=tuple(sorted((*self.conditions, *more))))

    def count(self, days: int | None = None) -> Any:
        return self._ask("count", "", days)

    def sum(self, column: str, days: int | None = None) -> Any:
        return self._ask("sum", column, days)

    def max(self, column: str, days: int | None = None) -> Any:
        return self._ask("max", column, days)

    def min(self, column: str, days: int | None = None) -> Any:
        return self._ask("min", column, days)

    def distinct(self, column: str, days: int | None = None) -> Any:
        """How many different values."""
        return self._ask("distinct", column, days)

    def distinct_days(self, days: int | None = None) -> Any:
        """On how many days anything happened."""
        return self._ask("distinct", "day", days)

    def latest(self, column: str, days: int | None = None) -> Any:
        """The value in the most recent row; ties go to the row known later, then to the greater key."""
        return self._ask("latest", column, days)

    def days_since_last(self) -> Any:
        """Whole days since the most recent row."""
        return self._ask("min", "age_s", None) // DAY_S

    def days_since_first(self) -> Any:
        return self._ask("max", "age_s", None) // DAY_S

    def longest_gap_days(self) -> Any:
        """The longest time between two days on which something happened."""
        return self._ask("gap_max", "", None)

    def mean_gap_days(self) -> Any:
        """Mean days between days on which something happened."""
        return self._ask("gap_sum", "", None) / self._ask("gap_count", "", None).nullif(0)

    def sd_gap_days(self) -> Any:
        """Standard deviation (population) of the days between; from exact integer sums."""
        gaps = self._ask("gap_count", "", None).nullif(0)
        total, squares = self._ask("gap_sum", "", None), self._ask("gap_square_sum", "", None)
        return (squares * gaps - total * total).cast("float64").sqrt() / gaps

    def _ask(self, how: str, column: str, days: int | None) -> Any:
        if column and column not in ("age_s", "day"):
            CANONICAL[self.source][column]
        need = Need(self.source, how, column, self.conditions, days)
        self.asked.add(need)
        return ibis._[need.name]


class Past:
    """One moment as a definition sees it: an attribute per source, and nothing else."""

    def __init__(self) -> None:
        self.asked: set[Need] = set()

    def __getattr__(self, source: str) -> Rows:
        if source not in CANONICAL:
            raise AttributeError(f"there is no source {source!r}; there are {', '.join(CANONICAL)}")
        return Rows(source, self.asked)


Definition = Callable[[Past], Any]


def needs_of(definition: Definition) -> tuple[Any, frozenset[Need]]:
    """What a definition computes (a deferred value over needs) and what it needs for that."""
    seen = Past()
    value = definition(seen)
    return value, frozenset(seen.asked)
