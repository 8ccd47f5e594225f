"""Every customer's feature row for one date, written once and looked up by customer.

    python -m features.nightly --as-of 1998-07-01

The file is Arrow IPC, sorted by customer and mapped into memory: finding a customer is a binary search. It
holds each feature and, per consent and cohort, the reason why a customer may not be asked about (null: may be). Whoever does
not allow the service and profiling has a row of reasons and nothing else (see `features.barred`). Files are
never rewritten; the pointer `CURRENT` names the newest. Where everyone cannot be measured over arrays, what the features needed
is kept beside the rows, for the next night to start from (see `features.incremental`). The work is done in pieces of customers.
"""

import hashlib
import json
import mmap
import shutil
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated

import ibis.expr.types as ir
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from features import timeline
from features.barred import Barred, withheld
from features.begun import Begun, Touched
from features.bulk import in_order, over_arrays
from features.cohorts import everyone, excluded_column
from features.command import run
from features.consent import cohorts_of
from features.errors import BadData, NoWarehouse
from features.feature import SEMANTICS
from features.feature_set import available
from features.home import data_folder
from features.ids import before
from features.incremental import Night
from features.lock import held
from features.pieces import CUSTOMERS_PER_PIECE, in_pieces
from features.planner import compute, needs_for, project
from features.pointer import point, pointed
from features.progress import followed
from features.reach import groups_of
from features.rows import Definition, needs_of
from features.state import Kept, beside, kept, seal, why_not_on
from features.timeline import moment_named
from features.warehouse import Warehouse, connect

__all__ = ["NightlyRows", "Work", "excluded_column", "latest", "materialise", "rows", "rows_folder"]

ROWS_PER_BATCH = 65_536
FILES_KEPT = 2
ASKED_FOR = "it was asked for"
QUICKER = "the files lie in order, so that this is quicker"


def rows_folder() -> Path:
    """Where rows lie by default."""
    return data_folder() / "features"


def rows(moments: ir.Table, warehouse: Warehouse) -> ir.Table:
    """Each moment's features and its answers from all cohorts, in one computation."""
    return _answered(compute(moments, _definitions(warehouse), warehouse.tables, timeline.past), warehouse)


def _definitions(warehouse: Warehouse) -> dict[str, Definition]:
    definitions = {feature.name: feature.definition for feature in available(warehouse)}
    for cohort in cohorts_of(warehouse):
        definitions |= cohort.checks
    return definitions


def _answered(computed: ir.Table, warehouse: Warehouse) -> ir.Table:
    excluded = {excluded_column(cohort.name): cohort.excluded(computed) for cohort in cohorts_of(warehouse)}
    names = (feature.name for feature in available(warehouse))
    return computed.select("customer_id", "as_of", *names, **excluded)


def materialise(
    warehouse: Warehouse,
    as_of: datetime,
    folder: Path | None = None,
    *,
    incremental: bool | None = None,
    customers_per_piece: int = CUSTOMERS_PER_PIECE,
) -> "NightlyRows":
    """Compute and store the rows of everyone known before `as_of`; they become the current ones.

    Where a folder's files lie in the order of customers everyone is measured, over arrays: that is quicker than telling whose rows
    are still the same. Elsewhere, and with `incremental`, what everyone's features needed is kept beside the rows, and the next time
    carried over where that is exact. The result is the same to the bit. `incremental=False` measures everyone. Raises `UnknownMoment` for a date
    that the sources have not come to, `BadData` when nobody is known yet at that date, `NoConsents` when nothing says who allows what, `LedgerUnreadable` when what was told since cannot be read, `RunInProgress` when another process is writing there. Killed at any point and called again it
    goes on: pieces that are done are not done again.
    """
    warehouse.require_reached(as_of)
    customers = warehouse.engine.execute(everyone(warehouse, [as_of]).count())
    if not customers:
        raise BadData(f"nobody is known before {as_of:%Y-%m-%d}; choose a later date")
    folder = folder or rows_folder()
    with held(folder):
        before = _before(folder, warehouse, incremental)
        barred = Barred.at(as_of, warehouse)
        job = _Job(warehouse, as_of, customers, customers_per_piece, before, barred)
        begun = Begun(folder, job.key(pointed(folder)), as_of)
        if not begun.target.exists():
            begun.finish(job.facts(job.write(begun)))
        made = NightlyRows.open(begun.target)
        if begun.needs.exists():
            begun.needs.rename(beside(begun.target))
        point(folder, begun.target.name)
        begun.clear()
        _forget(folder)
    return made


