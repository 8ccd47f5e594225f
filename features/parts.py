"""The parts of a loaded table: Parquet files sorted by customer over all of them, and a hash of what they say.

A part holds all rows of the customers in it; parts and row groups are small enough for a reader to skip those of
other customers. The hash speaks about content: the same rows cut into other parts, or compressed otherwise, have the
same one.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = ["ContentHash", "write_parts"]

ROWS_PER_PART = 2_000_000
ROWS_PER_GROUP = 65_536


def write_parts(
    blocks: Iterable[pa.RecordBatch], schema: pa.Schema, folder: Path, rows_per_part: int = ROWS_PER_PART
) -> str:
    """Write blocks sorted by customer as `part-00000.parquet` and so on; returns the hash of their content."""
    folder.mkdir()
    hashed = ContentHash(schema)
    for number, part in enumerate(_parts(blocks, schema, rows_per_part)):
        with pq.ParquetWriter(
            folder / f"part-{number:05d}.parquet", schema, compression="zstd", write_page_checksum=True
        ) as file:
            for table in part:
                hashed.update(table)
                file.write_table(table, row_group_size=ROWS_PER_GROUP)
    return hashed.hexdigest()


def _parts(
    blocks: Iterable[pa.RecordBatch], schema: pa.Schema, rows_per_part: int
) -> Iterator[Iterator[pa.Table]]:
    """The blocks of one part after the other; a part ends with a customer, and there is at least one."""
    waiting = iter(blocks)
    rest = pa.Table.from_batches([], schema)

    def part(first: pa.Table) -> Iterator[pa.Table]:
        nonlocal rest
        rest, rows, last = first.slice(len(first)), len(first), _last_customer(first)
        yield first
        for block in waiting:
            table = pa.Table.from_batches([block]).cast(schema)
            same = len(table) if rows < rows_per_part else _leading(table, last)
            if same < len(table):
                rest = table.slice(same)
                yield table.slice(0, same)
                return
            rows, last = rows + len(table), _last_customer(table)
            yield table

    first = next(waiting, None)
    yield part(rest if first is None else pa.Table.from_batches([first]).cast(schema))
    while len(rest):
        yield part(rest)


def _last_customer(table: pa.Table) -> str | None:
    return table["customer_id"][-1].as_py() if len(table) else None


def _leading(table: pa.Table, customer_id: str | None) -> int:
    """How many rows at the beginning are of a customer."""
    others = pc.index(pc.equal(table["customer_id"], pa.scalar(customer_id, pa.string())), False).as_py()
    return len(table) if others < 0 else others


class ContentHash:
    """SHA-256 over a table's columns, each as one run of lengths, bytes and nulls: blind to how it comes in blocks."""

    def __init__(self, schema: pa.Schema) -> None:
        self._names = schema.names
        self._hashes = {
            (name, what): hashlib.sha256() for name in schema.names for what in ("null", "length", "bytes")
        }

    def update(self, table: pa.Table) -> None:
        for name in self._names:
            for chunk in table[name].chunks:
                for what, part in _runs(chunk):
                    self._hashes[name, what].update(part)

    def hexdigest(self) -> str:
        total = hashlib.sha256()
        for (name, what), found in self._hashes.items():
            total.update(f"{name} {what} {found.hexdigest()}\n".encode())
        return total.hexdigest()


def _runs(column: pa.Array) -> Iterator[tuple[str, memoryview]]:
    """A column's nulls, lengths and bytes; what lies under a null counts as zero or empty."""
    yield "null", _bytes(column.is_null())
    if pa.types.is_string(column.type):
        column = column.fill_null("")
        yield "length", _bytes(pc.binary_length(column))
        _, offsets, data = column.buffers()
        at = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
        if data is not None and len(column):
            yield "bytes", memoryview(data)[at[0] : at[-1]]
    elif pa.types.is_boolean(column.type):
        yield "bytes", _bytes(column.fill_null(False))
    else:
        yield "bytes", _bytes(column.cast(pa.int64()).fill_null(0))


def _bytes(numbers: pa.Array) -> memoryview:
    values: np.ndarray = np.ascontiguousarray(numbers.to_numpy(zero_copy_only=False))
    return values.data.cast("B")
