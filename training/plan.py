"""Which moments teach, calibrate and test: an honest cut, drawn before a feature is computed.

    fit and calibration ──[window]──► test        in time: no window that is learned from reaches into the test
    two thirds of customers      the other third  by customer: nobody is tested whom the fit has seen

A window runs until the outcome is settled, gap included. Fit and calibration share their dates, up to the latest that are
closed, and have customers of their own, so that the model knows the latest customs; of these dates the latest calibrate
(`training.blend`). (Calibrated a whole window after the
fit, it learned from dates a window older: the invented carmaker's purchase_intent, ROC AUC .780 instead of .802.) Where the
history is too short for a window before the test, the test shares the dates, too, and the plan says so. A random cut of
rows is not offered: it flatters.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pandas as pd

from features.errors import NotTrainable, OpenWindow
from features.former_owners import kept_since
from features.warehouse import Warehouse
from training.task import Task

__all__ = ["Plan", "begin", "plan", "share_of"]

# Whole weeks, so that every moment falls on the same weekday.
STEP_DAYS = 28
# A window that reaches back beyond the first event means something else than a later one; where the long
# history leaves too few dates, the short one must do.
HISTORY_DAYS = (180, 90)
ENOUGH_LONG_DATES = 3
MOST_FIT_DATES = 24
TEST_DATES = 3
MOST_OCCASIONS = 36
FIT_SHARE = 2 / 3
CALIBRATION_SHARE = 0.2


@dataclass(frozen=True)
class Plan:
    """The dates of each part. `cut` says in words what keeps the parts apart; `held_out` names the customers of the
    test; `everyone` lets the test ask about those of the fit too, at later dates."""

    fit: tuple[datetime, ...]
    calibrate: tuple[datetime, ...]
    test: tuple[datetime, ...]
    cut: str
    held_out: frozenset[str] | None = None
    everyone: bool = False

    @property
    def dates(self) -> list[datetime]:
        """Every date of any part, in order."""
        return sorted({*self.fit, *self.calibrate, *self.test})

    @property
    def by_customer(self) -> bool:
        """Whether the test shares its dates with the fit, so that only customers keep them apart."""
        return self.test == self.fit

    def parts(self, customer_ids: pd.Series, as_of: pd.Series) -> pd.Series:
        """Each moment's part: fit, calibrate, test, or null for a moment that serves none."""
        share = customer_ids.map(share_of).astype("float64")  # of nobody, too
        aside = share * 997 % 1 < CALIBRATION_SHARE  # a second draw, independent of the first
        if self.held_out is not None:
            tested = customer_ids.isin(self.held_out)
        else:
            tested = (share >= FIT_SHARE) | self.everyone
        if self.held_out is None and not self.everyone and not set(self.fit) & set(self.calibrate):
            learning, calibrating = ~tested, tested  # those of the test, a window before it
        else:
            seen = ~tested | self.everyone
            learning, calibrating = seen & ~aside, seen & aside
        found = pd.Series(None, index=customer_ids.index, dtype="object")
        found[calibrating & as_of.isin(self.calibrate)] = "calibrate"
        found[learning & as_of.isin(self.fit)] = "fit"
        found[tested & as_of.isin(self.test)] = "test"
        return found


@dataclass(frozen=True)
class _Calendar:
    """The dates to choose from: every fourth week back from the last, or the task's occasions with their sizes."""

    occasions: Mapping[datetime, int] | None

    def back(self, last: datetime, earliest: datetime, most: int = MOST_FIT_DATES) -> list[datetime]:
        if self.occasions is None:
            dates = [last - timedelta(days=STEP_DAYS * step) for step in range(most)]
            return sorted(date for date in dates if date >= earliest)
        return [date for date in self.occasions if earliest <= date <= last]

    def tests(self, last: datetime, earliest: datetime) -> list[datetime]:
        """The last few dates; of occasions, those that make up a quarter of them all."""
        dates = self.back(last, earliest, TEST_DATES)
        if self.occasions is None:
            return dates
        sizes = [self.occasions[date] for date in dates]
        later = [sum(sizes[place:]) for place in range(len(dates))]
        return [date for date, size in zip(dates, later, strict=True) if 4 * size <= later[0]] or dates[-1:]


