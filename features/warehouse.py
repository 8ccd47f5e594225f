"""The event tables behind one address, whatever engine holds them: DuckDB over a folder, PostgreSQL, or Spark.

A warehouse on disk is a folder of loads that are never rewritten, and a pointer file `CURRENT` that names
the one to read; `features.load` makes such a folder. A plain folder of Parquet tables does as well.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import BaseBackend

from features.engines.held import Held
from features.errors import NoWarehouse, UnknownMoment
from features.home import warehouse_address
from features.pointer import pointed
from features.sources import CANONICAL, Source

__all__ = ["TableFiles", "Warehouse", "connect", "engine_module", "in_memory"]

LATE = timedelta(days=7)
"""A night may run so long after the last event that was loaded."""
ENGINES = {"postgres": ("postgresql", "postgres"), "spark": ("spark", "sc")}


@dataclass(frozen=True)
class TableFiles:
    """The Parquet files, in order, that a table of a folder consists of; it speaks of that very table and no other."""

    table: ir.Table
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Warehouse:
    """An engine, the source tables it holds, and the maturity ledger: up to when each source is complete. `share` is the
    part of the customers that is asked about (see `features.sample`); `without_consents` is why no table says what its
    customers allow, where it is so (see `features.consent`)."""

    engine: BaseBackend
    tables: Mapping[str, ir.Table]
    complete_until: Mapping[str, datetime] = field(default_factory=dict)
    digest: str = ""
    share: float = 1.0
    files: Mapping[str, "TableFiles"] = field(default_factory=dict)
    without_consents: str = ""

    @property
    def latest_moment(self) -> datetime:
        """The first moment that sees everything the complete sources hold."""
        return max(self.complete_until.values())

    def require_reached(self, moment: datetime) -> None:
        """Raise `UnknownMoment` where the sources end long before `moment`: what has not been loaded would read as silence."""
        if self.complete_until and moment > self.latest_moment + LATE:
            raise UnknownMoment(
                f"{moment:%Y-%m-%d} has not come for the event tables, which are complete until {self.latest_moment:%Y-%m-%d}: "
                f"load later events, or ask as of a day until {self.latest_moment + LATE:%Y-%m-%d}"
            )

    def has(self, sources: frozenset[str]) -> bool:
        return sources <= self.tables.keys()


def connect(address: str | None = None) -> Warehouse:
    """Open the warehouse at `address` (default: `WAREHOUSE_URL`) for reading.

    A folder is read by DuckDB; `postgresql://user@host/database?schema=crm` and `spark:local[2]?path=FOLDER`
    (see `features.engines`) by those engines. Raises `NoWarehouse` when there is none, when a table in it is not
    as declared, or when the engine's extra is not installed.
    """
    address = address or warehouse_address()
    module = engine_module(address)
    held: Held = module.opened(address) if module else _folder(address)
    tables = {name: _as_declared(table, CANONICAL[name], held.where) for name, table in held.tables.items()}
    if "customers" not in tables:
        raise NoWarehouse(f"{held.where} holds no customers table; every deployment needs one")
    files = {name: TableFiles(tables[name], paths) for name, paths in held.files.items() if paths}
    return Warehouse(
        held.engine,
        tables,
        held.complete_until,
        held.digest,
        files=files,
        without_consents=held.without_consents,
    )


def engine_module(address: str) -> ModuleType | None:
    """The module of `features.engines` that an address asks for; None for a folder. Engines are imported only when
    asked for: they are extras. Raises `NoWarehouse` for an engine we do not know, or whose extra is not installed."""
    scheme = address.partition(":")[0]
    for engine, schemes in ENGINES.items():
        if scheme in schemes:
            try:
                return import_module(f"features.engines.{engine}")
            except ModuleNotFoundError as missing:
                raise NoWarehouse(
                    f"reading {scheme}: needs the package {missing.name!r}: pip install 'car-propensity[{engine}]'"
                ) from missing
    if "://" in address:
        known = ", ".join(f"{scheme}:" for schemes in ENGINES.values() for scheme in schemes)
        raise NoWarehouse(f"{scheme}:// is no warehouse this release reads; it reads a folder, {known}")
    return None


def _folder(address: str) -> Held:
    folder = Path(address)
    folder /= pointed(folder)
    if not folder.is_dir():
        raise NoWarehouse(
            f"no warehouse at {folder}: run `make demo`, load tables with `python -m features.load`, or set WAREHOUSE_URL"
        )
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'")
    files = {name: tuple(sorted((folder / name).glob("*.parquet"))) for name in CANONICAL}
    tables = {
        name: engine.read_parquet([str(path) for path in paths], table_name=name)
        for name, paths in files.items()
        if paths
    }
    ledger = folder / "load.json"
    facts = json.loads(ledger.read_text()) if ledger.is_file() else {}
    complete = {
        name: datetime.fromisoformat(until) for name, until in facts.get("complete_until", {}).items()
    }
    return Held(
        engine,
        tables,
        str(folder),
        complete,
        facts.get("digest", ""),
        files,
        facts.get("without_consents", ""),
    )


def in_memory(
    rows: Mapping[str, pa.Table],
    complete_until: Mapping[str, datetime] | None = None,
    *,
    without_consents: str = "rows in memory, of nobody",
) -> Warehouse:
    """A warehouse of Arrow tables, for tests and notebooks. Columns left out are null."""
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'")
    tables = {}
    for name, table in rows.items():
        source = CANONICAL[name]
        held = {
            c.name: table[c.name] if c.name in table.column_names else pa.nulls(len(table), c.arrow)
            for c in source.columns
        }
        tables[name] = engine.create_table(name, pa.table(held).cast(source.arrow_schema))
    return Warehouse(engine, tables, complete_until or {}, without_consents=without_consents)


def _as_declared(table: ir.Table, source: Source, where: str) -> ir.Table:
    """The table with exactly the declared columns; optional ones that are absent become null."""
    found = table.schema()
    columns = {}
    for column in source.columns:
        wanted = source.ibis_schema[column.name]
        if column.name in found:
            columns[column.name] = (
                table[column.name].cast(wanted) if found[column.name] != wanted else table[column.name]
            )
        elif column.optional:
            columns[column.name] = ibis.null(wanted)
        else:
            raise NoWarehouse(
                f"{where}: column {column.name!r} of {source.name} is missing; it has {', '.join(found.names)}"
            )
    return table.select(**columns)
