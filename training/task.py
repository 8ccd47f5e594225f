"""A task: a question about customers at a moment, as a value.

    cohort     who may be asked about              (their past)
    outcome    what may happen to them             (their future)
    horizons   in how many days after the moment, and after a gap

The longest horizon is the task's own: its rules, grades and figures speak about it; the shorter ones come with every
score. Where two tasks share a name, the deployment decides: the one whose sources are all there is meant.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import ibis.expr.types as ir

from features import timeline
from features.allowed import today
from features.cohorts import Cohort
from features.consent import population
from features.feature import Feature
from features.feature_set import FEATURES, available
from features.lawful import undeclared
from features.warehouse import Warehouse
from training.assessment import Assessment, Fairness
from training.campaign import CAPACITY_SHARE, Campaign
from training.model import Answers
from training.outcomes import Outcome
from training.rules import Rule
from training.words import Words
from training.worth import Worth

__all__ = ["Occasions", "Task"]

CUSTOMERS = Words("customers", "位客户")


@dataclass(frozen=True)
class Occasions:
    """Rows of a source that make a cohort: it is met on the day after them and on few others. A row must hold
    `value` in its `column`."""

    source: str
    column: str
    value: str

    def days(self, warehouse: Warehouse) -> dict[datetime, int]:
        """The midnights after days with such rows, in order, and how many rows there were."""
        rows = warehouse.tables[self.source]
        rows = rows.filter(rows[self.column] == self.value, rows.superseded_at.isnull())
        by_day = rows.group_by(day=rows.happened_at.date()).aggregate(rows=rows.count()).order_by("day")
        found = warehouse.engine.to_pyarrow(by_day).to_pylist()
        return {timeline.midnight(row["day"]) + timedelta(days=1): row["rows"] for row in found}


@dataclass(frozen=True)
class Task:
    """`horizons_days` rise; `wanted` names the kinds of outcome that the propensity is the sum of (default: all);
    `silence` names the outcome that consists in nothing happening; `purpose` is the consent that using the score
    needs; `rules` are what a model must beat; `occasions` are for cohorts that are met on few days only.

    For the report: `who` is asked and what they `do` ("order within {days} days"); `capacity` customers can be called at a
    time (0: a tenth of those asked about); `worth` says what a call costs and an outcome is worth. For the law: `assessment`
    without which no model of it is promoted, why it reads `sensitive` columns ("customers.sex"), where it does, and what it owes groups
    (`fairness`), where it declares that."""

    name: str
    question: str
    cohort: Cohort
    outcome: Outcome
    horizons_days: tuple[int, ...]
    rules: tuple[Rule, ...]
    wanted: tuple[str, ...] = ()
    silence: str = ""
    occasions: Occasions | None = None
    gap_days: int = 0
    purpose: str = "marketing"
    who: Words = CUSTOMERS
    do: Words | None = None
    capacity: int = 0
    worth: Worth | None = None
    assessment: Assessment | None = None
    sensitive: Mapping[str, str] = field(default_factory=dict)
    fairness: Fairness | None = None

    def __post_init__(self) -> None:
        if not self.horizons_days or list(self.horizons_days) != sorted(set(self.horizons_days)):
            raise ValueError(f"{self.name}: horizons must rise, and are {self.horizons_days}")
        if unknown := set(self.wanted) - set(self.outcome.kinds):
            raise ValueError(f"{self.name}: no kind of its outcome is called {', '.join(sorted(unknown))}")

    @property
    def horizon_days(self) -> int:
        """The longest, which the task's own figures speak about."""
        return self.horizons_days[-1]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The outcomes it gives probabilities of, by name."""
        return (self.silence,) if self.silence else self.outcome.kinds

    @property
    def answers(self) -> Answers:
        """What its model answers."""
        return Answers(self.kinds, self.horizons_days, self.wanted_places, bool(self.silence))

    @property
    def wanted_places(self) -> tuple[int, ...]:
        """Where the wanted kinds stand among `kinds`."""
        return tuple(n for n, kind in enumerate(self.kinds) if not self.wanted or kind in self.wanted)

    @property
    def does(self) -> Words:
        """What those with the outcome do by the longest horizon, in words."""
        named = " or ".join(self.kinds[place] for place in self.wanted_places)
        said = self.do or Words(
            f'have the outcome "{named}" within {{days}} days', f"在{{days}}天内出现“{named}”"
        )
        return said.filled(days=self.horizon_days)

    def campaign(self, asked: int) -> Campaign:
        """The list that the CRM has time for where `asked` customers may be asked about at a date."""
        listed = min(self.capacity, asked) or max(round(CAPACITY_SHARE * asked), 1)
        return Campaign(asked, listed, self.worth)

    def population(self, warehouse: Warehouse) -> Cohort:
        """Its cohort among those who allow its purpose and profiling. Raises `NoConsents`."""
        return population(self.cohort, self.purpose, warehouse)

    def asked(self, warehouse: Warehouse, dates: Iterable[datetime]) -> ir.Table:
        """Everyone known at each date: (customer_id, as_of, excluded), the reason for no, or null for yes. Whoever allows it no
        longer is not asked about at any date. Raises `NoConsents`."""
        asked = self.population(warehouse).ask(warehouse, dates)
        gone = today(warehouse, self.purpose).select("customer_id", gone="excluded")
        joined = asked.left_join(gone, "customer_id")
        return joined.select("customer_id", "as_of", excluded=joined.excluded.coalesce(joined.gone))

    def features(self, warehouse: Warehouse) -> list[Feature]:
        """What it may learn from: of sources whose purpose is among those it has consent for, and nothing sensitive but what it
        says why it reads."""
        every = available(warehouse, sensitive=True)
        return [one for one in every if not undeclared([one], self.purpose, self.sensitive)]

    @property
    def watches(self) -> frozenset[str]:
        """The sources whose future decides the outcome; they must be complete to the end of the window."""
        return self.outcome.watches

    @property
    def needs(self) -> frozenset[str]:
        """The sources of outcome, cohort and rules; a deployment that lacks one is not offered the task."""
        read = (FEATURES[name].sources for rule in self.rules for name in rule.reads)
        return self.outcome.sources.union(self.cohort.sources, *read)

    @property
    def settled_days(self) -> int:
        """Days from the window's opening until its outcome is settled."""
        return self.horizon_days + self.outcome.settles_days

    @property
    def window(self) -> timedelta:
        """From the moment until its outcome is settled."""
        return timedelta(days=self.gap_days + self.settled_days)

    def latest_closed(self, warehouse: Warehouse) -> datetime:
        """The latest moment whose outcome this warehouse fully holds."""
        return timeline.latest_closed(
            warehouse.complete_until, self.watches, horizon_days=self.settled_days, gap_days=self.gap_days
        )

    def require_closed(self, dates: Iterable[datetime], warehouse: Warehouse) -> None:
        """Raise `OpenWindow`, naming the latest usable date, unless every date's outcome window is closed."""
        timeline.require_closed(
            dates,
            warehouse.complete_until,
            self.watches,
            horizon_days=self.settled_days,
            gap_days=self.gap_days,
        )
