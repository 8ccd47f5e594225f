"""The contract of a delivery: are these the declared columns, and does each row keep the rules?

A file that lacks a column, brings an unknown one or has one of another type is refused whole. A row that
cannot be cast or breaks a rule is rejected by file, row number, field and rule; its values are not repeated.
"""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from features.errors import BadData
from features.sources import CANONICAL, Column, Source

__all__ = ["SQL_TYPES", "Delivery", "deliveries_in", "insert_typed", "literal", "quoted"]

SQL_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "boolean": "BOOLEAN", "timestamp": "TIMESTAMP"}


@dataclass(frozen=True)
class Delivery:
    """Rows for one source from one file. `rows` are typed, or all text; `first_row` is the number of the first
    of them in the file. `malformed` lists rows that could not even be split into fields."""

    source: Source
    file: str
    rows: pa.Table
    first_row: int = 1
    malformed: tuple[int, ...] = ()


def deliveries_in(incoming: Path, ignore: Collection[str] = ()) -> list[Delivery]:
    """The deliveries in a folder: `orders.csv`, `orders.parquet` or `orders/*.parquet`, one name per source.
    Folders named in `ignore` are passed over.

    Raises `BadData` for a file that belongs to no source or cannot be read.
    """
    found = []
    for path in sorted(incoming.rglob("*")):
        if path.suffix not in (".csv", ".parquet") or path.stem == "maturity":
            continue
        if path.relative_to(incoming).parts[0] in ignore:
            continue
        name = path.stem if path.parent == incoming else path.parent.name
        if name not in CANONICAL:
            raise BadData(f"{path} belongs to no source; there are {', '.join(CANONICAL)}")
        found.append(_read(path, CANONICAL[name]))
    return found


