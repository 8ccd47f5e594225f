"""From finished parts to the tables of a run: percentiles over everybody, then files, part by part.

long/part-00000.parquet        sorted by customer and task, in row groups of few customers, so that one is found at once
wide/part-00000.parquet
concepts/part-00000.parquet
ranked/<task>.arrow            who comes first: customers by falling probability, to be mapped into memory
rejected/part-00000.parquet
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.durable import writing
from serving.forecast import Doubt, forecast
from serving.runs.manifest import FileFacts
from serving.runs.schema import FIRSTS, LONG, wide
from serving.runs.work import Work

__all__ = ["RANKED", "Tables", "percentiles", "widened", "write_arrow", "write_lookup", "write_parquet"]

ROWS_PER_GROUP = 65_536
CUSTOMERS_PER_BLOCK = 64
RANKED = pa.schema(
    [
        ("customer_id", pa.string()),
        ("probability", pa.float64()),
        ("percentile", pa.float64()),
        ("grade", pa.string()),
    ]
)


def percentiles(sorted_scores: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each score the share of all scores, rising in `sorted_scores`, that lies below it, in per cent."""
    return 100.0 * np.searchsorted(sorted_scores, scores, side="left") / max(len(sorted_scores), 1)


class Tables:
    """Writes the tables of a run into its folder. What was ranked is read from there, so that parts may be written by others."""

    def __init__(self, work: Work, parts: Sequence[int], tasks: Sequence[str]) -> None:
        self.work, self.parts, self.tasks = work, parts, list(tasks)
        self._sorted: dict[str, np.ndarray] = {}

    def rank(self, task: str) -> dict[str, FileFacts]:
        """Order everybody by a task's probability; equal ones by customer. Must come before `write`. Says what was written, as do
        the others."""
        found = pa.concat_tables(self.work.scored(number, task) for number in self.parts)
        scores = found["probability"].to_numpy()
        order = np.argsort(-scores, kind="stable")  # customers rise within and over the parts
        table = found.take(pa.array(order)).combine_chunks()
        falling = table["probability"].to_numpy()
        ranks = pa.chunked_array([percentiles(falling[::-1], falling)])
        table = table.append_column("percentile", ranks).select(RANKED.names).combine_chunks()
        name = _ranked(task)
        return {name: write_arrow(self._place(name), table)}

    def promise(self, doubts: Mapping[str, Doubt]) -> dict[str, FileFacts]:
        """How many will act, over all parts; `doubts` are by task (see `serving.forecast`)."""
        found = forecast((self.work.beside(number, "forecast") for number in self.parts), doubts)
        name = "forecast/part-00000.parquet"
        return {name: write_parquet(self._place(name), found)}

    def write(self, number: int) -> dict[str, FileFacts]:
        """The tables of one part."""
        staged = self.work.long(number)
        task, scores = staged["task"].to_numpy(), staged["probability"].to_numpy()
        found = np.empty(len(staged))
        for name in self.tasks:
            mine = task == name
            found[mine] = percentiles(self._rising(name), scores[mine])
        columns = {**{name: staged[name] for name in staged.column_names}, "percentile": pa.array(found)}
        long = pa.table([columns[name] for name in LONG.names], schema=LONG).combine_chunks()
        made: dict[str, tuple[Callable[[Path, pa.Table], FileFacts], Callable[[], pa.Table]]] = {
            "lookup": (write_lookup, lambda: long),
            "long": (write_parquet, lambda: long),
            "wide": (write_parquet, lambda: widened(long, self.tasks)),
            "concepts": (write_parquet, lambda: self.work.beside(number, "concepts")),
            "segments": (write_parquet, lambda: self.work.beside(number, "segments")),
        }
        if len(rejected := self.work.beside(number, "rejected")):
            made["rejected"] = (write_parquet, lambda: rejected)
        places = {
            kind: f"{kind}/part-{number:05d}.{'arrow' if kind == 'lookup' else 'parquet'}" for kind in made
        }
        return {
            places[kind]: write(self._place(places[kind]), table()) for kind, (write, table) in made.items()
        }

    def _rising(self, task: str) -> np.ndarray:
        if task not in self._sorted:
            with pa.memory_map(str(self.work.run / _ranked(task))) as source:
                self._sorted[task] = pa.ipc.open_file(source).read_all()["probability"].to_numpy()[::-1]
        return self._sorted[task]

    def _place(self, name: str) -> Path:
        file = self.work.run / name
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