@dataclass(frozen=True)
class _Job:
    """Rows of all `customers` known before `as_of`, so many at a time; `before` is what is kept of the night before, or why everyone is
    measured, `barred` those of whom nothing is computed."""

    warehouse: Warehouse
    as_of: datetime
    customers: int
    customers_per_piece: int
    before: Kept | str
    barred: Barred

    def key(self, current: str) -> str:
        """The same if and only if the rows would be, made in the same pieces from the same rows before (`current`). A warehouse that
        does not say what it holds is another one each time."""
        definitions = {
            name: needs_of(definition) for name, definition in _definitions(self.warehouse).items()
        }
        meant = [
            f"{name} {value!r} {sorted(map(repr, needs))}" for name, (value, needs) in definitions.items()
        ]
        told = [SEMANTICS, self.as_of.isoformat(), self.warehouse.digest or uuid.uuid4().hex, self.customers_per_piece, current,
                isinstance(self.before, str) and self.before, ROWS_PER_BATCH, self.barred.digest, sorted(meant)]  # fmt: skip
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def write(self, begun: Begun) -> "Work":
        """Write the rows that are not there yet."""
        if why := why_not_on(self.warehouse.engine):
            self._write_pieces(begun, lambda narrowed: rows(self._people(narrowed), narrowed))
            return Work(why)
        if self.before in (ASKED_FOR, QUICKER) and (found := self._over_arrays(begun.last)):
            self._write(begun, found)
            return Work(str(self.before))
        return self._with_needs(begun)

    def _over_arrays(self, after: str) -> Iterator[pa.RecordBatch] | None:
        """Everyone's rows, measured over arrays, where that can be had; then nothing is kept for the night after."""
        people = self._people(self.warehouse)
        people = people.filter(people.customer_id > after)
        return over_arrays(people, self.warehouse, available(self.warehouse), cohorts_of(self.warehouse))

    def _with_needs(self, begun: Begun) -> "Work":
        """Write the needs, group by group, and the rows that the definitions make of them."""
        needs = needs_for(_definitions(self.warehouse))
        why, usable = (self.before, None) if isinstance(self.before, str) else ("", self.before)
        groups = groups_of(needs)
        held = self.barred.narrowed(self.warehouse)
        with Night.begun(held, self._people(held), self.as_of, begun, usable) as night:
            touched = night.measure(groups, self.customers_per_piece)
            seal(begun.needs, self.as_of, needs, self.warehouse.engine)
            found = project(night.needs(groups), _definitions(self.warehouse))
            self._write_pieces(begun, lambda narrowed: _answered(found, narrowed))
        return Work(why, touched)

    def _write_pieces(self, begun: Begun, answer: Callable[[Warehouse], ir.Table]) -> None:
        """Write what `answer` says of each piece, after the pieces before it."""

        def sorted_rows(narrowed: Warehouse) -> ir.Table:
            return answer(narrowed).order_by("customer_id")

        held = self.barred.narrowed(self.warehouse)
        found = in_pieces(sorted_rows, held, self.customers_per_piece, ROWS_PER_BATCH, after=begun.last)  # fmt: skip
        self._write(begun, found)

    def _people(self, warehouse: Warehouse) -> ir.Table:
        return self.barred.allowed(everyone(warehouse, [self.as_of]), warehouse.engine)

    def _write(self, begun: Begun, found: Iterator[pa.RecordBatch]) -> None:
        without_date = (batch.drop_columns("as_of") for batch in found)
        whole = self.barred.among(without_date, begun.last, self._schema, withheld(available(self.warehouse)))
        for _ in followed(begun.keep(whole, ROWS_PER_BATCH), "rows written", self.customers, len):
            pass

    def _schema(self) -> pa.Schema:
        found = rows(everyone(self.warehouse, [self.as_of]), self.warehouse)
        return found.drop("as_of").schema().to_pyarrow()

    def facts(self, work: "Work") -> dict[str, str]:
        """What a file of rows says about itself."""
        facts = {"as_of": self.as_of.isoformat(), "warehouse": self.warehouse.digest}
        facts |= {feature.name: feature.fingerprint for feature in available(self.warehouse)}
        return {"facts": json.dumps(facts), "work": json.dumps(asdict(work))}


def _before(folder: Path, warehouse: Warehouse, incremental: bool | None) -> Kept | str:
    """What is kept beside the current rows, or why everyone is measured."""
    if incremental is False:
        return ASKED_FOR
    if incremental is None and in_order(warehouse, available(warehouse), cohorts_of(warehouse)):
        return QUICKER
    if why := why_not_on(warehouse.engine):
        return why
    if not (name := pointed(folder)):
        return "there are no rows before"
    return kept(beside(folder / name), needs_for(_definitions(warehouse)), warehouse.engine)


