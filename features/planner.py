"""Merge what all definitions need, aggregate each source in few passes, compute each column from that.

moments ──► past (or future) rows of a source ──► passes (see `features.passes`) ──┐
moments ──► ...                                                                    ├─► columns
moments ◄─── left joins, "nothing" filled in ◄─────────────────────────────────────┘
"""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce

import ibis.expr.types as ir

from features.needs import ZERO_WHEN_NOTHING, Need
from features.passes import KEYS, passes
from features.reach import groups_of
from features.rows import Definition, needs_of

__all__ = ["compute", "needs_for", "needs_table", "owned", "project", "sources_of"]

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
    return project(needs_table(moments, needs_for(definitions), tables, rows_of), definitions)


def needs_for(definitions: Mapping[str, Definition]) -> list[Need]:
    """All that the definitions need, each once, by name."""
    needs: set[Need] = set().union(*(needs_of(definition)[1] for definition in definitions.values()))
    return sorted(needs, key=lambda need: need.name)


def needs_table(
    moments: ir.Table, needs: Iterable[Need], tables: Mapping[str, ir.Table], rows_of: RowsOf
) -> ir.Table:
    """One row per moment with a column per need, null where there is nothing to measure."""
    found: list[ir.Table] = []
    for group in groups_of(needs):
        events = owned(tables[group.source], group.owner)
        found += passes(rows_of(moments.select(*KEYS), events), group.needs)
    return reduce(_join, found, moments.select(*KEYS))


def project(found: ir.Table, definitions: Mapping[str, Definition]) -> ir.Table:
    """The columns that the definitions make of a table that holds, by moment, what they need."""
    traced = {name: needs_of(definition) for name, definition in definitions.items()}
    needs: set[Need] = set().union(*(wanted for _, wanted in traced.values()))
    filled = found.mutate(**{n.name: found[n.name].fill_null(0) for n in needs if n.how in ZERO_WHEN_NOTHING})
    return filled.select(*KEYS, **{name: value for name, (value, _) in traced.items()})


def sources_of(definition: Definition) -> frozenset[str]:
    """The sources a definition reads."""
    return frozenset(need.source for need in needs_of(definition)[1])


def owned(events: ir.Table, owner: str) -> ir.Table:
    """The events under the customer who stands in another of their columns."""
    return events if owner == "customer_id" else events.mutate(customer_id=events[owner])


def _join(left: ir.Table, right: ir.Table) -> ir.Table:
    joined = left.left_join(right, list(KEYS))
    return joined.select(*left.columns, *(column for column in right.columns if column not in KEYS))
