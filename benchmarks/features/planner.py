"""By the catalogue's definitions and the planner's query: what runs on engines, and was ours before arrays."""

from pathlib import Path

import ibis
import pyarrow.parquet as pq

from benchmarks.features.columns import FEATURES
from benchmarks.features.events import AS_OF
from features.cohorts import everyone
from features.feature_set import at
from features.pieces import in_pieces
from features.timeline import midnight
from features.warehouse import Warehouse

__all__ = ["compute"]

TABLES = ("customers", "touchpoints")


def compute(events: Path, threads: int, memory_gb: int, out: Path) -> None:
    """Write the columns of every customer to a Parquet file."""
    engine = ibis.duckdb.connect()
    settings = (
        f"SET threads = {threads}; SET memory_limit = '{memory_gb}GB'; SET temp_directory = '{out.parent}'"
    )
    engine.raw_sql(f"SET TimeZone = 'UTC'; {settings}")
    tables = {name: engine.read_parquet(f"{events}/{name}/*.parquet", table_name=name) for name in TABLES}
    rows = in_pieces(
        lambda narrowed: at(everyone(narrowed, [midnight(AS_OF)]), narrowed, FEATURES),
        Warehouse(engine, tables),
    )
    first = next(rows)
    with pq.ParquetWriter(out, first.schema) as writer:
        writer.write_batch(first)
        for batch in rows:
            writer.write_batch(batch)
