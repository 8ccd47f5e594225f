"""Measures of rows, written as one would explain them; and the names under which they are expected."""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import pairwise
from statistics import pstdev
from typing import Any

from tests.oracle.moment import DAY_S, Moment, Row, day_of


def total(rows: Iterable[Row], column: str) -> int:
    return sum(row[column] for row in rows if row[column] is not None)


def distinct(rows: Iterable[Row], column: str) -> int:
    return len({row[column] for row in rows if row[column] is not None})


def days_active(rows: Iterable[Row]) -> int:
    return len({day_of(row["happened_at"]) for row in rows})


def largest(rows: Iterable[Row], column: str) -> Any:
    return max((row[column] for row in rows if row[column] is not None), default=None)


def smallest(rows: Iterable[Row], column: str) -> Any:
    return min((row[column] for row in rows if row[column] is not None), default=None)


def newest(rows: list[Row], column: str) -> Any:
    """Of the last row; `rows` are oldest first."""
    return rows[-1][column] if rows else None


def ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def difference(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right


def since_last(m: Moment, rows: list[Row]) -> int | None:
    return min((m.age_s(row) for row in rows), default=None) // DAY_S if rows else None


def since_first(m: Moment, rows: list[Row]) -> int | None:
    return max(m.age_s(row) for row in rows) // DAY_S if rows else None


def gaps(rows: list[Row]) -> list[int]:
    days = sorted({day_of(row["happened_at"]) for row in rows})
    return [later - earlier for earlier, later in pairwise(days)]


def mean_gap(rows: list[Row]) -> float | None:
    between = gaps(rows)
    return sum(between) / len(between) if between else None


def sd_gap(rows: list[Row]) -> float | None:
    return pstdev(gaps(rows)) if gaps(rows) else None


def overdue(m: Moment, rows: list[Row]) -> float | None:
    return ratio(since_last(m, rows), mean_gap(rows))


def days_to(m: Moment, instant: datetime | None) -> int | None:
    return None if instant is None else int((instant - m.as_of).total_seconds()) // DAY_S


def due(m: Moment, rows: list[Row], column: str, days: int | None) -> list[Row]:
    """Rows whose date lies at the moment or after it, before `days` have passed."""
    kept = []
    for row in rows:
        if row[column] is not None and row[column] >= m.as_of:
            ahead_s = (row[column] - m.as_of).total_seconds()
            if days is None or ahead_s < days * DAY_S:
                kept.append(row)
    return kept


def after_last(rows: list[Row], kind: str, last_of: tuple[str, ...]) -> int:
    """How many of a kind strictly after the newest of other kinds."""
    marks = [row["happened_at"] for row in rows if row["kind"] in last_of]
    return sum(1 for row in rows if row["kind"] == kind and (not marks or row["happened_at"] > max(marks)))


# expectations, by the feature's name

Expectation = Callable[[Moment], Any]
EXPECTED: dict[str, Expectation] = {}


def over(name: str, windows: tuple[int | None, ...], measure: Callable[[Moment, int | None], Any]) -> None:
    for days in windows:
        label = "ever" if days is None else f"{days}d"
        EXPECTED[name.format(label)] = lambda m, days=days: measure(m, days)


def change(name: str, windows: tuple[int, ...], measure: Callable[[Moment, int | None], Any]) -> None:
    for days in windows:
        EXPECTED[name.format(f"{days}d")] = lambda m, days=days: (
            measure(m, days) - (measure(m, 2 * days) - measure(m, days))
        )


def rhythm(name: str, overdue_name: str, rows: Callable[[Moment], list[Row]]) -> None:
    EXPECTED[f"mean_days_between_{name}"] = lambda m: mean_gap(rows(m))
    EXPECTED[f"sd_days_between_{name}"] = lambda m: sd_gap(rows(m))
    EXPECTED[f"longest_days_between_{name}"] = lambda m: max(gaps(rows(m)), default=None)
    EXPECTED[overdue_name] = lambda m: overdue(m, rows(m))


def last(name: str, rows: Callable[[Moment], list[Row]]) -> None:
    EXPECTED[name] = lambda m: since_last(m, rows(m))


def first(name: str, rows: Callable[[Moment], list[Row]]) -> None:
    EXPECTED[name] = lambda m: since_first(m, rows(m))
