"""Definitions prepared once, to be computed over arrays as often as wanted, without an engine.

    prepared = Prepared(features, cohorts)
    prepared.rows(people, tables)               # an Arrow table: a row per moment, a column per feature and cohort

An engine pays a fixed price for each of the hundreds of steps that the catalogue takes, and for every customer id that
it hashes on the way. Here the needs are measured, and the definitions' expressions computed, over rows that lie in
order: bit for bit what the planner's query gives for the same past.
"""

from collections.abc import Callable, Mapping, Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from features.cohorts import Cohort, excluded_column
from features.feature import Feature
from features.formula import Formulas, Values
from features.past import Columns, Histories, People
from features.planner import needs_for
from features.reach import Group, groups_of
from features.rows import Definition, needs_of
from features.slices import PastRows
from features.sources import CANONICAL
from features.tally import Tally
from features.timeline import MOMENTS

__all__ = ["Prepared", "RowsOf"]

RowsOf = Callable[[Group], Columns | None]


class Prepared:
    """Features, and the answers of cohorts; those of the cohorts `known` were had before, and are handed in. Nothing in it
    changes, so threads may share one.

    Raises `UnknownOperation` for a definition that cannot be computed here.
    """

    def __init__(
        self, features: Sequence[Feature], cohorts: Sequence[Cohort] = (), known: Sequence[Cohort] = ()
    ) -> None:
        definitions = {feature.name: feature.definition for feature in features}
        checks = {name: check for cohort in cohorts for name, check in cohort.checks.items()}
        self.groups = groups_of(needs_for(definitions | checks))
        self._tallies = [(group, Tally(group.needs)) for group in self.groups]
        expressions = _expressions(definitions | checks)
        self._measured = Formulas(expressions)
        asked = ibis.table(
            {name: expressions[name].type() for name in checks} or {"-": "int64"}, name="asked"
        )
        excluded = {excluded_column(cohort.name): cohort.excluded(asked) for cohort in cohorts}
        self._excluded = Formulas(excluded)
        answered = {name: expressions[name] for name in definitions} | excluded
        types = {name: value.type().to_pyarrow() for name, value in answered.items()}
        had = {excluded_column(cohort.name): pa.string() for cohort in known}
        self._computed = list(types.items())
        self._place = len(definitions)  # of what was had before
        told = [*self._computed[: self._place], *had.items(), *self._computed[self._place :]]
        self.schema = pa.schema([*MOMENTS, *told])

    def rows(self, moments: pa.Table, rows_of: RowsOf, had: Sequence[pa.ChunkedArray] = ()) -> pa.Table:
        """One row for each of the moments (customer_id, as_of), which are in this order, each once; `rows_of` tells a
        group's rows, sorted or not, or None where there are none; `had` are the answers of those known.

        Memory is about a kilobyte per row. Raises `BadData` when a sum does not fit into 64 bits.
        """
        people = People.asked(moments)
        found: dict[str, Values] = {"as_of": (people.as_of, None)}
        for group, tally in self._tallies:
            table = rows_of(group) if len(people) else None
            if table is None:
                found |= tally.absent
                continue
            held = Histories.of(people, table, CANONICAL[group.source], group.owner, tally.where)
            found |= tally.of(PastRows.of(held))
        computed = self._measured(found)
        computed |= self._excluded(computed)
        answers = [_arrow(computed[name], kind, len(people)) for name, kind in self._computed]
        columns = [*moments.columns, *answers[: self._place], *had, *answers[self._place :]]
        return pa.Table.from_arrays(columns, schema=self.schema)


def _expressions(definitions: Mapping[str, Definition]) -> dict[str, ir.Value]:
    """What the definitions make of a table of what they need."""
    types = {need.name: "string" if need.text else "int64" for need in needs_for(definitions)}
    table = ibis.table({"as_of": "timestamp(6)"} | types, name="needs")
    return {name: table.bind(needs_of(definition)[0])[0] for name, definition in definitions.items()}


def _arrow(found: Values, kind: pa.DataType, length: int) -> pa.Array:
    values, missing = (part if part is None or part.ndim else np.broadcast_to(part, length) for part in found)
    return pa.array(values, type=kind, mask=missing)
