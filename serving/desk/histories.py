"""Stored histories, customer by customer: a copy of the event tables in which one person's rows are found at once.

    histories/<digest of the load>/orders.arrow         all rows, sorted by customer, in blocks of one size, to be mapped
                                  /orders.npy           where each customer's rows begin
                                  /everybody.npy        the customers, in order

The warehouse keeps its rows packed in groups of tens of thousands, which is right for nights and wrong for one person who is
asked about now. The copy is made once per load, by whichever process comes first, from whatever engine holds the tables.

    python -m serving.warm           make it ahead, after a load, say; the service lets it run beside its workers
"""

import fcntl
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.sources import CANONICAL
from features.warehouse import Warehouse

__all__ = ["Histories", "folder_of", "histories_of", "known"]

ROWS_PER_BLOCK = 16_384
BY_INVITEE = "referrals by invitee"


@dataclass(frozen=True)
class _Table:
    """All rows of a source in the order of an owner; `begins` has one place more than there are customers."""

    reader: pa.RecordBatchFileReader
    begins: np.ndarray

    def rows_of(self, customer: int) -> pa.Table:
        begin, end = int(self.begins[customer]), int(self.begins[customer + 1])
        blocks = range(begin // ROWS_PER_BLOCK, (end - 1) // ROWS_PER_BLOCK + 1) if end > begin else ()
        found = [
            self.reader.get_batch(n).slice(
                max(begin - n * ROWS_PER_BLOCK, 0), end - max(begin, n * ROWS_PER_BLOCK)
            )
            for n in blocks
        ]
        return pa.Table.from_batches(found, self.reader.schema)


@dataclass(frozen=True)
class Histories:
    """The event tables of one load, mapped. Threads may share one."""

    customers: np.ndarray
    tables: Mapping[str, _Table]

    @classmethod
    def open(cls, folder: Path) -> "Histories":
        tables = {
            file.stem: _Table(
                pa.ipc.open_file(pa.memory_map(str(file))),
                np.load(file.with_suffix(".npy"), mmap_mode="r", allow_pickle=False),
            )
            for file in folder.glob("*.arrow")
        }
        return cls(np.load(folder / "everybody.npy", mmap_mode="r", allow_pickle=False), tables)

    @property
    def sources(self) -> list[str]:
        return sorted(name for name in self.tables if name != BY_INVITEE)

    @property
    def nothing(self) -> dict[str, pa.Table]:
        """The history of someone of whom nothing is stored."""
        return {name: CANONICAL[name].empty() for name in self.sources}

    def of(self, customer_id: str) -> dict[str, pa.Table]:
        """Everything stored of a customer, by source, with the invitations that others sent to them."""
        asked = customer_id.encode()
        place = int(np.searchsorted(self.customers, asked))
        if place >= len(self.customers) or self.customers[place] != asked:
            return self.nothing
        found = {name: table.rows_of(place) for name, table in self.tables.items()}
        if BY_INVITEE in found:
            others = found.pop(BY_INVITEE)
            strangers = np.array(
                [who != customer_id for who in others["customer_id"].to_pylist()], dtype=bool
            )
            found["referrals"] = pa.concat_tables([found["referrals"], others.filter(pa.array(strangers))])
        return found


def folder_of(data: Path) -> Path:
    """Where the copies of a deployment lie."""
    return data / "histories"


def histories_of(warehouse: Warehouse, folder: Path) -> Histories:
    """The histories of the load that the warehouse holds; made if they are not there, which takes about a second per million
    rows. Those of other loads are removed."""
    target = folder / (warehouse.digest[:32] or "undated")
    if target.is_dir() and warehouse.digest:
        return Histories.open(target)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if not (target.is_dir() and warehouse.digest):
            _make(warehouse, target)
        for other in folder.glob("[!.]*"):
            if other != target and other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
    return Histories.open(target)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(warehouse: Warehouse, target: Path) -> None:
    staged = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
    staged.mkdir()
    try:
        counts = {}
        for name in warehouse.tables:
            counts[name] = _copy(warehouse, name, "customer_id", staged / f"{name}.arrow")
        if "referrals" in warehouse.tables:
            counts[BY_INVITEE] = _copy(warehouse, "referrals", "invitee_id", staged / f"{BY_INVITEE}.arrow")
        customers = np.array(sorted({who.encode() for held in counts.values() for who in held}) or [b""])
        np.save(staged / "everybody.npy", customers)
        for name, held in counts.items():
            rows = np.zeros(len(customers), dtype=np.int64)
            owners = np.array([who.encode() for who in held] or [b""])
            rows[np.searchsorted(customers, owners)] += np.array(list(held.values()) or [0])
            np.save(staged / f"{name}.npy", np.concatenate([[0], np.cumsum(rows)]))
        shutil.rmtree(target, ignore_errors=True)
        staged.rename(target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _copy(warehouse: Warehouse, source: str, owner: str, file: Path) -> dict[str, int]:
    """Write a source's rows in the order of an owner; returns how many each has, in that order."""
    table, schema = warehouse.tables[source], CANONICAL[source].arrow_schema
    ordered = table.filter(table[owner].notnull()).order_by(owner)
    counts: dict[str, int] = {}
    waiting = schema.empty_table()
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in warehouse.engine.to_pyarrow_batches(ordered, chunk_size=ROWS_PER_BLOCK):
            for entry in batch.column(batch.schema.get_field_index(owner)).value_counts().to_pylist():
                counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch]).cast(schema)])
            while len(waiting) >= ROWS_PER_BLOCK:
                writer.write_batch(waiting.slice(0, ROWS_PER_BLOCK).combine_chunks().to_batches()[0])
                waiting = waiting.slice(ROWS_PER_BLOCK)
        if len(waiting):
            writer.write_batch(waiting.combine_chunks().to_batches()[0])
    return counts


def known(rows: pa.Table, moment: datetime) -> np.ndarray:
    """Which rows of a source had happened, were known and not yet corrected before a moment (naive UTC)."""
    at = np.datetime64(moment, "us")
    happened, told, corrected = (
        rows[name].to_numpy().astype("datetime64[us]")
        for name in ("happened_at", "known_at", "superseded_at")
    )
    return np.asarray((happened < at) & (told < at) & ~(corrected < at))
