"""Attribute tables that somebody would like to add: read, and turned into columns for a hunt.

A table has `customer_id` and its columns; one with history also has `known_at`, and `happened_at` where that is
another instant. Nothing here feeds a model: a table that passes the hunts is declared as a source first.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from features import timeline
from features.errors import BadData

__all__ = ["CLOCKS", "columns_at", "dated", "offered", "said", "stamps"]

CLOCKS = ("happened_at", "known_at", "superseded_at")
KEYS = ["customer_id", "as_of"]
WINDOWS_DAYS = (30, 90)
MOST_WORDS = 8


def offered(paths: Iterable[Path]) -> dict[str, pa.Table]:
    """The tables at these places: a Parquet or CSV file, a folder of parts of one, or a folder of such folders.

    Raises `BadData` for what cannot be read and for a table that does not say whose rows it holds.
    """
    tables: dict[str, pa.Table] = {}
    for path in paths:
        for name, files in _files(path).items():
            tables[name] = _read(files)
            if "customer_id" not in tables[name].column_names:
                raise BadData(f"{name} has no column customer_id, so its rows belong to nobody; add one")
    return tables


def dated(table: pa.Table) -> bool:
    """Whether it says since when each row was known."""
    return "known_at" in table.column_names


def said(table: pa.Table) -> list[str]:
    """The columns that say something: neither whose row it is, nor which, nor when."""
    return [name for name in table.column_names if not name.endswith("_id") and name not in CLOCKS]


def stamps(table: pa.Table) -> list[str]:
    """The columns that say something and are times."""
    return [name for name in said(table) if pa.types.is_timestamp(table.schema.field(name).type)]


def columns_at(table: pa.Table, moments: pd.DataFrame, days_earlier: int = 0) -> pd.DataFrame:
    """What a table says about each moment (customer_id, as_of), as numbers in the order of the moments: its values
    where it has no history; counts, the age of the newest row, latest and greatest values where it has.

    `days_earlier` takes only rows known so long before the moment.
    """
    asked = moments[KEYS].assign(as_of=moments["as_of"] - timedelta(days=days_earlier))
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'")
    pairs = engine.create_table(
        "pairs", pa.Table.from_pandas(asked.assign(place=range(len(asked))), preserve_index=False)
    )
    rows = engine.create_table("rows", _numbers(table))
    names = [name for name in rows.columns if name not in (*KEYS, *CLOCKS)]
    if dated(table):
        found = _of_history(pairs, rows, names)
    else:
        found = rows.group_by("customer_id").aggregate(**{name: rows[name].max() for name in names})
    keys = KEYS if dated(table) else ["customer_id"]
    joined = pairs.left_join(found, keys)
    values = [name for name in found.columns if name not in KEYS]
    frame: pd.DataFrame = engine.to_pandas(joined.order_by("place").select(*values))
    frame.index = moments.index
    return frame.astype("float64")


def _of_history(pairs: ir.Table, rows: ir.Table, names: Iterable[str]) -> ir.Table:
    if "happened_at" not in rows.columns:
        rows = rows.mutate(happened_at=rows.known_at)
    past = timeline.past(pairs.select(*KEYS).distinct(), rows.mutate(superseded_at=ibis.null("timestamp(6)")))
    measures: dict[str, Any] = {"rows": past.count(), "newest": past.age_s.min()}
    for days in WINDOWS_DAYS:
        recent = timeline.within(past, days)
        measures[f"rows in {days} days"] = past.count(where=recent)
        measures |= {f"{name}, greatest in {days} days": past[name].max(where=recent) for name in names}
    measures |= {f"{name}, latest": past[name].argmin(past.age_s) for name in names}
    return past.group_by(*KEYS).aggregate(**measures)


def _numbers(table: pa.Table) -> pa.Table:
    """The table with every column a number: times as seconds, words as one column for each frequent one."""
    columns: dict[str, Any] = {"customer_id": table["customer_id"].cast(pa.string())}
    columns |= {
        name: table[name].cast(pa.timestamp("us")) for name in CLOCKS[:2] if name in table.column_names
    }
    for name in said(table):
        values, kind = table[name], table.schema.field(name).type
        if pa.types.is_timestamp(kind):
            columns[name] = values.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64())
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            columns[name] = (
                values.cast(pa.float64())
                if not pa.types.is_boolean(kind)
                else values.cast(pa.int8()).cast(pa.float64())
            )
        else:
            words = values.cast(pa.string()).to_pandas()
            for word in words.value_counts().index[:MOST_WORDS]:
                columns[f"{name} {word}"] = pa.array((words == word).astype("float64"))
    return pa.table(columns)


def _files(path: Path) -> Mapping[str, list[Path]]:
    if path.is_file():
        return {path.stem: [path]}
    found: dict[str, list[Path]] = {}
    for file in sorted(path.rglob("*")):
        if file.suffix in (".parquet", ".csv"):
            parts = file.parent != path or file.stem.startswith("part-")
            found.setdefault(file.parent.name if parts else file.stem, []).append(file)
    if not found:
        raise BadData(f"there is no Parquet or CSV file at {path}")
    return found


def _read(files: list[Path]) -> pa.Table:
    try:
        parts = [pq.read_table(file) if file.suffix == ".parquet" else pacsv.read_csv(file) for file in files]
        return pa.concat_tables(parts, promote_options="default")
    except (pa.ArrowException, OSError) as error:
        raise BadData(
            f"{files[0].parent} holds a file that cannot be read as a table; deliver it again"
        ) from error
