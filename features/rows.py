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

from features.needs import Need, Selection, Where
from features.sources import CANONICAL
from features.timeline import DAY_S, Today

__all__ = ["Definition", "Past", "Rows", "needs_of"]


@dataclass(frozen=True)
class Rows:
    """Rows of one source that belong to a moment. Measures take `days`, the last days before it.

    Nothing to measure gives 0 for counts and sums, null for the rest. A timestamp column (the end of a
    warranty) is measured in seconds ahead of the moment.
    """

    selection: Selection
    asked: set[Need] = field(repr=False, compare=False)
    compared_per: str = ""

    # which rows

    def where(self, **equal: str | tuple[str, ...]) -> "Rows":
        """Only rows whose columns hold the value, or one of the values: `where(kind="repair")`."""
        return self._select(where=tuple(sorted((*self.selection.where, *self._tests(equal)))))

    def whose(self, owner: str) -> "Rows":
        """The source's rows in which the customer stands in another column: `referrals.whose("invitee_id")`."""
        return self._select(owner=self._checked(owner))

    def telling(self, column: str) -> "Rows":
        """Only rows that hold a value in a column, where it may be missing."""
        return self._select(told=self._checked(column))

    def newest_per(self, column: str) -> "Rows":
        """Only the newest row of each value of a column; the newest of all the source's rows, whatever `where` says."""
        return self._select(newest_per=self._checked(column))

    def since_last(self, **equal: str | tuple[str, ...]) -> "Rows":
        """Only rows after the newest row with these values: `where(kind="sent").since_last(kind="answered")`.
        All of them when there is none."""
        return self._select(since=self._tests(equal))

    def ahead(self, column: str, days: int | None = None) -> "Rows":
        """Only rows whose timestamp column lies in `[as_of, as_of + days)`."""
        return self._select(ahead=(self._checked(column), days))

    def compared_within(self, column: str) -> "Rows":
        """Rises and gaps compare a row with the one before it of the same car, or whatever `column` tells."""
        return replace(self, compared_per=self._checked(column))

    # measures of them

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
        return self._ask("min", "age_s") // DAY_S

    def days_since_first(self) -> Any:
        return self._ask("max", "age_s") // DAY_S

    def days_to_first(self, column: str) -> Any:
        """Whole days until the earliest of a column's timestamps; negative when it has passed."""
        return self._ask("min", column) // DAY_S

    def longest_gap_days(self) -> Any:
        """The longest time between two days on which something happened."""
        return self._ask("step_max", "day")

    def mean_gap_days(self) -> Any:
        """Mean days between days on which something happened."""
        return self._ask("step_sum", "day") / self._ask("step_count", "day").nullif(0)

    def sd_gap_days(self) -> Any:
        """Standard deviation (population) of the days between; from exact integer sums."""
        gaps = self._ask("step_count", "day").nullif(0)
        total, squares = self._ask("step_sum", "day"), self._ask("step_square_sum", "day")
        return (squares * gaps - total * total).cast("float64").sqrt() / gaps

    def rise(self, column: str, days: int | None = None) -> Any:
        """The sum of differences from the row before, for rows of the last `days`; a fall counts negative."""
        return self._ask("step_sum", column, days)

    def gap_days(self, days: int | None = None) -> Any:
        """The days that `rise` took."""
        return self._ask("step_sum", "day", days)

    def changes(self, column: str, days: int | None = None) -> Any:
        """In how many rows the value is another than in the row before."""
        return self._ask("change_count", column, days)

    def days_since_change(self, column: str) -> Any:
        """Whole days since the value last became another; since the first row if it never did."""
        changed, first = self._ask("change_age", column), self._ask("max", "age_s")
        return changed.fill_null(first) // DAY_S

    def _select(self, **more: Any) -> "Rows":
        return replace(self, selection=replace(self.selection, **more))

    def _checked(self, column: str) -> str:
        return CANONICAL[self.selection.source][column].name  # a misspelt column fails here, by name

    def _tests(self, equal: dict[str, str | tuple[str, ...]]) -> Where:
        tests = (
            (self._checked(column), (value,) if isinstance(value, str) else tuple(sorted(value)))
            for column, value in equal.items()
        )
        return tuple(sorted(tests))

    def _ask(self, how: str, column: str, days: int | None = None) -> Any:
        if column and column not in ("age_s", "day"):
            self._checked(column)
        compares = how.startswith(("step_", "change_"))
        need = Need(self.selection, how, column, days, self.compared_per if compares else "")
        self.asked.add(need)
        return ibis._[need.name]


class Past:
    """One moment as a definition sees it: an attribute per source, and `today`, the moment's own date."""

    today = Today()

    def __init__(self) -> None:
        self.asked: set[Need] = set()

    def __getattr__(self, source: str) -> Rows:
        if source not in CANONICAL:
            raise AttributeError(f"there is no source {source!r}; there are {', '.join(CANONICAL)}")
        return Rows(Selection(source), self.asked)


Definition = Callable[[Past], Any]


def needs_of(definition: Definition) -> tuple[Any, frozenset[Need]]:
    """What a definition computes (a deferred value over needs) and what it needs for that."""
    seen = Past()
    value = definition(seen)
    return value, frozenset(seen.asked)
