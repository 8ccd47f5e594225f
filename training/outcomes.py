"""Outcomes: what may happen in a task's window, of which kind, and by which of its horizons.

    Happens     one kind; a definition over the future that turns true and stays true as the window grows
    FirstOf     competing kinds; dated deeds, of which the first in the window decides

Both answer with two small numbers per moment: `kind`, 0 for nothing and else the place of the kind, and `interval`,
the first of the task's horizons by which it has happened (their count: by none). Everything else, the outcome of
each kind by each horizon, follows from these, so that horizons nest and kinds exclude each other by construction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import ibis
import ibis.expr.types as ir

from features import timeline
from features.passes import KEYS
from features.planner import compute, sources_of
from features.rows import Definition

__all__ = ["FirstOf", "Happens", "Outcome"]

Tables = Mapping[str, ir.Table]


@dataclass(frozen=True)
class Happens:
    """`event` is true (or a positive number) once it has happened. Where `beyond` is given, `event` is a number of the
    future that must exceed that number of the past, as a dearer car than the one held does."""

    name: str
    event: Definition
    beyond: Definition | None = None
    settles_days: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """What may happen: the one outcome."""
        return (self.name,)

    @property
    def watches(self) -> frozenset[str]:
        """The sources whose future decides."""
        return sources_of(self.event)

    @property
    def sources(self) -> frozenset[str]:
        """The sources it reads, of past or future."""
        return self.watches | (sources_of(self.beyond) if self.beyond else frozenset())

    def first(
        self, moments: ir.Table, tables: Tables, horizons_days: Sequence[int], gap_days: int
    ) -> ir.Table:
        """(customer_id, as_of, kind, interval); the window is computed once per horizon."""
        found = [self._by(moments, tables, days, gap_days) for days in horizons_days]
        joined = reduce(lambda one, other: one.inner_join(other, KEYS), found)
        times = [joined[_by_name(days)].cast("int8") for days in horizons_days]
        return joined.select(
            *KEYS, kind=times[-1], interval=(ibis.literal(len(times)) - sum(times[1:], times[0])).cast("int8")
        )

    def _by(self, moments: ir.Table, tables: Tables, days: int, gap_days: int) -> ir.Table:
        window = partial(timeline.future, horizon_days=days, gap_days=gap_days)
        found = compute(moments, {"happened": self.event}, tables, window)
        happened = found.happened.fill_null(False) if self.beyond is None else None
        if self.beyond is not None:
            found = found.inner_join(compute(moments, {"held": self.beyond}, tables, timeline.past), KEYS)
            happened = (found.happened > found.held).fill_null(False)
        return found.select(*KEYS, **{_by_name(days): happened})


@dataclass(frozen=True)
class FirstOf:
    """`deeds` makes a table (customer_id, happened_at, superseded_at, kind) from the sources `watches`; whether a deed
    is of one kind or another is settled `settles_days` after it, so windows close that much later."""

    kinds: tuple[str, ...]
    deeds: Callable[[Tables], ir.Table]
    watches: frozenset[str]
    settles_days: int = 0

    @property
    def sources(self) -> frozenset[str]:
        """The sources it reads, of past or future."""
        return self.watches

    def first(
        self, moments: ir.Table, tables: Tables, horizons_days: Sequence[int], gap_days: int
    ) -> ir.Table:
        """(customer_id, as_of, kind, interval); of several deeds in one second the kind named first counts."""
        window = timeline.future(
            moments.select(*KEYS), self.deeds(tables), horizon_days=horizons_days[-1], gap_days=gap_days
        )
        places = {kind: place for place, kind in enumerate(self.kinds, 1)}
        place = ibis.cases(*((window.kind == kind, place) for kind, place in places.items()), else_=0)
        dated = window.mutate(dated=window.age_s * 100 + place).filter(place > 0)
        first = dated.group_by(*KEYS).aggregate(dated=dated.dated.min())
        joined = moments.select(*KEYS).left_join(first, KEYS)
        after_s = joined.dated // 100
        passed = [(after_s >= days * timeline.DAY_S).fill_null(True).cast("int8") for days in horizons_days]
        return joined.select(
            *KEYS,
            kind=(joined.dated % 100).fill_null(0).cast("int8"),
            interval=sum(passed[1:], passed[0]).cast("int8"),
        )


Outcome = Happens | FirstOf


def _by_name(days: int) -> str:
    return f"by_{days}d"