def _ranked(task: str) -> str:
    return f"ranked/{task}.arrow"


def write_parquet(place: Path, table: pa.Table) -> FileFacts:
    """A table with a checksum on every page."""
    with (
        writing(place) as sink,
        pq.ParquetWriter(sink, table.schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        writer.write_table(table, row_group_size=ROWS_PER_GROUP)
    return FileFacts(sink.sha256, sink.size, len(table))


def write_lookup(place: Path, table: pa.Table) -> FileFacts:
    """The long table in blocks of whole customers; the first of each is named in the head of the file."""
    lasts = _lasts(table["customer_id"])
    ends = [*(lasts[CUSTOMERS_PER_BLOCK - 1 : -1 : CUSTOMERS_PER_BLOCK] + 1).tolist(), len(table)]
    begins = [0, *ends[:-1]]
    firsts = [table["customer_id"][begin].as_py() for begin in begins] if len(table) else []
    schema = table.schema.with_metadata({FIRSTS: msgspec.json.encode(firsts)})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with (
        writing(place) as sink,
        pa.ipc.new_file(pa.PythonFile(sink, "w"), schema, options=options) as writer,
    ):
        for begin, end in zip(begins, ends, strict=True):
            if end > begin:
                writer.write_table(table.slice(begin, end - begin))
    return FileFacts(sink.sha256, sink.size, len(table))


def write_arrow(place: Path, table: pa.Table) -> FileFacts:
    """A table to be mapped into memory."""
    with (
        writing(place) as sink,
        pa.ipc.new_file(pa.PythonFile(sink, "w"), table.schema) as writer,
    ):
        writer.write_table(table)
    return FileFacts(sink.sha256, sink.size, len(table))


def _lasts(ids: pa.ChunkedArray) -> np.ndarray:
    """The place of each customer's last row, of ids in order."""
    column = ids.combine_chunks()
    if not len(column):
        return np.empty(0, dtype=np.int64)
    differs = pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy(zero_copy_only=False)
    return np.append(np.flatnonzero(differs), len(column) - 1)


def widened(long: pa.Table, tasks: Sequence[str]) -> pa.Table:
    """One row per customer from one row per customer and task."""
    lasts = _lasts(long["customer_id"])
    number = np.searchsorted(lasts, np.arange(len(long)))
    made = {name: long[name].take(pa.array(lasts)) for name in ("customer_id", "as_of", "expires_at")}
    task = long["task"].to_numpy()
    first = pc.list_slice(long["reasons"].combine_chunks(), 0, 1)
    filled = pc.greater(pc.list_value_length(first), 0)
    place = pc.subtract(pc.cumulative_sum(pc.cast(filled, pa.int64())), 1)
    main = first.flatten().take(pc.if_else(filled, place, pa.scalar(None, pa.int64())))
    said = {"reason": "concept", "reason_en": "en", "reason_zh": "zh"}
    columns = {"probability": long["probability"], "percentile": long["percentile"], "grade": long["grade"],
               **{name: pa.chunked_array([pc.struct_field(main, part)]) for name, part in said.items()},
               "model_version": long["model_version"]}  # fmt: skip
    for name in tasks:
        mine = np.flatnonzero(task == name)
        where = np.full(len(lasts), -1, dtype=np.int64)
        where[number[mine]] = mine
        places = pa.array(where, mask=where < 0)
        made |= {f"{name}_{column}": values.take(places) for column, values in columns.items()}
    schema = wide(tasks)
    return pa.table([made[field.name] for field in schema], schema=schema)
