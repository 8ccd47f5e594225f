"""The batch's computation as one query, compiled once: what live rows are held against."""

from collections.abc import Iterable, Mapping

import duckdb
import ibis
import pyarrow as pa

from features import timeline
from features.cohorts import COHORTS
from features.consent import CONSENTS
from features.feature import Feature
from features.live import Live
from features.nightly import excluded_column
from features.planner import compute
from features.prepared import RowsOf
from features.sources import CANONICAL
from features.warehouse import Warehouse

__all__ = ["EVERY", "Arithmetic", "Compiled"]

EVERY = [*CONSENTS.values(), *COHORTS.values()]


class Arithmetic(Live):
    """Live rows of everybody, whatever they allow: how rows are computed, apart from whose may be."""

    def _at(self, moments: pa.Table, rows_of: RowsOf, told: Mapping[str, object]) -> pa.Table:
        del told
        return self._computed(moments, rows_of, None)


class Compiled:
    """Features and every cohort's answer at any moments, by DuckDB, from tables that are handed in."""

    def __init__(self, features: Iterable[Feature]) -> None:
        unbound = {name: ibis.table(source.ibis_schema, name=name) for name, source in CANONICAL.items()}
        warehouse = Warehouse(ibis.duckdb.connect(), unbound)
        asked = ibis.table({"customer_id": "string", "as_of": "timestamp(6)"}, name="moments")
        definitions = {feature.name: feature.definition for feature in features}
        checks = {name: check for cohort in EVERY for name, check in cohort.checks.items()}
        found = compute(asked, definitions | checks, warehouse.tables, timeline.past)
        excluded = {excluded_column(cohort.name): cohort.excluded(found) for cohort in EVERY}
        answered = found.select("customer_id", "as_of", *definitions, **excluded)
        answered = answered.order_by("as_of", "customer_id")
        self.schema = answered.schema().to_pyarrow()
        self.sql = ibis.to_sql(answered, dialect="duckdb")
        self.engine = duckdb.connect()
        self.engine.execute("SET TimeZone = 'UTC'; SET threads = 1")

    def rows(self, moments: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        self.engine.register("moments", moments)
        for name, source in CANONICAL.items():
            self.engine.register(name, tables.get(name, source.empty()))
        return self.engine.execute(self.sql).fetch_arrow_table().cast(self.schema)
