"""Tasks: a question about customers at a moment, as a value.

    cohort    who may be asked about              (their past)
    outcome   what happens to them                (their future)
    horizon   in how many days after the moment, and after a gap

Training takes a task's name; promotion makes the service offer it. Where two tasks share a name, the
deployment decides: the one whose sources are all there is meant.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from features import timeline
from features.cohorts import (
    Cohort,
    active_leads,
    active_owners,
    has_ordered,
    just_contacted,
    just_renewed,
    owners,
)
from features.errors import UnknownName
from features.feature_set import FEATURES
from features.planner import sources_of
from features.rows import Definition
from features.views.orders import placed
from features.views.touchpoints import deeds
from features.warehouse import Warehouse
from training.rules import (
    Rule,
    age_of_car,
    dearness,
    fading,
    last_touch,
    newness,
    past_redemptions,
    recency,
    rfm,
    silent_7d,
    test_drive_30d,
    touch_rfm,
)

__all__ = ["TASKS", "Task", "offered", "task_named"]


@dataclass(frozen=True)
class Task:
    """`outcome` is a definition over the future that gives true when it happens; `purpose` the consent that
    using the score needs; `rules` what a model must beat."""

    name: str
    question: str
    cohort: Cohort
    outcome: Definition
    horizon_days: int
    rules: tuple[Rule, ...]
    gap_days: int = 0
    purpose: str = "marketing"

    @property
    def watches(self) -> frozenset[str]:
        """The sources whose future decides the outcome; they must be complete to the end of the window."""
        return sources_of(self.outcome)

    @property
    def needs(self) -> frozenset[str]:
        """The sources of outcome, cohort and rules; a deployment that lacks one is not offered the task."""
        read = (FEATURES[name].sources for rule in self.rules for name in rule.reads)
        return self.watches.union(self.cohort.sources, *read)

    @property
    def window(self) -> timedelta:
        """From the moment to the end of the outcome window."""
        return timedelta(days=self.gap_days + self.horizon_days)

    def latest_closed(self, warehouse: Warehouse) -> datetime:
        """The latest moment whose outcome this warehouse fully holds."""
        return timeline.latest_closed(
            warehouse.complete_until, self.watches, horizon_days=self.horizon_days, gap_days=self.gap_days
        )

    def require_closed(self, dates: Iterable[datetime], warehouse: Warehouse) -> None:
        """Raise `OpenWindow`, naming the latest usable date, unless every date's outcome window is closed."""
        timeline.require_closed(
            dates,
            warehouse.complete_until,
            self.watches,
            horizon_days=self.horizon_days,
            gap_days=self.gap_days,
        )


TASKS: tuple[Task, ...] = (
    Task(
        name="churn",
        question="Will this customer place no order in the next 39 weeks?",
        cohort=has_ordered,
        outcome=lambda future: placed(future).count() == 0,
        horizon_days=39 * 7,
        rules=(fading(recency), fading(rfm)),
    ),
    Task(
        name="purchase_intent",
        question="Will this customer place an order in the next 13 weeks?",
        cohort=has_ordered,
        outcome=lambda future: placed(future).count() > 0,
        horizon_days=13 * 7,
        rules=(recency, rfm),
    ),
    Task(
        name="churn",
        question="Will this owner show no sign of life, neither a touchpoint nor a workshop visit, in 180 days?",
        cohort=active_owners,
        outcome=lambda future: (deeds(future).count() == 0) & (future.visits.count() == 0),
        horizon_days=180,
        rules=(fading(last_touch), fading(silent_7d), fading(touch_rfm)),
    ),
    Task(
        name="purchase_intent",
        question="Will this lead order a first car of ours in the next 90 days?",
        cohort=active_leads,
        outcome=lambda future: placed(future).count() > 0,
        horizon_days=90,
        rules=(last_touch, silent_7d, test_drive_30d, touch_rfm),
    ),
    Task(
        name="repurchase",
        question="Will this owner order another car of ours in the next 365 days?",
        cohort=owners,
        outcome=lambda future: placed(future).count() > 0,
        horizon_days=365,
        rules=(age_of_car, last_touch, touch_rfm),
    ),
    Task(
        name="redemption",
        question="Will this customer, just sent a campaign, redeem a coupon in the next 30 days?",
        cohort=just_contacted,
        outcome=lambda future: deeds(future, kind="coupon_redemption").count() > 0,
        horizon_days=30,
        rules=(past_redemptions,),
    ),
    Task(
        name="lapse",
        question="Will this contract, renewed in the last 30 days, be cancelled by the next renewal?",
        cohort=just_renewed,
        outcome=lambda future: future.orders.where(kind="cancellation").count() > 0,
        horizon_days=366,  # a yearly contract's next renewal, in a leap year too
        rules=(newness, dearness),
    ),
)


def offered(warehouse: Warehouse, tasks: Iterable[Task] = TASKS) -> dict[str, Task]:
    """The tasks this warehouse has the sources for, by name; the more demanding one of two namesakes."""
    possible = sorted((task for task in tasks if warehouse.has(task.needs)), key=lambda task: len(task.needs))
    return {task.name: task for task in possible}


def task_named(name: str, warehouse: Warehouse) -> Task:
    """The task of that name. Raises `UnknownName`, listing those there are."""
    found = offered(warehouse)
    if name not in found:
        raise UnknownName("task", name, found)
    return found[name]
