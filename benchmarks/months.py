"""Many moments in one call against as many calls: the touchpoint columns of everyone, monthly over two years.

make bench-months                          1 M events; EVENTS and ROUNDS as in bench-features
"""

import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import ibis

from benchmarks.features.columns import FEATURES
from benchmarks.features.events import write
from benchmarks.record import record
from features.cohorts import everyone
from features.feature_set import at
from features.timeline import months
from features.warehouse import Warehouse

EVENTS = int(os.environ.get("EVENTS", "1_000_000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
DATES = months("2023-08-01", "2025-07-01")


def main() -> None:
    """Print how many times as much 24 single calls cost."""
    events = write(EVENTS, Path("var/bench") / f"events-{EVENTS}")
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'; SET threads = 2")
    names = ("customers", "touchpoints")
    tables = {name: engine.read_parquet(f"{events}/{name}/*.parquet", table_name=name) for name in names}
    warehouse = Warehouse(engine, tables)

    def rows_of(dates: list[datetime]) -> int:
        return int(at(everyone(warehouse, dates), warehouse, FEATURES).to_pyarrow().num_rows)

    ratios: dict[str, list[float]] = {"by the clock": [], "by the processor": []}
    for _ in range(ROUNDS):
        clock, processor, rows = _spent(lambda: rows_of(DATES))
        single = [_spent(lambda date=date: rows_of([date])) for date in DATES]
        if rows != sum(count for *_, count in single):
            raise SystemExit("one call and single calls differ in their moments")
        ratios["by the clock"].append(sum(spent for spent, *_ in single) / clock)
        ratios["by the processor"].append(sum(spent for _, spent, _ in single) / processor)
    title = f"{len(DATES)} single calls / one call for all dates, {len(FEATURES)} columns, {EVENTS:,} events"
    record("months", title, {"monthly over two years": ratios})


def _spent(work: Callable[[], int]) -> tuple[float, float, int]:
    """Seconds by clock and processor, and what the work gave."""
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - clock, time.process_time() - processor, found


if __name__ == "__main__":
    main()
