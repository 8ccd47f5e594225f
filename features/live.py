"""Features of posted events: the same definitions, prepared once, computed on rows that are not in the warehouse.

    live = Live(["customers", "orders"])
    live.rows(moments, {"customers": ..., "orders": ...})

An engine pays a fixed price for each of the hundreds of steps that the catalogue takes, however few the rows are.
Here the needs are measured, and the definitions' expressions computed, over arrays in memory. The result is bit for
bit what the nightly rows hold for the same past.
"""

from collections.abc import Iterable, Mapping

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from features.cohorts import COHORTS
from features.feature_set import available, named
from features.formula import Formulas, Values
from features.nightly import excluded_column
from features.planner import needs_for
from features.posted import PastRows, People
from features.reach import groups_of
from features.rows import Definition, needs_of
from features.sources import CANONICAL
from features.tally import Tally
from features.timeline import MOMENTS
from features.warehouse import Warehouse

__all__ = ["Live"]


class Live:
    """Answers for a deployment that has these sources: all of its features, or those named, and every cohort's.

    Prepared in well under a second; nothing in it changes afterwards, so threads may share one. Raises `UnknownName`
    for a feature that does not exist, `UnknownOperation` for one that cannot be computed here.
    """

    def __init__(self, sources: Iterable[str], features: Iterable[str] | None = None) -> None:
        self.sources = sorted(sources)
        unbound = {name: ibis.table(CANONICAL[name].ibis_schema, name=name) for name in self.sources}
        warehouse = Warehouse(ibis.duckdb.connect(), unbound)
        chosen = available(warehouse) if features is None else named(features)
        cohorts = [cohort for cohort in COHORTS.values() if warehouse.has(cohort.sources)]
        self.fingerprints = {feature.name: feature.fingerprint for feature in chosen}
        definitions = {feature.name: feature.definition for feature in chosen}
        checks = {name: check for cohort in cohorts for name, check in cohort.checks.items()}
        needs = needs_for(definitions | checks)
        self._tallies = [
            (CANONICAL[group.source], group.owner, Tally(group.needs)) for group in groups_of(needs)
        ]
        expressions = _expressions(definitions | checks)
        self._measured = Formulas(expressions)
        asked = ibis.table(
            {name: expressions[name].type() for name in checks} or {"-": "int64"}, name="asked"
        )
        excluded = {excluded_column(cohort.name): cohort.excluded(asked) for cohort in cohorts}
        self._excluded = Formulas(excluded)
        answered = {name: expressions[name] for name in definitions} | excluded
        types = [(name, value.type().to_pyarrow()) for name, value in answered.items()]
        self._schema = pa.schema([*MOMENTS, *types])

    def rows(self, moments: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Nightly rows for the moments (customer_id, as_of), each once, computed from these tables alone, ordered by
        moment and customer. A source left out of `tables` has no rows.

        Memory is about a kilobyte per row of `tables` and moment that sees it. Raises `BadData` when a sum does not fit
        into 64 bits.
        """
        asked = moments.cast(MOMENTS).sort_by([("as_of", "ascending"), ("customer_id", "ascending")])
        people = People.asked(asked)
        found: dict[str, Values] = {"as_of": (people.as_of, None)}
        for source, owner, tally in self._tallies:
            if source.name in tables:
                posted = tables[source.name].cast(source.arrow_schema).combine_chunks()
                found |= tally.of(PastRows.of(people, posted, source, owner), len(people))
            else:
                found |= tally.absent
        computed = self._measured(found)
        computed |= self._excluded(computed)
        answers = [_arrow(computed[field.name], field.type, len(people)) for field in list(self._schema)[2:]]
        return pa.Table.from_arrays([*asked.columns, *answers], schema=self._schema)


def _expressions(definitions: Mapping[str, Definition]) -> dict[str, ir.Value]:
    """What the definitions make of a table of what they need."""
    types = {need.name: "string" if need.text else "int64" for need in needs_for(definitions)}
    table = ibis.table({"as_of": "timestamp(6)"} | types, name="needs")
    return {name: table.bind(needs_of(definition)[0])[0] for name, definition in definitions.items()}


def _arrow(found: Values, kind: pa.DataType, length: int) -> pa.Array:
    values, missing = (part if part is None or part.ndim else np.broadcast_to(part, length) for part in found)
    return pa.array(values, type=kind, mask=missing)
