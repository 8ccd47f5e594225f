"""Rows in and out of PostgreSQL through COPY, as CSV that Arrow writes and parses."""

import io
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc

__all__ = ["as_csv", "parsed", "resized"]

BLOCK_BYTES = 8 << 20


def as_csv(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Rows as COPY reads them: values in quotes, nulls without."""
    options = pc.WriteOptions(include_header=False, quoting_style="all_valid")
    for batch in batches:
        sink = io.BytesIO()
        pc.write_csv(batch, sink, options)
        yield sink.getvalue()


class _Stream(io.RawIOBase):
    """The blocks of a COPY as the file that Arrow reads."""

    def __init__(self, blocks: Any) -> None:
        self.blocks, self.rest = iter(blocks), b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        if not self.rest:
            self.rest = bytes(next(self.blocks, b""))
        size = min(len(target), len(self.rest))
        target[:size], self.rest = self.rest[:size], self.rest[size:]
        return size


def parsed(blocks: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The blocks of a COPY as rows of that schema."""
    stream = io.BufferedReader(_Stream(blocks), BLOCK_BYTES)
    if not stream.peek(1):
        return
    reader = pc.open_csv(
        stream,
        pc.ReadOptions(column_names=schema.names, block_size=BLOCK_BYTES),
        pc.ParseOptions(newlines_in_values=True),
        pc.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
    yield from reader


def resized(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `rows`, the last one smaller."""
    waiting: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        waiting.append(batch)
        held += batch.num_rows
        while held >= rows:
            whole = pa.Table.from_batches(waiting)
            yield whole.slice(0, rows).combine_chunks().to_batches()[0]
            waiting, held = whole.slice(rows).to_batches(), held - rows
    if held:
        yield pa.Table.from_batches(waiting).combine_chunks().to_batches()[0]
