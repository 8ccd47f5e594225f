"""Cohorts: who may be asked about at a moment, and the reason for no.

A cohort is a list of conditions on the past; the first that fails gives the reason. Whoever is not known to
us before the moment is in no cohort at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir

from features import timeline
from features.planner import compute, sources_of
from features.rows import Definition
from features.warehouse import Warehouse

__all__ = ["COHORTS", "Cohort", "Condition", "everyone", "has_ordered", "just_contacted", "just_renewed"]


@dataclass(frozen=True)
class Condition:
    """`holds` is a definition that gives true or false; `otherwise` says in words why not."""

    holds: Definition
    otherwise: str


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
        return ibis.cases(*reasons, else_=ibis.null("string"))

    def ask(self, warehouse: Warehouse, dates: Iterable[datetime]) -> ir.Table:
        """Everyone known at each date: (customer_id, as_of, excluded), the reason for no, or null for yes."""
        answered = compute(everyone(warehouse, dates), self.checks, warehouse.tables, timeline.past)
        return answered.select("customer_id", "as_of", excluded=self.excluded(answered))

    def moments(self, warehouse: Warehouse, dates: Iterable[datetime]) -> ir.Table:
        """(customer_id, as_of) of those who may be asked about."""
        asked = self.ask(warehouse, dates)
        return asked.filter(asked.excluded.isnull()).select("customer_id", "as_of")


def everyone(warehouse: Warehouse, dates: Iterable[datetime]) -> ir.Table:
    """The population: (customer_id, as_of) of every customer known before each date."""
    known = warehouse.tables["customers"]
    pairs = known.select("customer_id").distinct().cross_join(timeline.instants(dates))
    return timeline.past(pairs, known).select("customer_id", "as_of").distinct()


has_ordered = Cohort(
    "has ordered",
    (Condition(lambda past: past.orders.where(kind="order").count() > 0, otherwise="has not ordered yet"),),
)

just_contacted = Cohort(
    "just contacted",
    (
        Condition(
            lambda past: past.contacts.where(kind="sent").count(days=1) > 0,
            otherwise="was sent nothing in the last day",
        ),
    ),
)

just_renewed = Cohort(
    "just renewed",
    (
        Condition(lambda past: past.vehicles.where(kind="delivery").count() > 0, otherwise="has no car"),
        Condition(
            lambda past: past.orders.where(kind="order").count(days=30) > 0,
            otherwise="renewed nothing in the last 30 days",
        ),
        Condition(
            lambda past: past.orders.where(kind="cancellation").count(days=30) == 0,
            otherwise="has cancelled already",
        ),
    ),
)

COHORTS: dict[str, Cohort] = {cohort.name: cohort for cohort in (has_ordered, just_contacted, just_renewed)}
