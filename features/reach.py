"""What time alone does to a need, while the rows it measures stay the same.

It may change in two ways: a row crosses an edge that the need draws in time, or the need is a time itself, an
age say, and grows with every second. Whoever knows both need not measure again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import ibis.expr.types as ir

from features import timeline
from features.needs import Need
from features.sources import CANONICAL

__all__ = ["Edge", "Group", "Reach", "crossing", "drift", "edge_name", "groups_of"]

Edge = tuple[str, int | None]  # a column ("" is the row's age) and days: where a row goes in or out by itself
Reach = tuple[Edge, ...]

OF_THE_ROWS = frozenset(
    {"count", "sum", "distinct", "step_count", "step_sum", "step_square_sum", "step_max", "change_count"}
)


@dataclass(frozen=True)
class Group:
    """What is needed of one source's rows, of those that name the customer in one of their columns."""

    source: str
    owner: str
    needs: tuple[Need, ...]

    @property
    def name(self) -> str:
        return self.source if self.owner == "customer_id" else f"{self.source} by {self.owner}"

    @property
    def columns(self) -> list[str]:
        """All that its needs read, and what puts rows in order."""
        read = frozenset().union(*(need.columns for need in self.needs)) - {"customer_id"}
        return sorted(read | {CANONICAL[self.source].key, "happened_at", "known_at"})

    @cached_property
    def reaches(self) -> dict[Reach | None, list[Need]]:
        """Its needs by the edges they draw; None for those that can only be measured anew."""
        found: dict[Reach | None, list[Need]] = {}
        for need in self.needs:
            found.setdefault(None if drift(need) is None else _reach(need), []).append(need)
        return found

    @property
    def edges(self) -> list[Edge]:
        return sorted({edge for reach in self.reaches for edge in reach or ()}, key=repr)


def groups_of(needs: Iterable[Need]) -> list[Group]:
    """The needs by source and owner."""
    found: dict[tuple[str, str], list[Need]] = {}
    for need in needs:
        found.setdefault((need.source, need.selection.owner), []).append(need)
    return [Group(source, owner, tuple(some)) for (source, owner), some in found.items()]


def drift(need: Need) -> int | None:
    """By how much it changes with each second that passes over the same rows while none crosses an edge: 1 for
    an age, -1 for the time until a date, 0 for most. None when that cannot be told."""
    if need.how == "change_age":
        return 1
    if need.how in OF_THE_ROWS:
        return None if (need.how, need.column) == ("sum", "age_s") else 0
    if need.how in ("min", "max", "latest"):
        return 1 if need.column == "age_s" else -1 if need.reads_a_timestamp else 0
    return None


def crossing(rows: ir.Table, edges: Iterable[Edge], then: datetime) -> ir.Table:
    """The rows with a column per edge: whether they lie on another side of it than at the moment `then`."""
    now = rows.mutate(**{f"now {edge_name(edge)}": _inside(rows, edge) for edge in edges}, now=rows.as_of)
    earlier = timeline.seen_from(now, then)
    moved = {edge_name(edge): earlier[f"now {edge_name(edge)}"] != _inside(earlier, edge) for edge in edges}
    return earlier.mutate(**moved, as_of=earlier.now)


def edge_name(edge: Edge) -> str:
    column, days = edge
    return f"edge {column or 'age'} {days}"


def _reach(need: Need) -> Reach:
    window: Reach = () if need.days is None else (("", need.days),)
    return window if need.selection.ahead is None else (*window, need.selection.ahead)


def _inside(rows: ir.Table, edge: Edge) -> ir.BooleanValue:
    column, days = edge
    if column:
        return timeline.within_next(rows, column, days)
    assert days is not None
    return timeline.within(rows, days)