def plan(
    task: Task,
    warehouse: Warehouse,
    *,
    test_at: datetime | None = None,
    until: datetime | None = None,
    held_out: Iterable[str] | None = None,
    everyone: bool = False,
) -> Plan:
    """Dates for a task: the test at the latest closed moments (those up to `until`, or `test_at` alone), training before.

    `held_out` names the customers of the test; with `everyone` it asks about all, at dates the fit has not seen. Raises
    `OpenWindow` when no window is closed, or not that of `test_at`, and `NotTrainable` for an empty source.
    """
    last = test_at or until or task.latest_closed(warehouse)
    task.require_closed([last], warehouse)
    first = begin(task, warehouse)
    whole = kept_since(warehouse.complete_until.values())
    long, short = (max(first + timedelta(days=days), whole) for days in HISTORY_DAYS)
    calendar = _Calendar(_occasions(task, warehouse, short, last))
    if not calendar.back(last, short):
        raise OpenWindow(
            f"{task.name} has no moment with {HISTORY_DAYS[1]} days of history and a closed window of "
            f"{task.settled_days} days: the test would be at {last:%Y-%m-%d}, history begins {first:%Y-%m-%d}"
        )
    chosen = frozenset(held_out) if held_out is not None else None
    several = [last] if test_at else calendar.tests(last, short)
    made = _before(task, calendar, several, (long, short))
    if made is None:
        same = tuple(calendar.back(last, short) if task.occasions else several[-1:])
        made = Plan(same, same, same, "by customer at the same dates: no earlier window is closed")
        return replace(made, held_out=chosen)
    of_test = "everyone is tested" if everyone else "no customer of the fit is tested"
    return replace(made, cut=f"{made.cut}; {of_test}", held_out=chosen, everyone=everyone)


def _before(
    task: Task, calendar: _Calendar, several: list[datetime], histories: tuple[datetime, datetime]
) -> Plan | None:
    """The best plan that learns from nothing but what was settled before the tests; None where there is no room.

    More dates to learn from count more than a longer history, and that more than several dates of the test.
    """
    cut = "in time; fit and calibration by customer at the same dates"
    for earliest, enough in zip(histories, (ENOUGH_LONG_DATES, 1), strict=True):
        if task.occasions is not None and enough > 1:
            continue  # of few and unequal dates none can be spared
        for tests in (several, several[-1:]):
            same = tuple(calendar.back(tests[0] - task.window, earliest))
            if len(same) >= enough:
                return Plan(same, same, tuple(tests), cut)
    return None


def _occasions(
    task: Task, warehouse: Warehouse, earliest: datetime, last: datetime
) -> dict[datetime, int] | None:
    if task.occasions is None:
        return None
    days = {d: rows for d, rows in task.occasions.days(warehouse).items() if earliest <= d <= last}
    thin = -(-len(days) // MOST_OCCASIONS) or 1
    return {day: days[day] for day in list(days)[::-thin][::-1]}


def begin(task: Task, warehouse: Warehouse) -> datetime:
    """When what the task asks about begins, and the touchpoints, on which most windows look back."""
    starts = []
    for name in sorted(task.needs | ({"touchpoints"} & warehouse.tables.keys())):
        events = warehouse.tables[name]
        first = warehouse.engine.execute(events.happened_at.min())
        if pd.isna(first):
            raise NotTrainable(f"{name} holds no rows, so {task.name} cannot be learned")
        starts.append(pd.Timestamp(first).to_pydatetime())
    return max(starts)


def share_of(customer_id: str) -> float:
    """A customer's fixed place in [0, 1), the same on every machine."""
    return int(hashlib.md5(customer_id.encode(), usedforsecurity=False).hexdigest()[:8], 16) / 2**32
