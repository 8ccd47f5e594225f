"""Rows of a source, written as the table one would draw: `-` is nothing, columns left out are null."""

from datetime import datetime

import pyarrow as pa

from features.sources import CANONICAL, Column

__all__ = ["rows"]


def rows(source: str, drawn: str) -> pa.Table:
    """Read a table of whitespace-separated cells with a header of column names (`happened` and `known` for short)."""
    header, *lines = [line.split() for line in drawn.strip().splitlines()]
    short = {
        "happened": "happened_at",
        "known": "known_at",
        "customer": "customer_id",
        "superseded": "superseded_at",
    }
    names = [short.get(name, name) for name in header]
    declared = CANONICAL[source]
    cells = {c.name: [None] * len(lines) for c in declared.columns}
    for name, column in zip(names, zip(*lines, strict=True), strict=True):
        cells[name] = [_value(cell, declared[name]) for cell in column]
    if "known_at" not in names:
        cells["known_at"] = cells["happened_at"]
    return pa.table(cells, schema=declared.arrow_schema)


def _value(cell: str, column: Column) -> object:
    if cell == "-":
        return None
    match column.type:
        case "int64":
            return int(cell)
        case "timestamp":
            return datetime.fromisoformat(cell)
    return cell
