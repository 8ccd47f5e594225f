"""From a task to rows to learn from: moments, features, outcomes, and an honest cut between the parts.

    fit ──[window]──► calibrate ──[window]──► test          in time: no window reaches into the next part
    80 % of customers  the other 20 %          everyone      by customer, before the test

Where the history is too short for that, the parts share their dates and are cut by customer alone, and the
plan says so. A random cut of rows is not offered: it flatters.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import ibis
import numpy as np
import pandas as pd

from features import timeline
from features.cohorts import eligible
from features.errors import NotTrainable, OpenWindow
from features.feature import Feature
from features.feature_set import at, available
from features.planner import compute
from features.warehouse import Warehouse
from training.tasks import Task

__all__ = ["Dataset", "Parts", "Plan", "dataset", "plan", "split", "telling"]

STEP_DAYS = 30
# A window that reaches back beyond the first event means something else than a later one; where the long
# history leaves too few dates, the short one must do.
HISTORY_DAYS = (180, 90)
ENOUGH_LONG_DATES = 3
MOST_FIT_DATES = 12
ENOUGH_FIT_DATES = 6
CALIBRATION_DATES = 3
FEWEST_OUTCOMES = 50


@dataclass(frozen=True)
class Plan:
    """The dates of each part. `cut` says in words what keeps the parts apart."""

    fit: tuple[datetime, ...]
    calibrate: tuple[datetime, ...]
    test: tuple[datetime, ...]
    cut: str
    held_out: frozenset[str] | None = None

    @property
    def dates(self) -> list[datetime]:
        return sorted({*self.fit, *self.calibrate, *self.test})

    @property
    def by_customer(self) -> bool:
        """Whether the test shares its dates with the fit, so that only customers keep them apart."""
        return self.test == self.fit


@dataclass(frozen=True)
class Dataset:
    """One row per moment: customer_id, as_of, `outcome` (0/1) and the features; `excluded` counts who was not
    asked about, by date and reason; `digest` identifies the content."""

    frame: pd.DataFrame
    features: tuple[Feature, ...]
    excluded: pd.DataFrame
    digest: str

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]


@dataclass(frozen=True)
class Parts:
    fit: pd.DataFrame
    calibrate: pd.DataFrame
    test: pd.DataFrame


def plan(
    task: Task,
    warehouse: Warehouse,
    *,
    test_at: datetime | None = None,
    held_out: Iterable[str] | None = None,
) -> Plan:
    """Dates for a task: the test at the latest closed moment (or at `test_at`), training before it.

    `held_out` names the customers of a test by customer, for a history too short to cut in time. Raises
    `OpenWindow` when the outcomes of `test_at` are not all in.
    """
    test = test_at or task.latest_closed(warehouse)
    task.require_closed([test], warehouse)
    begin = _begin(task, warehouse)
    long, short = (begin + timedelta(days=days) for days in HISTORY_DAYS)
    if short > test:
        raise OpenWindow(
            f"{task.name} has no moment with {HISTORY_DAYS[1]} days of history and a closed window of "
            f"{task.horizon_days} days: the test would be at {test:%Y-%m-%d}, history begins {begin:%Y-%m-%d}"
        )
    for earliest in (long, short):
        planned = _in_time(task, test, earliest)
        if planned and (len(planned.fit) >= ENOUGH_LONG_DATES or earliest == short):
            return planned
    chosen = frozenset(held_out) if held_out is not None else None
    if same := _back_from(test - task.window, long) or _back_from(test - task.window, short):
        cut = "in time; fit and calibration by customer at the same dates"
        return Plan(tuple(same), tuple(same), (test,), cut, chosen)
    return Plan((test,), (test,), (test,), "by customer at one date: no earlier window is closed", chosen)


def _in_time(task: Task, test: datetime, earliest: datetime) -> Plan | None:
    """Fit, calibration and test one after the other, a whole window apart; None where there is no room."""
    several = _back_from(test - task.window, earliest, CALIBRATION_DATES)
    for calibrate, enough in ((several, ENOUGH_FIT_DATES), (several[-1:], 1)):
        fit = _back_from(calibrate[0] - task.window, earliest) if calibrate else []
        if len(fit) >= enough:
            cut = "in time, and by customer between fit and calibration"
            return Plan(tuple(fit), tuple(calibrate), (test,), cut)
    return None


def dataset(task: Task, warehouse: Warehouse, dates: Sequence[datetime]) -> Dataset:
    """Features and outcomes of everyone in the task's cohort at each date.

    Raises `OpenWindow` for a date whose outcome window is not fully observed.
    """
    task.require_closed(dates, warehouse)
    asked = task.cohort.ask(warehouse, dates).cache()
    moments = eligible(asked)
    features = tuple(available(warehouse))
    outcomes = compute(
        moments,
        {"outcome": task.outcome},
        warehouse.tables,
        partial(timeline.future, horizon_days=task.horizon_days, gap_days=task.gap_days),
    )
    rows = outcomes.inner_join(at(moments, warehouse, features), ["customer_id", "as_of"])
    ordered = rows.order_by("as_of", "customer_id").select(
        "customer_id", "as_of", "outcome", *(f.name for f in features)
    )
    frame = warehouse.engine.to_pyarrow(ordered).to_pandas()
    frame["outcome"] = frame["outcome"].astype("int8")
    turned_away = asked.filter(asked.excluded.notnull()).group_by("as_of", "excluded")
    excluded = turned_away.aggregate(customers=ibis._.count()).order_by("as_of", "excluded")
    return Dataset(frame, features, warehouse.engine.to_pandas(excluded), _digest(frame))


def split(data: Dataset, plan: Plan) -> Parts:
    """Cut a dataset as planned. Raises `NotTrainable` when a part lacks outcomes of either kind."""
    frame = data.frame
    share = frame["customer_id"].map(_share)
    at_test = frame["as_of"].isin(plan.test)
    if plan.by_customer:
        tested = frame["customer_id"].isin(plan.held_out) if plan.held_out is not None else share < 0.3
        share = (share - 0.3) / 0.7 if plan.held_out is None else share
    else:
        tested = at_test
    calibrating = (share >= 0.8) & ~tested & frame["as_of"].isin(plan.calibrate)
    fitting = (share < 0.8) & ~tested & frame["as_of"].isin(plan.fit)
    parts = Parts(frame[fitting], frame[calibrating], frame[tested & at_test])
    for name in ("fit", "calibrate", "test"):
        _require_both_outcomes(name, getattr(parts, name))
    return parts


def telling(features: Sequence[Feature], part: pd.DataFrame) -> tuple[Feature, ...]:
    """The features that tell customers apart at some date of a part.

    A column that is the same for everyone at a date (the season, a source without rows) could only teach a model
    to know its dates again.
    """
    by_date = part.groupby("as_of", observed=True)
    return tuple(f for f in features if (by_date[f.name].nunique(dropna=False) > 1).any())


def _require_both_outcomes(name: str, part: pd.DataFrame) -> None:
    happened = int(part["outcome"].sum())
    rarer = min(happened, len(part) - happened)
    if rarer < FEWEST_OUTCOMES:
        raise NotTrainable(
            f"the {name} part has {len(part):,} rows of which {happened:,} with the outcome; at least "
            f"{FEWEST_OUTCOMES} with it and without it are needed: use more customers, more dates or a longer horizon"
        )


def _begin(task: Task, warehouse: Warehouse) -> datetime:
    """When what the task asks about begins, and the touchpoints, on which most windows look back."""
    starts = []
    for name in sorted(task.needs | ({"touchpoints"} & warehouse.tables.keys())):
        events = warehouse.tables[name]
        first = warehouse.engine.execute(events.happened_at.min())
        if pd.isna(first):
            raise NotTrainable(f"{name} holds no rows, so {task.name} cannot be learned")
        starts.append(pd.Timestamp(first).to_pydatetime())
    return max(starts)


def _back_from(last: datetime, earliest: datetime, most: int = MOST_FIT_DATES) -> list[datetime]:
    dates = [last - timedelta(days=STEP_DAYS * step) for step in range(most)]
    return sorted(date for date in dates if date >= earliest)


def _share(customer_id: str) -> float:
    """A customer's fixed place in [0, 1), the same on every machine."""
    return int(hashlib.md5(customer_id.encode(), usedforsecurity=False).hexdigest()[:8], 16) / 2**32


def _digest(frame: pd.DataFrame) -> str:
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    names = "\n".join(frame.columns).encode()
    return hashlib.sha256(names + np.ascontiguousarray(hashes).tobytes()).hexdigest()[:16]
