"""Leak columns hunted by their form: what needs no outcome to be seen.

    without history       a table that does not say since when its rows were known: as of the extraction
    written afterwards    a time that lies after `known_at` and yet never after the end of the data: not agreed
                          beforehand, as the end of a warranty is, but noted when it came, so `known_at` lies
    identifiers           nearly as many values as rows: it can only teach a model who is who
    two deliveries        the same row with other values, or rows dated into a time that was complete already

The bounds are declared below: an accusation needs enough rows that chance, or a mended mistake, does not explain it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features import timeline
from features.attributes import CLOCKS, dated, offered, said, stamps
from features.certificate import Accusation, Hunt
from features.home import warehouse_address
from features.pointer import pointed
from features.sources import CANONICAL
from features.warehouse import Warehouse, connect

__all__ = ["hunts_of_form", "rewritten", "undated", "unique", "written_after"]

FEW = 20  # rows; fewer may be a mended mistake
SMALL_SHARE = 0.01
UNIQUE_SHARE = 0.9
CHANCE = 1e-3
NO_HISTORY = "as of the extraction: the table has no known_at, so no moment but that one may see it"


def hunts_of_form(
    warehouse: Warehouse, attributes: Iterable[Path], earlier: Path | None = None
) -> list[Hunt]:
    """All of them, on the tables at `attributes` and, where they apply, on the warehouse's own."""
    tables = offered(attributes)
    columns = sum(len(said(table)) for table in tables.values())
    times = {name: table for name, table in tables.items() if dated(table)}
    own = dict(_own_stamps(warehouse))
    end = _end(warehouse)
    pairs = [*_two_loads(), *_two_deliveries(tables, earlier)]
    stamped = sum(len(stamps(t)) for t in times.values()) + sum(len(stamps(t)) for t in own.values())
    return [
        Hunt("attributes without history", columns, [a for n, t in tables.items() for a in undated(n, t)]),
        Hunt(
            "written after they were known",
            stamped,
            [a for n, t in {**own, **times}.items() for a in written_after(n, t, end)],
        ),
        Hunt("identifiers among attributes", columns, [a for n, t in tables.items() for a in unique(n, t)]),
        Hunt(
            "rows of an earlier delivery changed",
            sum(len(p[1].columns) for p in pairs),
            [a for p in pairs for a in rewritten(*p)],
        ),
    ]


def undated(name: str, table: pa.Table) -> list[Accusation]:
    """Every column of a table without `known_at`."""
    return [] if dated(table) else [Accusation(name, column, NO_HISTORY) for column in said(table)]


def unique(name: str, table: pa.Table) -> list[Accusation]:
    """Columns of text that identify a row. Numbers are left alone: amounts are honestly unique."""
    found = []
    for column in said(table):
        values = table[column].drop_null()
        text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        if text and len(values) >= FEW and pc.count_distinct(values).as_py() > UNIQUE_SHARE * len(values):
            found.append(Accusation(name, column, "an identifier: nearly as many values as rows; drop it"))
    return found


def written_after(name: str, table: pa.Table, end: datetime | None = None) -> list[Accusation]:
    """Times noted after `known_at`. `end` is that of the data, where it is later than the table's last `known_at`.

    If they were agreed beforehand, rows known shortly before the end of the data would point beyond it as often as
    older rows point so far ahead. That number is expected, and compared with what is there (Poisson).
    """
    found = []
    for column in stamps(table):
        ahead_s, room_s = _ahead(table, column, end)
        later = ahead_s > 0
        if later.sum() < FEW or later.mean() < SMALL_SHARE:
            continue
        expected, beyond = _expected_beyond(ahead_s, room_s), int((ahead_s > room_s).sum())
        if _at_most(beyond, expected / 2) < CHANCE:
            reason = f"{later.mean():.0%} of the rows were written after the known_at they state"
            found.append(Accusation(name, column, reason))
    return found


