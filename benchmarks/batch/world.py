"""A carmaker as large as wanted: a small invented one, loaded and trained, and its warehouse repeated under new ids.

Many of the invented carmaker's customers do not allow profiling; here all who ever said anything about it allow everything, so that there is
work to measure.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.carmaker import loaded
from features import nightly
from features.cohorts import excluded_column
from features.consent import CONSENTS
from features.nightly import NightlyRows
from features.parts import ROWS_PER_GROUP
from features.pointer import point, pointed
from features.sources import CANONICAL
from features.warehouse import connect
from training.plan import plan
from training.tasks import task_named
from training.train import train

__all__ = ["TASKS", "repeated", "rows_repeated", "trained"]

TASKS = ("churn", "purchase_intent", "test_drive", "repurchase")
ROWS_PER_BATCH = 65_536
SEED = 7


def trained(home: Path, customers: int) -> None:
    """Stand in a folder where a carmaker is loaded, and every task of `TASKS` has a champion, however good."""
    home.mkdir(parents=True, exist_ok=True)
    os.chdir(home)
    if not Path("var/warehouse/CURRENT").exists():
        loaded(Path("var"), customers, SEED)
    warehouse = connect()
    for name in TASKS:
        if Path("var/report", f"{name}.html").exists():
            continue
        task = task_named(name, warehouse)
        if not train(task, warehouse, plan(task, warehouse)).promoted:
            force = ["--task", name, "--force", "to be measured, not to be used"]
            subprocess.run([sys.executable, "-m", "training.promote", *force], check=True)
    if not Path("var/features/CURRENT").exists():
        nightly.materialise(warehouse, warehouse.latest_moment)


def repeated(home: Path, customers: int) -> Path:
    """The carmaker's warehouse, again and again under new ids until there are so many customers; in the order of customers,
    as the loader leaves it."""
    target, source = home / f"warehouse-{customers}", home / "var" / "warehouse"
    if (target / "CURRENT").exists():
        return target
    held = source / pointed(source)
    each = pc.count_distinct(pq.read_table(held / "customers")["customer_id"]).as_py()
    copies, rows = -(-customers // each), 0
    for name, declared in CANONICAL.items():
        if not (held / name).is_dir():
            continue
        table = pq.read_table(held / name)
        table = _granted(table) if name == "consents" else table
        ids = ["customer_id", *(c.name for c in declared.columns if c.references == "customers")]
        (target / "load-1" / name).mkdir(parents=True)
        rows += len(table) * copies
        for copy in range(copies):
            under_new_ids = table
            for column in dict.fromkeys(ids):
                place = table.schema.get_field_index(column)
                new = pc.binary_join_element_wise(f"K{copy:05d}", table[column], "-")
                under_new_ids = under_new_ids.set_column(place, table.schema.field(place), new)
            pq.write_table(
                under_new_ids,
                target / "load-1" / name / f"part-{copy:05d}.parquet",
                compression="zstd",
                row_group_size=ROWS_PER_GROUP,
                write_page_checksum=True,
            )
    facts = json.loads((held / "load.json").read_text())
    told = {
        "digest": f"{facts['digest']} x {copies}",
        "complete_until": facts["complete_until"],
        "rows": rows,
    }
    (target / "load-1" / "load.json").write_text(json.dumps(told))
    point(target, "load-1")
    return target


def _granted(consents: pa.Table) -> pa.Table:
    """Everybody who said anything allows it, without an end."""
    said = {"state": pa.repeat(pa.scalar("granted"), len(consents)), "expires_at": pa.nulls(len(consents))}
    for name in said.keys() & set(consents.column_names):
        place = consents.schema.get_field_index(name)
        field = consents.schema.field(place)
        consents = consents.set_column(place, field, said[name].cast(field.type))
    return consents


def rows_repeated(home: Path, customers: int) -> NightlyRows:
    """The carmaker's feature rows, again and again under new ids until there are so many, all of whom allow everything; what comes
    before scoring is then left out."""
    file = home / f"rows-{customers}.arrow"
    if not file.is_file():
        held = _allowed(nightly.latest(home / "var" / "features").table())
        schema, written = held.schema, file.with_suffix(".part")
        with pa.OSFile(str(written), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for begin in range(0, customers, ROWS_PER_BATCH):
                numbers = np.arange(begin, min(begin + ROWS_PER_BATCH, customers))
                ids = pa.array([f"C{number:09d}" for number in numbers])
                rows = held.take(pa.array(numbers % len(held))).set_column(0, schema.field(0), [ids])
                writer.write_table(rows.combine_chunks())
        written.rename(file)
    return NightlyRows.open(file)


def _allowed(rows: pa.Table) -> pa.Table:
    for purpose in CONSENTS.values():
        place = rows.schema.get_field_index(excluded_column(purpose.name))
        rows = rows.set_column(place, rows.schema.field(place), pa.nulls(len(rows), pa.string()))
    return rows
