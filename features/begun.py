"""A night being made: what is done stays done, whatever kills the process, and the rest is made when it is called again.

    .night-<key>/name                   what the file of rows will be called
                /needs/...              what everyone's features needed, part by part
                /piece-00003.json       a piece of customers is measured: how many, by group
                /block-00003.arrow      finished rows, in the order of customers; written beside, flushed, then named
                /rows.arrow             all of them, about to get its name

The key is a hash over everything the rows depend on, so that blocks of another date, delivery or definition never mix. Other keys'
leftovers are removed: the caller holds the folder's lock, and nobody will finish them.
"""

import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from features.durable import flush, put, rename, writing

__all__ = ["Begun", "Touched"]

NAME, ROWS, NEEDS = "name", "rows.arrow", "needs"
BLOCKS = "block-[0-9]*.arrow"


@dataclass(frozen=True)
class Touched:
    """Of the `customers` who have rows in a group, those `measured` anew for at least one need."""

    customers: int
    measured: int

    def __add__(self, other: "Touched") -> "Touched":
        return Touched(self.customers + other.customers, self.measured + other.measured)


class Begun:
    """The folder of a night that is being made in `folder`."""

    def __init__(self, folder: Path, key: str, as_of: datetime) -> None:
        self.folder = folder / f".night-{key[:16]}"
        for left in (*folder.glob(".night-*"), *folder.glob(".rows-*"), *folder.glob(".needs-*")):
            if left != self.folder:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / NAME).is_file():
            put(self.folder / NAME, f"rows-{as_of:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}.arrow".encode())
        self.target = folder / (self.folder / NAME).read_text()
        self.needs = self.folder / NEEDS

    # pieces of customers whose needs are measured

    def measured(self, piece: int) -> dict[str, Touched] | None:
        """How many customers a finished piece measured, by group; None where it is not finished."""
        try:
            told = json.loads((self.folder / f"piece-{piece:05d}.json").read_bytes())
        except FileNotFoundError:
            return None
        return {group: Touched(**counts) for group, counts in told.items()}

    def note(self, piece: int, touched: Mapping[str, Touched]) -> None:
        """The piece's parts are all written."""
        told = {group: asdict(counts) for group, counts in touched.items()}
        put(self.folder / f"piece-{piece:05d}.json", json.dumps(told).encode())

    # rows

    @property
    def blocks(self) -> list[Path]:
        """Finished rows, in the order of customers."""
        return sorted(self.folder.glob(BLOCKS))

    @property
    def last(self) -> str:
        """The last customer whose row is there; empty before the first."""
        return str(_read(self.blocks[-1]).column(0)[-1].as_py()) if self.blocks else ""

    def keep(self, batches: Iterable[pa.RecordBatch], rows_per_block: int) -> Iterator[pa.RecordBatch]:
        """Write rows behind those that are there, in blocks of so many, and pass each block on."""
        waiting: list[pa.RecordBatch] = []
        rows = 0
        for batch in batches:
            rest = batch
            while len(rest):
                some = rest.slice(0, rows_per_block - rows)
                waiting.append(some)
                rows, rest = rows + len(some), rest.slice(len(some))
                if rows == rows_per_block:
                    yield self._block(waiting)
                    waiting, rows = [], 0
        if waiting:
            yield self._block(waiting)

    def _block(self, batches: list[pa.RecordBatch]) -> pa.RecordBatch:
        (block,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
        number = len(self.blocks)
        beside = self.folder / f".block-{number:05d}.arrow"
        beside.unlink(missing_ok=True)
        with writing(beside) as sink, pa.ipc.new_file(pa.PythonFile(sink, "w"), block.schema) as writer:
            writer.write_batch(block)
        rename(beside, self.folder / f"block-{number:05d}.arrow")
        return block

    def finish(self, facts: Mapping[str, str]) -> None:
        """All blocks in one file that says what it holds, under its name; the needs under theirs come after it."""
        if self.target.exists():
            return
        whole = self.folder / ROWS
        whole.unlink(missing_ok=True)
        schema = _read(self.blocks[0]).schema.with_metadata(dict(facts))
        with writing(whole) as sink, pa.ipc.new_file(pa.PythonFile(sink, "w"), schema) as writer:
            for block in self.blocks:
                writer.write_batch(pa.RecordBatch.from_arrays(_read(block).columns, schema=schema))
        rename(whole, self.target)

    def clear(self) -> None:
        """The night has its name: nothing of its making is needed any more."""
        shutil.rmtree(self.folder)
        flush(self.folder.parent)


def _read(block: Path) -> pa.RecordBatch:
    with pa.OSFile(str(block)) as source:
        return pa.ipc.open_file(source).get_batch(0)