def rewritten(
    name: str, earlier: ir.Table, later: ir.Table, key: str, closed: datetime | None
) -> list[Accusation]:
    """Columns whose values changed under the same key and `known_at` between two deliveries; and rows that are new
    although they say they were known before `closed`, when the earlier delivery was complete."""
    by = [key, "known_at"] if "known_at" in later.columns else [key]
    columns = [c for c in later.columns if c in earlier.columns and c not in (*by, "superseded_at")]
    both = later.inner_join(earlier, by, rname="{name} earlier")
    unlike = {c: (~both[c].identical_to(both[f"{c} earlier"])).sum() for c in columns}
    counted = both.aggregate(rows=both.count(), **unlike).to_pyarrow().to_pylist()[0]
    found = [
        Accusation(
            name,
            c,
            f"{counted[c]:,} of {counted['rows']:,} rows hold other values than when first delivered, under the same known_at",
        )
        for c in columns
        if _many(counted[c] or 0, counted["rows"])
    ]
    if closed is not None and "known_at" in by:
        due = timeline.dated_before(later, closed)
        new, all_due = due.anti_join(earlier, by).count().execute(), due.count().execute()
        if _many(new, all_due):
            reason = f"{new:,} of {all_due:,} rows appeared only after the time they say they were known in was complete"
            found.append(Accusation(name, "known_at", reason))
    return found


def _many(count: int, of: int) -> bool:
    return count >= FEW and count > SMALL_SHARE * of


def _ahead(table: pa.Table, column: str, end: datetime | None) -> tuple[np.ndarray, np.ndarray]:
    """Per row, seconds from `known_at` to the column's time, and to the end of the data."""
    rows = ibis.memtable(table.select(["known_at", column]).drop_null())
    last = rows.known_at.max()
    ahead = rows.select(
        ahead=timeline.seconds_since_known(rows, rows[column]),
        room=timeline.seconds_since_known(rows, last if end is None else ibis.greatest(last, end)),
    ).to_pyarrow()
    return ahead["ahead"].to_numpy(), ahead["room"].to_numpy()


def _expected_beyond(ahead_s: np.ndarray, room_s: np.ndarray) -> float:
    """How many rows would point beyond the end of the data, if late rows looked as far ahead as early ones."""
    early = ahead_s[room_s >= ahead_s.max()]
    early = np.sort(early if len(early) >= FEW else ahead_s)
    further = 1 - np.searchsorted(early, room_s, side="right") / len(early)
    return float(further.sum())


def _at_most(count: int, mean: float) -> float:
    """Chance of a Poisson count of at most `count`."""
    if mean <= 0:
        return 1.0
    terms = (n * math.log(mean) - mean - math.lgamma(n + 1) for n in range(count + 1))
    return min(1.0, sum(math.exp(term) for term in terms))


def _end(warehouse: Warehouse) -> datetime | None:
    """When the last row of the warehouse was known."""
    last = (
        warehouse.engine.to_pyarrow(events.known_at.max()).as_py() for events in warehouse.tables.values()
    )
    return max((known for known in last if known is not None), default=None)


def _own_stamps(warehouse: Warehouse) -> Iterator[tuple[str, pa.Table]]:
    """The warehouse's own times besides the clocks: ends of warranties, of points."""
    for name, events in warehouse.tables.items():
        times = [c.name for c in CANONICAL[name].columns if c.type == "timestamp" and c.name not in CLOCKS]
        if times:
            yield name, warehouse.engine.to_pyarrow(events.select("known_at", *times))


def _two_loads() -> Iterator[tuple[str, ir.Table, ir.Table, str, datetime | None]]:
    """Each source in the current load of a warehouse folder and in the one before it, where there is one."""
    folder = Path(warehouse_address())
    current = pointed(folder)
    made = {load.parent.name: load.stat().st_mtime_ns for load in folder.glob("load-*/load.json")}
    before = [
        load
        for load in sorted(made, key=made.__getitem__)
        if load != current and made[load] <= made.get(current, 0)
    ]
    if not before:
        return
    complete = connect(str(folder / before[-1])).complete_until
    engine = ibis.duckdb.connect()
    for name, source in CANONICAL.items():
        files = [sorted((folder / load / name).glob("*.parquet")) for load in (before[-1], current)]
        if all(files):
            earlier, later = (engine.read_parquet([str(f) for f in some]) for some in files)
            yield name, earlier, later, source.key, complete.get(name)


def _two_deliveries(
    tables: Mapping[str, pa.Table], earlier: Path | None
) -> Iterator[tuple[str, ir.Table, ir.Table, str, datetime | None]]:
    """Each attribute table and the earlier delivery of it."""
    engine = ibis.duckdb.connect()
    for name, before in (offered([earlier]) if earlier else {}).items():
        if name in tables:
            keys = [c for c in before.column_names if c.endswith("_id") and c != "customer_id"]
            closed = pc.max(before["known_at"]).as_py() if dated(before) else None
            held = engine.create_table(f"{name} earlier", before), engine.create_table(name, tables[name])
            yield name, *held, (keys or ["customer_id"])[0], closed
