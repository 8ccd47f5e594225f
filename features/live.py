"""Features of posted events: the same definitions, prepared once, computed on rows that are not in the warehouse.

    live = Live(["customers", "orders"])
    live.rows(moments, {"customers": ..., "orders": ...})

The result is bit for bit what the nightly rows hold for the same past (see `features.prepared`).
"""

from collections.abc import Iterable, Mapping

import ibis
import pyarrow as pa

from features.consent import cohorts_of
from features.feature_set import available, named
from features.prepared import Prepared
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
        self._prepared = Prepared(chosen, cohorts_of(warehouse))

    def rows(self, moments: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Nightly rows for the moments (customer_id, as_of), each once, computed from these tables alone, ordered by
        moment and customer. A source left out of `tables` has no rows.

        Memory is about a kilobyte per row of `tables`. Raises `BadData` when a sum does not fit into 64 bits.
        """
        schemas = {name: CANONICAL[name].arrow_schema for name in tables}
        posted = {
            name: table if table.schema == schemas[name] else table.cast(schemas[name])
            for name, table in tables.items()
        }

        def rows_of(group: Group) -> pa.Table | None:
            return posted.get(group.source)

        asked = moments.cast(MOMENTS).sort_by([("customer_id", "ascending"), ("as_of", "ascending")])
        found = self._prepared.rows(asked, rows_of)
        if len(asked) == 1:
            return found
        return found.sort_by([("as_of", "ascending"), ("customer_id", "ascending")])
