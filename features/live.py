"""Features of posted events: the same definitions, compiled once, run on rows that are not in the warehouse.

    live = Live(["customers", "orders"])
    live.rows(moments, {"customers": ..., "orders": ...})

Compiling the expressions costs many times what running them on one customer's history does, so it is done at
start-up. The result is bit for bit what the nightly rows hold for the same past.
"""

from collections.abc import Iterable, Mapping

import duckdb
import ibis
import pyarrow as pa

from features.feature_set import available
from features.nightly import rows
from features.sources import CANONICAL
from features.warehouse import Warehouse

__all__ = ["Live"]

MOMENTS = pa.schema([("customer_id", pa.string()), ("as_of", pa.timestamp("us"))])


class Live:
    """Answers for a deployment that has these sources. One instance serves one thread at a time."""

    def __init__(self, sources: Iterable[str]) -> None:
        self.sources = sorted(sources)
        unbound = {name: ibis.table(CANONICAL[name].ibis_schema, name=name) for name in self.sources}
        warehouse = Warehouse(ibis.duckdb.connect(), unbound)
        moments = ibis.table({"customer_id": "string", "as_of": "timestamp(6)"}, name="moments")
        answered = rows(moments, warehouse).order_by("as_of", "customer_id")
        self._schema = answered.schema().to_pyarrow()
        self.fingerprints = {feature.name: feature.fingerprint for feature in available(warehouse)}
        self._sql = ibis.to_sql(answered, dialect="duckdb")
        self._engine = duckdb.connect()
        self._engine.execute("SET TimeZone = 'UTC'; SET threads = 1")

    def rows(self, moments: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Nightly rows for the moments (customer_id, as_of), computed from these tables alone, ordered by moment
        and customer. A source left out of `tables` has no rows."""
        self._engine.register("moments", moments.cast(MOMENTS))
        for name in self.sources:
            declared = CANONICAL[name]
            self._engine.register(name, tables.get(name, declared.empty()).cast(declared.arrow_schema))
        # The engine widens integer sums; the declared schema is what the warehouse path returns too.
        return self._engine.execute(self._sql).fetch_arrow_table().cast(self._schema)
