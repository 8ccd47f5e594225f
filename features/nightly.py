"""Every customer's feature row for one date, written once and looked up by customer.

    python -m features.nightly --as-of 1998-07-01

The file is Arrow IPC, sorted by customer and mapped into memory: finding a customer is a binary search. It
holds each feature and, per cohort, the reason why a customer may not be asked about (null: may be). Files are
never rewritten; the pointer `CURRENT` names the newest.
"""

import json
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import ibis.expr.types as ir
import pyarrow as pa
import typer

from features import timeline
from features.cohorts import COHORTS, everyone
from features.command import run
from features.errors import BadData, NoWarehouse
from features.feature_set import available
from features.home import data_folder
from features.planner import compute
from features.pointer import point, pointed
from features.timeline import moment_named
from features.warehouse import Warehouse, connect

__all__ = ["NightlyRows", "excluded_column", "latest", "materialise", "rows"]

ROWS_PER_BATCH = 65_536
FILES_KEPT = 2


def excluded_column(cohort: str) -> str:
    """The column that says why a customer is not in the cohort."""
    return f"not {cohort}"


def rows(moments: ir.Table, warehouse: Warehouse) -> ir.Table:
    """Each moment's features and its answers from all cohorts, in one computation."""
    chosen = available(warehouse)
    cohorts = [cohort for cohort in COHORTS.values() if warehouse.has(cohort.sources)]
    definitions = {feature.name: feature.definition for feature in chosen}
    for cohort in cohorts:
        definitions |= cohort.checks
    answered = compute(moments, definitions, warehouse.tables, timeline.past)
    excluded = {excluded_column(cohort.name): cohort.excluded(answered) for cohort in cohorts}
    return answered.select("customer_id", "as_of", *(feature.name for feature in chosen), **excluded)


def materialise(warehouse: Warehouse, as_of: datetime, folder: Path | None = None) -> "NightlyRows":
    """Compute and store the rows of everyone known before `as_of`; they become the current ones.

    Raises `BadData` when nobody is known yet at that date.
    """
    folder = folder or data_folder() / "features"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"rows-{as_of:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}.arrow"
    facts = {"as_of": as_of.isoformat(), "warehouse": warehouse.digest}
    facts |= {feature.name: feature.fingerprint for feature in available(warehouse)}
    expression = rows(everyone(warehouse, [as_of]), warehouse).drop("as_of").order_by("customer_id")
    batches = warehouse.engine.to_pyarrow_batches(expression, chunk_size=ROWS_PER_BATCH)
    schema = batches.schema.with_metadata({"facts": json.dumps(facts)})
    beside = folder / f".{name}"
    with pa.OSFile(str(beside), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    made = NightlyRows.open(beside)
    if not len(made):
        beside.unlink()
        raise BadData(f"nobody is known before {as_of:%Y-%m-%d}; choose a later date")
    beside.rename(folder / name)
    point(folder, name)
    for old in sorted(folder.glob("rows-*.arrow"), key=lambda file: file.stat().st_mtime)[:-FILES_KEPT]:
        old.unlink()
    return made


def latest(folder: Path | None = None) -> "NightlyRows":
    """The current rows. Raises `NoWarehouse` when none have been materialised."""
    folder = folder or data_folder() / "features"
    if not (name := pointed(folder)):
        raise NoWarehouse(f"no feature rows in {folder}: run `python -m features.nightly --as-of DATE`")
    return NightlyRows.open(folder / name)


@dataclass(frozen=True)
class NightlyRows:
    """Feature rows of one date, sorted by customer, mapped from a file."""

    as_of: datetime
    fingerprints: dict[str, str]
    batches: Sequence[pa.RecordBatch]
    first_ids: Sequence[str]
    schema: pa.Schema

    @classmethod
    def open(cls, file: Path) -> "NightlyRows":
        """Map a file of rows; nothing is read yet but its directory and the first id of each batch."""
        reader = pa.ipc.open_file(pa.memory_map(str(file)))
        batches = [batch for n in range(reader.num_record_batches) if (batch := reader.get_batch(n)).num_rows]
        facts = json.loads(reader.schema.metadata[b"facts"])
        as_of = datetime.fromisoformat(facts.pop("as_of"))
        facts.pop("warehouse")
        return cls(as_of, facts, batches, [batch.column(0)[0].as_py() for batch in batches], reader.schema)

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self.batches)

    def table(self) -> pa.Table:
        return pa.Table.from_batches(self.batches, self.schema)

    def find(self, customer_ids: Iterable[str]) -> pa.Table:
        """The rows of those customers that are there, in the order asked for."""
        found = []
        for customer_id in customer_ids:
            batch = bisect_right(self.first_ids, customer_id) - 1
            if batch < 0:
                continue
            ids = _Ids(self.batches[batch].column(0))
            place = bisect_left(ids, customer_id)
            if place < len(ids) and ids[place] == customer_id:
                found.append(self.batches[batch].slice(place, 1))
        return pa.Table.from_batches(found, self.schema)


class _Ids(Sequence[str]):
    """An Arrow column of ids as the sequence that `bisect` wants."""

    def __init__(self, column: pa.Array) -> None:
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        return self.column[place].as_py()


app = typer.Typer(add_completion=False)


@app.command()
def main(
    as_of: Annotated[str, typer.Option(help="the moment whose rows to compute, or latest")] = "latest",
) -> None:
    """Compute and store every customer's feature row for a date."""
    warehouse = connect()
    made = materialise(warehouse, moment_named(as_of, warehouse.latest_moment))
    print(f"{len(made):,} customers x {len(made.fingerprints)} features as of {made.as_of:%Y-%m-%d}")


if __name__ == "__main__":
    run(app)
