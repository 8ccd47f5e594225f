"""One pass per source: merge what all definitions need, aggregate once, compute each column from that.

moments ──► past (or future) rows of a source ──► one aggregate with every need ──┐
moments ──► ...                                                                   ├─► columns
moments ◄─── left joins, "nothing" filled in ◄────────────────────────────────────┘
"""

from collections.abc import Callable, Mapping
from functools import reduce

import ibis.expr.types as ir

from features.rows import ZERO_WHEN_NOTHING, Definition, Need, needs_of

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
    by_source: dict[str, list[Need]] = {}
    for need in sorted(needs, key=lambda need: need.name):
        by_source.setdefault(need.source, []).append(need)
    passes = [_one_pass(moments, tables[source], wanted, rows_of) for source, wanted in by_source.items()]
    joined = reduce(_join, passes, moments.select(*KEYS))
    filled = joined.mutate(
        **{n.name: joined[n.name].fill_null(0) for n in needs if n.how in ZERO_WHEN_NOTHING}
    )
    return filled.select(*KEYS, **{name: value for name, (value, _) in traced.items()})


def sources_of(definition: Definition) -> frozenset[str]:
    """The sources a definition reads."""
    return frozenset(need.source for need in needs_of(definition)[1])


def _one_pass(moments: ir.Table, events: ir.Table, needs: list[Need], rows_of: RowsOf) -> ir.Table:
    rows = rows_of(moments.select(*KEYS), events)
    marks = {need.marks: need for need in needs if need.marks}
    if marks:
        rows = rows.mutate(**{mark: need.mark(rows) for mark, need in marks.items()})
    return rows.group_by(*KEYS).aggregate(**{need.name: need.measure(rows) for need in needs})


def _join(left: ir.Table, right: ir.Table) -> ir.Table:
    joined = left.left_join(right, list(KEYS))
    return joined.select(*left.columns, *(column for column in right.columns if column not in KEYS))
