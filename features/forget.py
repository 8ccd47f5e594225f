"""Persons taken out of the warehouse and of the nightly rows: files are written anew without them, and the old ones go; a
PostgreSQL deletes their rows, where it lets us (see `features.engines.postgres`). What Spark reads is another's to delete from.

Called again after it was interrupted it goes on: what names nobody of them any more is left as it is. Whoever reads meanwhile sees the
load or the rows before, whole, or the new ones.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.digest import sha256_of
from features.parts import write_parts
from features.pointer import point, pointed
from features.sources import CANONICAL, Source
from features.state import beside
from features.warehouse import engine_module

__all__ = ["forget_in_rows", "forget_in_warehouse", "identities_of"]

FACTS, NEEDS_FACTS = "load.json", "facts.json"
Persons = Collection[str]


def identities_of(customer_id: str, address: str) -> set[str]:
    """All ids under which the warehouse knows a person: the one given, those merged into it and those it was merged into."""
    if engine := engine_module(address):
        ask = getattr(engine, "identities_of", None)
        return ask(customer_id, address) if ask else {customer_id}
    warehouse, found = Path(address), {customer_id}
    files = sorted((warehouse / pointed(warehouse) / "customers").glob("*.parquet"))
    if not files:
        return found
    pairs = pa.concat_tables(pq.read_table(file, columns=["customer_id", "merged_into"]) for file in files)
    merged = pairs.filter(pc.is_valid(pairs["merged_into"])).to_pylist()
    while more := {
        one for pair in merged if {*pair.values()} & found for one in pair.values() if one not in found
    }:
        found |= more
    return found


def forget_in_warehouse(persons: Persons, address: str) -> int | None:
    """Take these persons out of the warehouse; returns how many rows went, None where it is not ours to delete from. Raises `OSError`
    or `NoWarehouse`."""
    if engine := engine_module(address):
        forget = getattr(engine, "forget", None)
        return forget(persons, address) if forget else None
    return _forget_in_folder(persons, Path(address))


def _forget_in_folder(persons: Persons, warehouse: Path) -> int:
    """Write the current load anew without these persons and remove every other."""
    gone, now = 0, pointed(warehouse)
    load = warehouse / now
    if now and any(_names(file, source, persons) for source, file in _tables(load)):
        name = f"load-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
        staged = warehouse / f".{name}"
        staged.mkdir()
        gone = _without(persons, load, staged)
        staged.rename(warehouse / name)
        point(warehouse, name)
    for other in (*warehouse.glob("load-*"), *warehouse.glob(".load-*")):
        if other.name != pointed(warehouse):
            shutil.rmtree(other)
    return gone


def _tables(load: Path) -> Iterator[tuple[Source, Path]]:
    for source in CANONICAL.values():
        yield from ((source, file) for file in sorted((load / source.name).glob("*.parquet")))


def _names(file: Path, source: Source, persons: Persons) -> bool:
    columns = pq.read_table(file, columns=list(source.naming_customers))
    return any(_of(columns[name], persons).true_count for name in columns.column_names)


def _without(persons: Persons, load: Path, staged: Path) -> int:
    facts = json.loads((load / FACTS).read_text())
    digest, gone = hashlib.sha256(), 0
    for source in CANONICAL.values():
        files = [file for held, file in _tables(load) if held is source]
        if not files:
            continue
        counted = [0]
        content = write_parts(
            _kept(files, source, persons, counted), source.arrow_schema, staged / source.name
        )
        digest.update(f"{source.name} {content}\n".encode())
        gone += counted[0]
        if source.name in facts.get("counts", {}):
            facts["counts"][source.name]["loaded"] -= counted[0]
    facts |= {"load": staged.name.lstrip("."), "digest": digest.hexdigest()}
    (staged / FACTS).write_text(json.dumps(facts, indent=1))
    return gone


def _kept(files: list[Path], source: Source, persons: Persons, gone: list[int]) -> Iterator[pa.RecordBatch]:
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches():
            rows = pa.Table.from_batches([batch]).cast(source.arrow_schema)
            kept = rows.filter(pc.invert(_of(rows["customer_id"], persons)))
            gone[0] += len(rows) - len(kept)
            for name in source.naming_customers[1:]:
                place = kept.schema.get_field_index(name)
                nobody = pc.if_else(_of(kept[name], persons), pa.scalar(None, pa.string()), kept[name])
                kept = kept.set_column(place, kept.schema.field(name), nobody)
            yield from kept.combine_chunks().to_batches()


def _of(column: pa.ChunkedArray, persons: Persons) -> pa.BooleanArray:
    found = pc.is_in(column, value_set=pa.array(sorted(persons), pa.string()))
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def forget_in_rows(persons: Persons, folder: Path) -> int:
    """Write the nightly rows, and what is kept beside them, anew without these persons; returns in how many files they were. The
    current rows get another name, by which those who have them open notice. Raises `OSError`."""
    found = 0
    for left in (*folder.glob(".rows-*"), *folder.glob(".needs-*"), *folder.glob(".begun-*")):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    for file in sorted(folder.glob("rows-*.arrow")):
        if _rewritten(file, persons, folder):
            found += 1
    for needs in sorted(folder.glob("needs-*")):
        found += _needs_without(persons, needs)
    return found


def _rewritten(file: Path, persons: Persons, folder: Path) -> bool:
    with pa.OSFile(str(file)) as source:
        reader = pa.ipc.open_file(source)
        batches = [reader.get_batch(n) for n in range(reader.num_record_batches)]
        schema = reader.schema
    kept = [
        batch.filter(pc.invert(pc.is_in(batch.column(0), pa.array(sorted(persons))))) for batch in batches
    ]
    if sum(map(len, kept)) == sum(map(len, batches)):
        return False
    name = f"{file.stem[: -len('12345678')]}{uuid.uuid4().hex[:8]}.arrow"
    staged = folder / f".{name}"
    with pa.OSFile(str(staged), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in kept:
            writer.write_batch(batch)
    with staged.open("rb") as written:
        os.fsync(written.fileno())
    times = file.stat()
    os.utime(
        staged, ns=(times.st_atime_ns, times.st_mtime_ns)
    )  # the order in which rows were made is told by it
    target = folder / name
    with suppress(FileNotFoundError):
        beside(file).rename(beside(target))
    staged.rename(target)
    if pointed(folder) == file.name:
        point(folder, name)
    file.unlink()
    return True


def _needs_without(persons: Persons, needs: Path) -> int:
    """What is kept for the night to come, sealed anew. A seal that was broken off is not made: then everybody is measured anew."""
    if not (needs / NEEDS_FACTS).is_file():
        shutil.rmtree(needs)
        return 0
    facts, found = json.loads((needs / NEEDS_FACTS).read_text()), 0
    for name in facts["files"]:
        file = needs / name
        table = pq.read_table(file, memory_map=False)
        kept = table.filter(pc.invert(_of(table["customer_id"], persons)))
        if len(kept) < len(table):
            (needs / NEEDS_FACTS).unlink(missing_ok=True)
            pq.write_table(kept, file, compression="zstd")
            found += 1
            facts["files"][name] = sha256_of(file)
    if found:
        (needs / NEEDS_FACTS).write_text(json.dumps(facts, indent=1))
    return found
