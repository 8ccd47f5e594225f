"""Cohorts: who may be asked about at a moment, and the reason for no.

A cohort is a list of conditions on the past; the first that fails gives the reason. Whoever is not known to
us before the moment is in no cohort at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from features import timeline
from features.planner import compute, sources_of
from features.rows import Definition
from features.views.lifecycle import open_orders
from features.views.orders import placed
from features.views.touchpoints import deeds
from features.views.vehicles import deliveries, held
from features.warehouse import Warehouse

__all__ = [
    "COHORTS",
    "Cohort",
    "Condition",
    "active_leads",
    "active_owners",
    "activity_guests",
    "eligible",
    "everyone",
    "excluded_column",
    "has_ordered",
    "in_chinese",
    "insurance_due",
    "just_contacted",
    "just_renewed",
    "just_serviced",
    "just_tested",
    "new_owners",
    "owners",
    "young_car_owners",
]


@dataclass(frozen=True)
class Condition:
    """`holds` is a definition that gives true or false; `otherwise` says in words why not, in English and in Chinese. The
    English words stand in the rows; `in_chinese` finds the others."""

    holds: Definition
    otherwise: str
    otherwise_zh: str


@dataclass(frozen=True)
class Cohort:
    """Customers who meet all conditions. `a & b` meets those of both."""

    name: str
    conditions: tuple[Condition, ...]

    def __and__(self, other: "Cohort") -> "Cohort":
        return Cohort(f"{self.name} and {other.name}", (*self.conditions, *other.conditions))

    @property
    def sources(self) -> frozenset[str]:
        return frozenset().union(*(sources_of(condition.holds) for condition in self.conditions))

    @property
    def checks(self) -> dict[str, Definition]:
        """Its conditions under names of their own, so that one computation can answer several cohorts."""
        return {f"{self.name}: {condition.otherwise}": condition.holds for condition in self.conditions}

    def excluded(self, answered: ir.Table) -> ir.Value:
        """The reason for no, or null for yes, from a table that holds `checks`."""
        reasons = [
            (~answered[name].fill_null(False), condition.otherwise)
            for name, condition in zip(self.checks, self.conditions, strict=True)
        ]
        return ibis.cases(*reasons, else_=ibis.null("string")) if reasons else ibis.null("string")

    def ask(self, warehouse: Warehouse, dates: Iterable[datetime]) -> ir.Table:
        """Everyone known at each date: (customer_id, as_of, excluded), the reason for no, or null for yes."""
        answered = compute(everyone(warehouse, dates), self.checks, warehouse.tables, timeline.past)
        return answered.select("customer_id", "as_of", excluded=self.excluded(answered))

    def moments(self, warehouse: Warehouse, dates: Iterable[datetime]) -> ir.Table:
        """(customer_id, as_of) of those who may be asked about."""
        return eligible(self.ask(warehouse, dates))


def excluded_column(cohort: str) -> str:
    """The column that says why a customer is not in the cohort."""
    return f"not {cohort}"


def in_chinese(reason: str) -> str:
    """A reason for no in Chinese; one that no cohort gives any more is told as it stands."""
    return _IN_CHINESE.get(reason, reason)


def eligible(asked: ir.Table) -> ir.Table:
    """(customer_id, as_of) of those for whom a cohort's answer is yes."""
    return asked.filter(asked.excluded.isnull()).select("customer_id", "as_of")


def everyone(warehouse: Warehouse, dates: Iterable[datetime]) -> ir.Table:
    """The population: (customer_id, as_of) of every customer known before each date."""
    return timeline.seen_on(dates, warehouse.tables["customers"]).select("customer_id", "as_of").distinct()


def silent_for(days: int, past: Any) -> Any:
    """Nothing the customer did of their own accord, and no workshop visit, in the last `days`."""
    return (deeds(past).count(days=days) == 0) & (past.visits.count(days=days) == 0)


def insured(past: Any) -> Any:
    return deeds(past, kind="insurance_renewal")


NO_CAR = Condition(
    lambda past: held(past).count() == 0,
    otherwise="holds a car of ours already",
    otherwise_zh="名下已有本品牌车辆",
)
HOLDS_A_CAR = Condition(
    lambda past: held(past).count() > 0, otherwise="holds no car of ours", otherwise_zh="名下没有本品牌车辆"
)
NOTHING_ON_ORDER = Condition(
    lambda past: open_orders(past) == 0, otherwise="has a car on order", otherwise_zh="已有在途新车订单"
)