def _read(path: Path, source: Source) -> Delivery:
    if path.suffix == ".parquet":
        try:
            return Delivery(source, str(path), pq.read_table(path))
        except (pa.ArrowInvalid, OSError) as error:
            raise BadData(f"{path} is not a readable Parquet file; deliver it again") from error
    malformed: list[int] = []

    def note(row: pacsv.InvalidRow) -> str:
        malformed.append(row.number or 0)
        return "skip"

    with path.open("rb") as file:
        header = file.readline().decode("utf-8", "replace").strip().split(",")
    try:
        rows = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(use_threads=False),
            parse_options=pacsv.ParseOptions(invalid_row_handler=note),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys((h.strip('"\ufeff') for h in header), pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid as error:
        raise BadData(
            f"{path} is not CSV in UTF-8 with a header line; convert it and deliver it again"
        ) from error
    return Delivery(source, str(path), rows, first_row=2, malformed=tuple(malformed))


def insert_typed(engine: duckdb.DuckDBPyConnection, delivery: Delivery, delivered_at: datetime) -> None:
    """Cast one delivery into the table `typed` and mark each row with the field and rule it breaks first."""
    source, found = delivery.source, set(delivery.rows.column_names)
    check_columns(delivery)
    first = delivery.first_row
    numbers = _row_numbers(first, len(delivery.rows), delivery.malformed)
    engine.register("delivery", delivery.rows.append_column("row ", pa.array(numbers, pa.int64())))
    declared = [c for c in source.columns if c.name != "superseded_at"]
    typed = ", ".join(
        f"{_typed(c) if c.name in found else f'NULL::{SQL_TYPES[c.type]}'} AS {quoted(c.name)}"
        for c in declared
    )
    raw = ", ".join(f"{quoted(c.name)} AS {quoted('raw ' + c.name)}" for c in declared if c.name in found)
    broken = [
        f"WHEN {test} THEN ['{field}', '{literal(rule)}']"
        for field, rule, test in _rules(source, found, delivered_at)
    ]
    engine.execute(
        f'INSERT INTO typed BY NAME WITH cast_rows AS (SELECT "row " AS row, {typed}, {raw} FROM delivery) '
        f"SELECT ? AS file, row, CASE {' '.join(broken)} END AS field_rule, {', '.join(quoted(c.name) for c in declared)} FROM cast_rows",
        [delivery.file],
    )
    engine.unregister("delivery")


def _rules(source: Source, found: set[str], delivered_at: datetime) -> list[tuple[str, str, str]]:
    """(field, rule in words, SQL that is true where it is broken), in the order they are tried."""
    rules = []
    for column in source.columns:
        name, raw = quoted(column.name), quoted("raw " + column.name)
        if column.name not in found or column.name == "superseded_at":
            continue
        rules.append((column.name, f"is no {column.type}", f"{raw} IS NOT NULL AND {name} IS NULL"))
        if column.required:
            rules.append((column.name, "is missing", f"{name} IS NULL"))
        if column.values:
            listed = ", ".join(f"'{literal(v)}'" for v in column.values)
            rules.append((column.name, f"is none of {', '.join(column.values)}", f"{name} NOT IN ({listed})"))
        if column.minimum is not None:
            rules.append((column.name, f"is below {column.minimum}", f"{name} < {column.minimum}"))
        if column.maximum is not None:
            rules.append((column.name, f"is above {column.maximum}", f"{name} > {column.maximum}"))
    rules.append(("happened_at", "is later than known_at: a clock was wrong", "happened_at > known_at"))
    rules.append(
        (
            "known_at",
            f"is in the future of the delivery, {delivered_at:%Y-%m-%d %H:%M:%S}",
            f"known_at > TIMESTAMP '{delivered_at}'",
        )
    )
    return rules


def check_columns(delivery: Delivery) -> None:
    """Raise `BadData` unless the file has the declared columns, no others, and each of a readable type."""
    source, rows = delivery.source, delivery.rows
    for name in rows.column_names:
        if name not in source.column_names:
            near = difflib.get_close_matches(name, source.column_names, 1)
            hint = (
                f"; is it {near[0]!r}?" if near else f"; {source.name} has {', '.join(source.column_names)}"
            )
            raise BadData(f"{delivery.file}: column {name!r} is not declared for {source.name}{hint}")
    for column in source.columns:
        if column.name not in rows.column_names:
            if not column.optional:
                raise BadData(
                    f"{delivery.file}: column {column.name!r} of {source.name} is missing ({column.meaning})"
                )
            continue
        kind = rows.schema.field(column.name).type
        if not _readable(kind, column):
            raise BadData(
                f"{delivery.file}: column {column.name!r} of {source.name} should be {column.type}, found {kind}"
            )


def _readable(found: pa.DataType, column: Column) -> bool:
    if pa.types.is_null(found) or (pa.types.is_dictionary(found) and column.type == "string"):
        return True
    if pa.types.is_string(found) or pa.types.is_large_string(found) or found == pa.string_view():
        return True  # text is cast row by row, and a row that cannot be is rejected by number
    match column.type:
        case "int64":
            return bool(pa.types.is_integer(found))
        case "boolean":
            return bool(pa.types.is_boolean(found))
        case "timestamp":
            return bool(pa.types.is_timestamp(found) or pa.types.is_date(found))
    return False


def _typed(column: Column) -> str:
    value = f"TRY_CAST({quoted(column.name)} AS {SQL_TYPES[column.type]})"
    return f"date_trunc('second', {value})" if column.type == "timestamp" else value


def _row_numbers(first: int, count: int, malformed: tuple[int, ...]) -> list[int]:
    """Numbers of `count` good rows, leaving out those of the malformed ones between them."""
    bad, row = set(malformed), first
    numbers: list[int] = []
    while len(numbers) < count:
        if row not in bad:
            numbers.append(row)
        row += 1
    return numbers


def quoted(identifier: str) -> str:
    """An SQL identifier; only declared names come here."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: str) -> str:
    """The inside of an SQL string."""
    return value.replace("'", "''")
