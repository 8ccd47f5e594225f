"""Features of posted events: the same definitions, prepared once, computed on rows that are not in the warehouse.

    live = Live(["customers", "orders"])
    live.rows(moments, {"customers": ..., "orders": ...})

The result is bit for bit what the nightly rows hold for the same past (see `features.prepared`); as there, nothing is computed of
whoever does not allow it (see `features.barred`).
"""

from collections.abc import Iterable, Mapping

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from features.barred import Barred, Reasons, withheld
from features.consent import cohorts_of, consents_of
from features.feature_set import available, named
from features.prepared import Prepared, RowsOf
from features.reach import Group
from features.sources import CANONICAL
from features.timeline import MOMENTS
from features.warehouse import Warehouse

__all__ = ["Live"]


class Live:
    """Answers for a deployment that has these sources: all of its features, or those named, and every cohort's.

    Prepared in well under a second; nothing in it changes afterwards, so threads may share one. `without_consents` is the
    reason why consents are not among the sources. Raises `UnknownName` for a feature that does not exist,
    `UnknownOperation` for one that cannot be computed here, `NoConsents` with neither consents nor a reason.
    """

    def __init__(
        self, sources: Iterable[str], features: Iterable[str] | None = None, *, without_consents: str = ""
    ) -> None:
        self.sources = sorted(sources)
        unbound = {name: ibis.table(CANONICAL[name].ibis_schema, name=name) for name in self.sources}
        warehouse = Warehouse(ibis.duckdb.connect(), unbound, without_consents=without_consents)
        chosen = available(warehouse) if features is None else named(features)
        self.fingerprints = {feature.name: feature.fingerprint for feature in chosen}
        consents, cohorts = consents_of(warehouse), cohorts_of(warehouse)
        self._consents = Prepared([], consents)
        self._prepared = Prepared(chosen, cohorts[len(consents) :], consents)
        self._withheld = withheld(chosen)

    def rows(
        self, moments: pa.Table, tables: Mapping[str, pa.Table], told: Mapping[str, Reasons] | None = None
    ) -> pa.Table:
        """Nightly rows for the moments (customer_id, as_of), each once, computed from these tables alone, ordered by
        moment and customer. A source left out of `tables` has no rows. Whoever does not allow the service and profiling at a moment has
        the reasons and nothing else; `told` are reasons, by customer, that count whatever the tables say.

        Memory is about a kilobyte per row of `tables`. Raises `BadData` when a sum does not fit into 64 bits.
        """
        schemas = {name: CANONICAL[name].arrow_schema for name in tables}
        posted = {
            name: table if table.schema == schemas[name] else table.cast(schemas[name])
            for name, table in tables.items()
        }

        def rows_of(group: Group) -> pa.Table | None:
            return posted.get(group.source)

        asked = moments.cast(MOMENTS)
        if len(asked) == 1:
            return self._at(asked, rows_of, told or {})
        asked = asked.sort_by([("as_of", "ascending"), ("customer_id", "ascending")])
        dates = asked["as_of"].unique()
        found = [self._at(asked.filter(pc.equal(asked["as_of"], at)), rows_of, told or {}) for at in dates]
        return pa.concat_tables(found) if found else self._computed(asked, rows_of, None)

    def _at(self, moments: pa.Table, rows_of: RowsOf, told: Mapping[str, Reasons]) -> pa.Table:
        """Rows of one date: what customers allow is asked first, and of some nothing else."""
        said = self._consents.rows(moments, rows_of)
        barred = Barred.of(said, told)
        if not len(barred.reasons):
            return self._computed(moments, rows_of, said)
        may = pc.invert(pc.is_in(moments["customer_id"], barred.nobody["customer_id"]))
        computed = self._computed(moments.filter(may), rows_of, said.filter(may))
        found = barred.beside(computed, self._withheld)
        place = found.schema.get_field_index("as_of")
        return found.set_column(place, found.schema.field(place), pa.repeat(moments["as_of"][0], len(found)))

    def _computed(self, moments: pa.Table, rows_of: RowsOf, said: pa.Table | None) -> pa.Table:
        """Rows of these moments, whatever their customers allow; `said` is what they do, where that was asked."""
        said = self._consents.rows(moments, rows_of) if said is None else said
        return self._prepared.rows(moments, rows_of, said.columns[len(MOMENTS) :])