has_ordered = Cohort(
    "has ordered",
    (
        Condition(
            lambda past: placed(past).count() > 0,
            otherwise="has not ordered yet",
            otherwise_zh="尚未下过订单",
        ),
    ),
)
active_leads = Cohort(
    "active leads",
    (
        NO_CAR,
        NOTHING_ON_ORDER,
        Condition(
            lambda past: deeds(past).count(days=90) > 0,
            otherwise="no touchpoint in 90 days",
            otherwise_zh="近90天没有触点",
        ),
    ),
)
active_owners = Cohort(
    "active owners",
    (
        HOLDS_A_CAR,
        Condition(
            lambda past: ~silent_for(180, past),
            otherwise="silent for 180 days already",
            otherwise_zh="已沉默180天",
        ),
    ),
)
owners = Cohort("owners", (HOLDS_A_CAR, NOTHING_ON_ORDER))

new_owners = Cohort(
    "new owners",
    (
        HOLDS_A_CAR,
        Condition(
            lambda past: deliveries(past).count(days=30) > 0,
            otherwise="no car was delivered in the last 30 days",
            otherwise_zh="近30天没有交付新车",
        ),
    ),
)
young_car_owners = Cohort(
    "owners of a young car",
    (
        HOLDS_A_CAR,
        NOTHING_ON_ORDER,
        Condition(
            lambda past: deliveries(past).count(days=1095) > 0,
            otherwise="no car was delivered in the last 36 months",
            otherwise_zh="近36个月没有交付新车",
        ),
    ),
)
just_tested = Cohort(
    "just tested",
    (
        NOTHING_ON_ORDER,
        Condition(
            lambda past: deeds(past, kind="test_drive").count(days=30) > 0,
            otherwise="no test drive in the last 30 days",
            otherwise_zh="近30天没有试驾",
        ),
    ),
)
just_serviced = Cohort(
    "just serviced",
    (
        HOLDS_A_CAR,
        Condition(
            lambda past: past.visits.where(kind="maintenance").count(days=90) > 0,
            otherwise="no maintenance in the last 90 days",
            otherwise_zh="近90天没有保养",
        ),
    ),
)
insurance_due = Cohort(
    "insurance due",
    (
        HOLDS_A_CAR,
        Condition(
            lambda past: insured(past).count(days=365) - insured(past).count(days=275) > 0,
            otherwise="renewed no insurance 275 to 365 days ago",
            otherwise_zh="275至365天前没有续保",
        ),
        Condition(
            lambda past: insured(past).count(days=275) == 0,
            otherwise="has renewed the insurance already",
            otherwise_zh="已续保",
        ),
    ),
)
activity_guests = Cohort(
    "activity guests",
    (
        Condition(
            lambda past: deeds(past, kind="activity_signin").count(days=90) > 0,
            otherwise="joined no activity in the last 90 days",
            otherwise_zh="近90天没有参加活动",
        ),
    ),
)

just_contacted = Cohort(
    "just contacted",
    (
        Condition(
            lambda past: past.contacts.where(kind="sent").count(days=1) > 0,
            otherwise="was sent nothing in the last day",
            otherwise_zh="近1天没有被触达",
        ),
    ),
)
just_renewed = Cohort(
    "just renewed",
    (
        HOLDS_A_CAR,
        Condition(
            lambda past: placed(past).count(days=30) > 0,
            otherwise="renewed nothing in the last 30 days",
            otherwise_zh="近30天没有续约",
        ),
        Condition(
            lambda past: past.orders.where(kind="cancellation").count(days=30) == 0,
            otherwise="has cancelled already",
            otherwise_zh="已取消订单",
        ),
    ),
)

COHORTS: dict[str, Cohort] = {
    cohort.name: cohort
    for cohort in (
        has_ordered,
        active_leads,
        active_owners,
        owners,
        new_owners,
        young_car_owners,
        just_tested,
        just_serviced,
        insurance_due,
        activity_guests,
        just_contacted,
        just_renewed,
    )
}

_IN_CHINESE = {
    condition.otherwise: condition.otherwise_zh
    for cohort in COHORTS.values()
    for condition in cohort.conditions
}
