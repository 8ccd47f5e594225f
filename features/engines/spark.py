"""Spark 4 as the warehouse: where it runs, then what it reads.

    spark:local[2]?path=var/warehouse         in this process; a folder of Parquet tables
    spark://host:7077?path=s3a://crm/events   a standalone cluster
    spark:yarn?database=crm                   any other master; tables of a catalogue's database
    spark:?database=crm                       the session that runs already (spark-submit, a notebook)
    sc://host:15002?database=crm              Spark Connect; `;token=…` as Spark writes it

`path` may be a warehouse folder with its `CURRENT` pointer, wherever Spark can read. Other parameters that begin
with `spark.` are Spark's own settings: `&spark.driver.memory=8g`. Rows come back as Arrow, through the driver. The
catalogue of a plain local Spark ends with its process; `&spark.sql.catalogImplementation=hive` keeps one.
"""

import json
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import ibis.expr.types as ir
import pyarrow as pa
import pyspark
from ibis.backends.pyspark import Backend
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from features.engines.held import LEDGER, Held, facts_of
from features.errors import BadData, NoWarehouse
from features.home import without_secrets
from features.pointer import POINTER
from features.sources import CANONICAL

__all__ = [
    "LOCAL_SETTINGS",
    "Address",
    "Spark",
    "address_of",
    "cluster_of",
    "opened",
    "publish",
    "session_at",
]

# Rows travel as Arrow and never meet pandas, which is what this warning is about.
warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)

LOCAL_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "4g",
    "spark.driver.maxResultSize": "0",  # all feature rows come to the driver, that is the point
    # Each of some sixty joins and aggregates takes whole pages of a task's memory; the default of 64 MB is too many.
    "spark.buffer.pageSize": "2m",
    "spark.log.level": "ERROR",
}
ABSENT = "PATH_NOT_FOUND"
SETTINGS = {"spark.sql.session.timeZone": "UTC"}


class Address(NamedTuple):
    """Where Spark runs (a master, an `sc://` remote, or nothing for the running session) and what it reads."""

    master: str
    path: str
    database: str
    settings: dict[str, str]


class Spark(Backend):  # type: ignore[misc]
    """Ibis' Spark, moving rows in and out as Arrow: pandas would turn whole numbers beside nulls into floats, and
    read a date in the time zone of the machine."""

    name = "pyspark"

    def _register_in_memory_table(self, op: Any) -> None:
        self._session.createDataFrame(op.data.to_pyarrow(op.schema)).createOrReplaceTempView(op.name)

    def _create_cached_table(self, name: str, expr: ir.Table) -> ir.Table:
        self._run_pre_execute_hooks(expr)  # the cached query may read tables from memory, too
        return super()._create_cached_table(name, expr)

    def to_pyarrow(
        self, expr: ir.Expr, /, *, params: Any = None, limit: Any = None, **_: Any
    ) -> pa.Table | pa.Array | pa.Scalar:
        table = expr.as_table()
        self._run_pre_execute_hooks(table)
        rows = self._session.sql(self.compile(table, params=params, limit=limit)).toArrow()
        return expr.__pyarrow_result__(rows.cast(table.schema().to_pyarrow()))

    def to_pyarrow_batches(
        self, expr: ir.Expr, /, *, params: Any = None, limit: Any = None, chunk_size: int = 65_536, **_: Any
    ) -> pa.RecordBatchReader:
        rows = self.to_pyarrow(expr.as_table(), params=params, limit=limit).combine_chunks()
        return pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=chunk_size))


def opened(address: str) -> Held:
    """Open a folder or a database through Spark. Raises `NoWarehouse` when Spark does not start or finds no tables."""
    asked = address_of(address)
    session = session_at(asked)
    engine = Spark()
    Spark.register_options()  # which Ibis does only for engines opened by its own name
    engine.do_connect(session)
    shown = without_secrets(address)
    return _folder(engine, asked.path, shown) if asked.path else _database(engine, asked.database, shown)


def address_of(address: str) -> Address:
    """The parts of an address. Raises `NoWarehouse` when it names neither a path nor a database."""
    asked = cluster_of(address)
    if bool(asked.path) == bool(asked.database):
        raise NoWarehouse(
            f"{without_secrets(address)} must say what Spark reads: ?path=FOLDER or ?database=NAME (one of them), "
            "then &spark.… settings"
        )
    return asked


def cluster_of(address: str) -> Address:
    """The parts of an address that need not name anything to read. Raises `NoWarehouse` for a parameter nobody knows."""
    place, _, query = address.partition("?")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    settings = {name: value for name, value in asked.items() if name.startswith("spark.")}
    path, database = asked.get("path", ""), asked.get("database", "")
    if unknown := asked.keys() - settings.keys() - {"path", "database"}:
        raise NoWarehouse(
            f"{without_secrets(address)}: Spark takes ?path=FOLDER or ?database=NAME, then &spark.… settings, and "
            f"no {', '.join(sorted(unknown))}"
        )
    master = place if place.startswith(("spark://", "sc://")) else place.removeprefix("spark:")
    return Address(master, path, database, settings)


