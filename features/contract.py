"""The contract of a delivery: are these the declared columns, and does each row keep the rules?

A file that lacks a column, brings an unknown one or has one of another type is refused whole. A row that
cannot be cast or breaks a rule is rejected by file, row number, field and rule; its values are not repeated.

Text is read strictly: `1.5` or `1e3` is no whole number, `01/05/2024` no timestamp. A timestamp with an offset
(`2024-05-01 10:00+08:00`) is that instant; one without is UTC.
"""

import difflib
from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa

from features.errors import BadData
from features.sources import Column, Source

__all__ = ["SQL_TYPES", "Rule", "cast", "check_columns", "literal", "quoted", "rules"]

SQL_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "boolean": "BOOLEAN", "timestamp": "TIMESTAMP"}
WRITTEN = {
    "int64": r"\s*[+-]?[0-9]+\s*",
    "boolean": r"(?i)\s*(true|false|t|f|yes|no|1|0)\s*",
    "timestamp": r"\s*\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|UTC|[+-]\d{2}(:?\d{2})?)?)?\s*",
}

Rule = tuple[str, str, str]
"""Field, rule in words, SQL that is true where it is broken. The value as delivered is column `raw <field>`."""


def check_columns(file: str, source: Source, found: pa.Schema) -> None:
    """Raise `BadData` unless a file has the declared columns, no others, and each of a readable type."""
    for name in found.names:
        if found.names.count(name) > 1:
            raise BadData(f"{file}: column {name[:60]!r} is there twice")
        if name not in source.column_names:
            raise BadData(
                f"{file}: column {name[:60]!r} is not declared for {source.name}{_hint(name, source)}"
            )
    for column in source.columns:
        if column.name not in found.names:
            if not column.optional:
                raise BadData(
                    f"{file}: column {column.name!r} of {source.name} is missing ({column.meaning})"
                )
        elif not _readable(kind := found.field(column.name).type, column):
            raise BadData(
                f"{file}: column {column.name!r} of {source.name} should be {column.type}, found {kind}"
            )


def _hint(name: str, source: Source) -> str:
    for separator in (";", "\t", "|"):
        if separator in name:
            return f"; separate the fields by commas, not by {separator!r}"
    near = difflib.get_close_matches(name, source.column_names, 1)
    return f"; is it {near[0]!r}?" if near else f"; {source.name} has {', '.join(source.column_names)}"


def _readable(found: pa.DataType, column: Column) -> bool:
    if pa.types.is_null(found) or _is_text(found):
        return True  # text is cast row by row, and a row that cannot be is rejected by number
    if pa.types.is_dictionary(found):
        return _is_text(found.value_type)
    match column.type:
        case "int64":
            return bool(pa.types.is_integer(found))
        case "boolean":
            return bool(pa.types.is_boolean(found))
        case "timestamp":
            return bool(pa.types.is_timestamp(found) or pa.types.is_date(found))
    return False


def _is_text(found: pa.DataType) -> bool:
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found) or found == pa.string_view())


def cast(column: Column, found: Mapping[str, pa.DataType]) -> str:
    """SQL for a column as declared; null where what was delivered cannot be that."""
    name = quoted(column.name)
    if column.name not in found:
        return f"NULL::{SQL_TYPES[column.type]}"
    wanted = SQL_TYPES[column.type]
    if column.type in WRITTEN and not _is_typed(found[column.name]):
        zoned = "TIMESTAMPTZ" if column.type == "timestamp" else wanted
        name = f"CASE WHEN regexp_full_match({name}, '{WRITTEN[column.type]}') THEN TRY_CAST(trim({name}) AS {zoned}) END"
    value = f"TRY_CAST({name} AS {wanted})"
    if column.type != "timestamp":
        return value
    return f"CASE WHEN isfinite({value}) THEN date_trunc('second', {value}) END"


def _is_typed(found: pa.DataType) -> bool:
    return not (_is_text(found) or pa.types.is_null(found) or pa.types.is_dictionary(found))


def rules(source: Source, found: Mapping[str, pa.DataType], delivered_at: datetime) -> list[Rule]:
    """The rules of a row on its own, in the order they are tried."""
    made: list[Rule] = []
    for column in source.columns:
        name, raw = quoted(column.name), quoted("raw " + column.name)
        if column.name not in found or column.name == "superseded_at":  # ours to fill
            continue
        made.append((column.name, f"is no {column.type}", f"{raw} IS NOT NULL AND {name} IS NULL"))
        if column.required:
            made.append((column.name, "is missing", f"{name} IS NULL"))
        if column.values:
            listed = ", ".join(f"'{literal(v)}'" for v in column.values)
            made.append((column.name, f"is none of {', '.join(column.values)}", f"{name} NOT IN ({listed})"))
        if column.minimum is not None:
            made.append((column.name, f"is below {column.minimum}", f"{name} < {column.minimum}"))
        if column.maximum is not None:
            made.append((column.name, f"is above {column.maximum}", f"{name} > {column.maximum}"))
    made.append(("happened_at", "is later than known_at: a clock was wrong", "happened_at > known_at"))
    future = f"is in the future of the delivery, {delivered_at:%Y-%m-%d %H:%M:%S}"
    made.append(("known_at", future, f"known_at > TIMESTAMP '{delivered_at}'"))
    return made


def quoted(identifier: str) -> str:
    """An SQL identifier; only declared names come here."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: str) -> str:
    """The inside of an SQL string."""
    return value.replace("'", "''")
