"""Reading a published run: one customer in a millisecond or two, a task's ranking; nothing else is loaded.

    run = Run.open(current(scores_folder()))
    run.scores(["C00001"])          rows of the long table, in the order asked for
    run.ranked("churn").slice(0, 1000)

Every byte is compared with the manifest when a run is opened, and every page with its checksum when it is read.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import BadRun, UnknownName
from features.home import scores_folder
from serving.runs.allowed import allowed
from serving.runs.folder import current, verify
from serving.runs.manifest import Manifest
from serving.runs.schema import FIRSTS, LONG

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """A published run. Whoever has taken a consent back since is in no answer, an older run rolled back to included. Threads may share
    one."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path | None = None, *, compare: bool = True) -> "Run":
        """The run in a folder, by default the one that readers see. Raises `BadRun`, naming the file, when a byte of it is not as
        it was written; without `compare` only the manifest is looked at."""
        folder = folder or current(scores_folder())
        return cls(folder, verify(folder) if compare else Manifest.read(folder))

    @property
    def name(self) -> str:
        """What the run is called: `run-000042-20240619T000000-3f2a9c1b`."""
        return self.manifest.run

    def scores(self, customer_ids: Iterable[str], tasks: Sequence[str] | None = None) -> pa.Table:
        """The rows of the long table of those customers that have any, in the order asked for, task by task."""
        found = [self._lookup.rows_of(customer_id) for customer_id in dict.fromkeys(customer_ids)]
        table = pa.concat_tables([LONG.empty_table(), *found], promote_options="default")
        if tasks is not None:
            table = table.filter(pc.is_in(table["task"], pa.array(list(tasks), pa.string())))
        return allowed(table, self.manifest.tasks)

    def rows(
        self, table: str = "long", columns: Sequence[str] | None = None, *, mind: bool = True
    ) -> Iterator[pa.Table]:
        """A whole table, part by part. Only what is told to a person about themselves does not `mind` what they took back."""
        for file in self.files(table):
            opened = _opened(file)
            needed = {"customer_id", "task", *(columns or opened.schema_arrow.names)}
            held = opened.read(columns=[name for name in opened.schema_arrow.names if name in needed])
            found = allowed(held, self.manifest.tasks) if mind else held
            yield found.select(list(columns)) if columns else found

    def ranked(self, task: str) -> pa.Table:
        """All customers scored for a task by falling probability (customer_id, probability, percentile, grade), mapped into
        memory: asking for the first thousand reads no more. Raises `UnknownName` for a task the run does not hold."""
        if task not in self.manifest.tasks:
            raise UnknownName("task", task, self.manifest.tasks)
        file = self.folder / "ranked" / f"{task}.arrow"
        try:
            ranked = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise BadRun(f"{file} cannot be read; roll back to another run") from error
        return allowed(ranked, {task: self.manifest.tasks[task]})

    @cached_property
    def _lookup(self) -> "_Lookup":
        return _Lookup(self.files("lookup"))

    def files(self, table: str) -> list[Path]:
        """The files of a table, in the order of customers."""
        return [self.folder / name for name in sorted(self.manifest.files) if name.startswith(f"{table}/")]


class _Lookup:
    """Arrow files of small blocks, mapped, sorted by customer over all of them, and the first customer of each block."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.blocks: list[tuple[pa.RecordBatchFileReader, int]] = []
        self.first_ids: list[str] = []
        for file in files:
            reader = pa.ipc.open_file(pa.memory_map(str(file)))
            firsts = msgspec.json.decode(reader.schema.metadata[FIRSTS.encode()], type=list[str])
            self.blocks += [(reader, number) for number in range(len(firsts))]
            self.first_ids += firsts

    def rows_of(self, customer_id: str) -> pa.Table:
        place = bisect_right(self.first_ids, customer_id) - 1
        if place < 0:
            return LONG.empty_table()
        reader, number = self.blocks[place]
        block = pa.Table.from_batches([reader.get_batch(number)]).replace_schema_metadata()
        found = np.flatnonzero(pc.equal(block["customer_id"], customer_id).to_numpy())
        return block.slice(found[0], len(found)) if len(found) else LONG.empty_table()


def _opened(file: Path) -> pq.ParquetFile:
    return pq.ParquetFile(file, memory_map=True, page_checksum_verification=True)