def _forget(folder: Path) -> None:
    """Remove older rows with what is kept beside them, and needs whose rows are gone."""
    files = sorted(folder.glob("rows-*.arrow"), key=lambda file: file.stat().st_mtime)
    for old in files[:-FILES_KEPT]:
        old.unlink()
    owned = {beside(file) for file in files[-FILES_KEPT:]}
    for left in folder.glob("needs-*"):
        if left not in owned:
            shutil.rmtree(left)


def latest(folder: Path | None = None) -> "NightlyRows":
    """The current rows. Raises `NoWarehouse` when none have been materialised."""
    folder = folder or rows_folder()
    if not (name := pointed(folder)):
        raise NoWarehouse(f"no feature rows in {folder}: run `python -m features.nightly --as-of DATE`")
    return NightlyRows.open(folder / name)


@dataclass(frozen=True)
class Work:
    """How rows were made: `why` everyone was measured (empty: not everyone was), and per group of needs whom."""

    why: str
    touched: Mapping[str, Touched] = field(default_factory=dict)

    @classmethod
    def read(cls, metadata: Mapping[bytes, bytes]) -> "Work":
        """As it stands in a file of rows; earlier releases did not say."""
        if b"work" not in metadata:
            return cls("an earlier release made them")
        told = json.loads(metadata[b"work"])
        return cls(told["why"], {group: Touched(**counts) for group, counts in told["touched"].items()})

    def __rich__(self) -> Table:
        """What a sponsor sees: per source, who was measured anew."""
        title = f"everyone measured: {self.why}" if self.why else "measured anew; the rest carried over"
        table = Table("source", "customers", "measured", "share", title=title, title_justify="left", box=None)
        for name, found in self.touched.items():
            share = found.measured / max(found.customers, 1)
            table.add_row(name, f"{found.customers:,}", f"{found.measured:,}", f"{share:.1%}")
        return table


@dataclass(frozen=True)
class NightlyRows:
    """Feature rows of one date, sorted by customer, mapped from a file."""

    as_of: datetime
    fingerprints: dict[str, str]
    batches: Sequence[pa.RecordBatch]
    first_ids: Sequence[str]
    schema: pa.Schema
    work: Work
    file: Path = Path()
    mapped: mmap.mmap | None = None

    @classmethod
    def open(cls, file: Path) -> "NightlyRows":
        """Map a file of rows; nothing is read yet but its directory and the first id of each batch."""
        with file.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.py_buffer(mapped))
        batches = [batch for n in range(reader.num_record_batches) if (batch := reader.get_batch(n)).num_rows]
        facts = json.loads(reader.schema.metadata[b"facts"])
        as_of = datetime.fromisoformat(facts.pop("as_of"))
        facts.pop("warehouse")
        first_ids = [batch.column(0)[0].as_py() for batch in batches]
        work = Work.read(reader.schema.metadata)
        return cls(as_of, facts, batches, first_ids, reader.schema, work, file, mapped)

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self.batches)

    def read(self, number: int) -> pa.Table:
        """A copy of one batch: unlike the mapped ones it is gone from memory once it is let go."""
        with pa.OSFile(str(self.file)) as source:
            batch = pa.ipc.open_file(source).get_batch(number)
        return pa.Table.from_batches([batch], self.schema)

    def let_go(self) -> None:
        """What has been looked at need not stay in this process's memory: it is mapped again where it is asked for."""
        if self.mapped is not None:
            self.mapped.madvise(mmap.MADV_DONTNEED)

    def table(self) -> pa.Table:
        """All rows, mapped: nothing is read before it is looked at."""
        return pa.Table.from_batches(self.batches, self.schema)

    def find(self, customer_ids: Iterable[str]) -> pa.Table:
        """The rows of those customers that are there, in the order asked for."""
        found = []
        for customer_id in customer_ids:
            batch = bisect_right(self.first_ids, customer_id) - 1
            if batch < 0:
                continue
            ids = self.batches[batch].column(0)
            place = before(ids, customer_id)
            if place < len(ids) and ids[place].as_py() == customer_id:
                found.append(self.batches[batch].slice(place, 1))
        return pa.Table.from_batches(found, self.schema)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    as_of: Annotated[str, typer.Option(help="the moment whose rows to compute, or latest")] = "latest",
    incremental: Annotated[
        bool | None,
        typer.Option(
            help="carry over from the rows before what has not changed; default: where that is quicker"
        ),
    ] = None,
) -> None:
    """Compute and store every customer's feature row for a date."""
    warehouse = connect()
    made = materialise(warehouse, moment_named(as_of, warehouse.latest_moment), incremental=incremental)
    Console().print(made.work)
    print(f"{len(made):,} customers x {len(made.fingerprints)} features as of {made.as_of:%Y-%m-%d}")


if __name__ == "__main__":
    run(app)