def session_at(asked: Address) -> SparkSession:
    """The session, in UTC. Raises `NoWarehouse` when there is no Java or no cluster."""
    builder = SparkSession.builder.appName("car-propensity")
    local = asked.master.startswith("local")
    for name, value in ((LOCAL_SETTINGS if local else {}) | asked.settings).items():
        builder = builder.config(name, value)
    if asked.master.startswith("sc://"):
        builder = builder.remote(asked.master)
    elif asked.master:
        builder = builder.master(asked.master)
    if local:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else whatever `python3` is on the path
    try:
        session = builder.getOrCreate()
    except (PySparkException, ImportError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise NoWarehouse(
            f"Spark {pyspark.__version__} cannot be reached at {without_secrets(asked.master)!r}: {reason}. Spark 4 "
            "needs Java 17 or newer (JAVA_HOME), and sc:// needs 'pyspark[connect]'"
        ) from None
    for name, value in SETTINGS.items():
        session.conf.set(name, value)
    return session


def publish(
    address: str,
    sources: Iterable[tuple[str, pa.RecordBatchReader]],
    complete_until: Mapping[str, datetime],
    digest: str,
    without_consents: str = "",
) -> dict[str, int]:
    """Replace the canonical tables of a database in Spark's catalogue; returns the rows of each.

    A plain catalogue has no transaction over several tables. The ledger is emptied first and written last, and
    who opens the database in between is told to wait. Raises `BadData` for an address that is a path.
    """
    asked = address_of(address)
    if not asked.database:
        raise BadData(
            "Spark reads a warehouse folder as it is: copy the folder to where Spark reads, and use ?path="
        )
    session = session_at(asked)
    session.sql(f"CREATE DATABASE IF NOT EXISTS {_quoted(asked.database)}")
    ledger = f"{_quoted(asked.database)}.{LEDGER}"
    columns = "source STRING, complete_until TIMESTAMP_NTZ, digest STRING, without_consents STRING"
    session.createDataFrame([], columns).write.saveAsTable(ledger, mode="overwrite")
    written = {name: _fill(session, f"{_quoted(asked.database)}.{name}", rows) for name, rows in sources}
    for gone in CANONICAL.keys() - written.keys():
        session.sql(f"DROP TABLE IF EXISTS {_quoted(asked.database)}.{gone}")
    stated = [(*one, digest, without_consents) for one in complete_until.items()]
    session.createDataFrame(stated, columns).write.saveAsTable(ledger, mode="append")
    return written


def _fill(session: SparkSession, table: str, rows: pa.RecordBatchReader) -> int:
    written = 0
    session.createDataFrame(rows.schema.empty_table()).write.saveAsTable(table, mode="overwrite")
    for batch in rows:
        session.createDataFrame(pa.Table.from_batches([batch])).write.saveAsTable(table, mode="append")
        written += batch.num_rows
    return written


def _quoted(database: str) -> str:
    return ".".join(f"`{part.replace('`', '``')}`" for part in database.split("."))


def _folder(engine: Spark, path: str, shown: str) -> Held:
    session = engine._session
    current = _text(session, f"{path}/{POINTER}")
    folder = f"{path}/{current}" if current else path
    tables = {}
    for name in CANONICAL:
        try:
            rows = session.read.parquet(f"{folder}/{name}")
            rows.schema  # noqa: B018  (Spark Connect reads nothing before that)
        except PySparkException as error:
            if error.getCondition() == ABSENT:
                continue
            raise NoWarehouse(f"{folder}/{name} cannot be read by Spark: {error.getCondition()}") from None
        tables[name] = _named(engine, rows, name)
    facts = json.loads(_text(session, f"{folder}/load.json") or "{}")
    complete = {
        name: datetime.fromisoformat(until) for name, until in facts.get("complete_until", {}).items()
    }
    return Held(
        engine,
        tables,
        f"{folder} (by {shown})",
        complete,
        facts.get("digest", ""),
        without_consents=facts.get("without_consents", ""),
    )


def _database(engine: Spark, database: str, shown: str) -> Held:
    session = engine._session
    if not session.catalog.databaseExists(database):
        raise NoWarehouse(f"{shown}: Spark's catalogue has no database {database!r}")
    ours = [name for name in (*CANONICAL, LEDGER) if session.catalog.tableExists(f"{database}.{name}")]
    tables = {
        name: _named(engine, session.table(f"{database}.{name}"), name) for name in ours if name != LEDGER
    }
    stated = session.table(f"{database}.{LEDGER}").collect() if LEDGER in ours else None
    if stated == []:
        raise NoWarehouse(
            f"{shown}: a publication into {database!r} is under way or was cut off; wait, or publish again"
        )
    facts = facts_of(row.asDict() for row in stated or ())
    return Held(engine, tables, f"database {database!r} (by {shown})", **facts)


def _named(engine: Spark, rows: Any, name: str) -> ir.Table:
    view = f"car_propensity_{name}"
    rows.createOrReplaceTempView(view)
    return engine.table(view)


def _text(session: SparkSession, file: str) -> str:
    """A small file's text, read where Spark reads; empty when there is none."""
    try:
        return "".join(row[0] for row in session.read.text(file, wholetext=True).collect()).strip()
    except PySparkException as error:
        if error.getCondition() == ABSENT:
            return ""
        raise NoWarehouse(f"{file} cannot be read by Spark: {error.getCondition()}") from None
