"""Nightly rows: carried over from the night before against everyone measured, and finding one customer.

The same date, the same warehouse, interleaved: the rows of a night made from those of the night before, a week
before, and from nothing. Both ways write the same rows, cell for cell; that is checked here too. One look-up is timed
from the open file, beside DuckDB asking a Parquet file of the same rows, sorted too, for the same customer.

    make bench-nightly [CUSTOMERS=20000]
"""

import os
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.carmaker import loaded
from benchmarks.record import record
from features import nightly
from features.nightly import NightlyRows
from features.warehouse import Warehouse

CUSTOMERS = int(os.environ.get("CUSTOMERS", "20000"))
RUNS, SEED, LOOKUPS = 3, 7, 2_000
GAPS = {"the night before": 1, "a week before": 7}


def main() -> None:
    with TemporaryDirectory() as scratch:
        warehouse = loaded(Path(scratch), CUSTOMERS, SEED)
        runs: dict[str, dict[str, list[float]]] = {}
        shares: dict[str, dict[str, str]] = {}
        for gap, days in GAPS.items():
            runs[gap], shares[gap] = compare(warehouse, days, Path(scratch) / f"rows {days}")
        made = nightly.latest(Path(scratch) / "rows 1")
        found = lookups(made, Path(scratch) / "rows.parquet")
    facts = {"customers": len(made), "runs": RUNS, "measured": shares, "look-up, ms": found}
    record("nightly", f"Nightly rows of {len(made):,} customers: median of {RUNS} runs (range)", runs, facts)
    for gap, row in shares.items():
        print(f"measured anew since {gap}: " + ", ".join(f"{name} {share}" for name, share in row.items()))
    for who, row in found.items():
        print(f"finding one customer, {who}: " + ", ".join(f"{name} {ms:.3f} ms" for name, ms in row.items()))


def compare(warehouse: Warehouse, days: int, folder: Path) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Everyone measured over carried over, by the clock and by the processor; and whom it measured."""
    as_of = min(warehouse.complete_until.values())
    ratios: dict[str, list[float]] = {"everyone / carried, time": [], "everyone / carried, processor": []}
    for _ in range(RUNS):
        nightly.materialise(warehouse, as_of - timedelta(days=days), folder, incremental=True)
        carried, seconds = timed(warehouse, as_of, folder, incremental=True)
        everyone, all_seconds = timed(warehouse, as_of, folder, incremental=False)
        assert carried.work.why == "", carried.work.why
        assert carried.table().equals(everyone.table()), "carried over is not what measuring everyone gives"
        for column, mine, theirs in zip(ratios.values(), seconds, all_seconds, strict=True):
            column.append(theirs / mine)
    touched = carried.work.touched.items()
    return ratios, {name: f"{some.measured / max(some.customers, 1):.1%}" for name, some in touched}


def timed(
    warehouse: Warehouse, as_of: datetime, folder: Path, *, incremental: bool
) -> tuple[NightlyRows, tuple[float, float]]:
    clock, processor = time.perf_counter(), time.process_time()
    made = nightly.materialise(warehouse, as_of, folder, incremental=incremental)
    return made, (time.perf_counter() - clock, time.process_time() - processor)


def lookups(made: NightlyRows, file: Path) -> dict[str, dict[str, float]]:
    """Milliseconds until one customer's row is there as an Arrow table, p50 and p99; on a busy machine the
    processor's time says more than the clock's."""
    table = made.table()
    pq.write_table(table, file, row_group_size=2_048)
    engine = duckdb.connect()
    asked = random.Random(SEED).choices(table["customer_id"].to_pylist(), k=LOOKUPS)
    question = f"SELECT * FROM '{file}' WHERE customer_id = $1"
    ours = [milliseconds(lambda who: made.find([who]), who) for who in asked]
    peer = [
        milliseconds(lambda who: engine.execute(question, [who]).fetch_arrow_table(), who)
        for who in asked[::20]
    ]
    return {
        "here, by the clock": _percentiles([clock for clock, _ in ours]),
        "here, by the processor": _percentiles([processor for _, processor in ours]),
        "DuckDB on sorted Parquet, by the clock": _percentiles([clock for clock, _ in peer]),
    }


def milliseconds(ask: Callable[[str], pa.Table], who: str) -> tuple[float, float]:
    clock, processor = time.perf_counter(), time.thread_time()
    assert len(ask(who)) == 1
    return 1000 * (time.perf_counter() - clock), 1000 * (time.thread_time() - processor)


def _percentiles(runs: list[float]) -> dict[str, float]:
    cuts = quantiles(runs, n=100)
    return {"p50": cuts[49], "p99": cuts[98]}


if __name__ == "__main__":
    main()
