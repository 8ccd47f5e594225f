"""One pass per source: merge what all definitions need, aggregate once, compute each column from that.

moments ──► past (or future) rows of a source ──► one aggregate with every need ──┐
moments ──► ...                                                                   ├─► columns
moments ◄─── left joins, "nothing" filled in ◄────────────────────────────────────┘
"""

from collections.abc import Callable, Mapping
from functools import reduce

import ibis.expr.types as ir

from features.needs import ZERO_WHEN_NOTHING, Mark, Need
from features.rows import Definition, needs_of

__all__ = ["compute", "sources_of"]

KEYS = ("customer_id", "as_of")
RowsOf = Callable[[ir.Table, ir.Table], ir.Table]


def compute(
    moments: ir.Table,
    definitions: Mapping[str, Definition],
    tables: Mapping[str, ir.Table],
    rows_of: RowsOf,
) -> ir.Table:
    """One row per moment with a column per definition.

    `moments` has (customer_id, as_of), each pair once; `tables` the source tables by name; `rows_of` draws
    the line in time, `timeline.past` or `timeline.future`. The result is an expression: nothing runs yet.
    Raises `KeyError` when a definition needs a source that `tables` lacks.
    """
    traced = {name: needs_of(definition) for name, definition in definitions.items()}
    needs: set[Need] = set().union(*(wanted for _, wanted in traced.values()))
    by_source: dict[tuple[str, str], list[Need]] = {}
    for need in sorted(needs, key=lambda need: need.name):
        by_source.setdefault((need.source, need.selection.owner), []).append(need)
    passes = [
        _one_pass(moments, _owned(tables[source], owner), wanted, rows_of)
        for (source, owner), wanted in by_source.items()
    ]
    joined = reduce(_join, passes, moments.select(*KEYS))
    filled = joined.mutate(
        **{n.name: joined[n.name].fill_null(0) for n in needs if n.how in ZERO_WHEN_NOTHING}
    )
    return filled.select(*KEYS, **{name: value for name, (value, _) in traced.items()})


def sources_of(definition: Definition) -> frozenset[str]:
    """The sources a definition reads."""
    return frozenset(need.source for need in needs_of(definition)[1])


def _owned(events: ir.Table, owner: str) -> ir.Table:
    """The events under the customer who stands in another of their columns."""
    return events if owner == "customer_id" else events.mutate(customer_id=events[owner])


def _one_pass(moments: ir.Table, events: ir.Table, needs: list[Need], rows_of: RowsOf) -> ir.Table:
    rows = rows_of(moments.select(*KEYS), events)
    marks: dict[str, Mark] = {mark.name: mark for need in needs for mark in need.marks}
    for layer in (0, 1):
        if wanted := {name: mark.value(rows) for name, mark in marks.items() if mark.layer == layer}:
            rows = rows.mutate(**wanted)
    return rows.group_by(*KEYS).aggregate(**{need.name: need.measure(rows) for need in needs})


def _join(left: ir.Table, right: ir.Table) -> ir.Table:
    joined = left.left_join(right, list(KEYS))
    return joined.select(*left.columns, *(column for column in right.columns if column not in KEYS))
