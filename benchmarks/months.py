"""Many moments in one call against as many calls: the touchpoint columns of everyone, monthly over two years.

    make bench-months                          1 M events; EVENTS and ROUNDS as in bench-features

Both ways are rows over arrays. A customer's rows are sorted once for all their dates; what was known at each is a slice
of them. QUERY=1 adds one call of the planner's query, which has a row per event and date.
"""

import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from benchmarks.features.columns import FEATURES
from benchmarks.features.events import write
from benchmarks.record import record
from features.bulk import rows_of
from features.cohorts import everyone
from features.feature_set import at
from features.timeline import months
from features.warehouse import connect

EVENTS = int(os.environ.get("EVENTS", "1_000_000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
QUERY = "QUERY" in os.environ
DATES = months("2023-08-01", "2025-07-01")


def main() -> None:
    """Print how many times as much 24 single calls cost."""
    warehouse = connect(str(write(EVENTS, Path("var/bench") / f"events-{EVENTS}")))
    warehouse.engine.raw_sql("SET threads = 2")

    def rows(dates: list[datetime]) -> int:
        return sum(batch.num_rows for batch in rows_of(everyone(warehouse, dates), warehouse, FEATURES))

    def queried() -> int:
        return int(at(everyone(warehouse, DATES), warehouse, FEATURES).to_pyarrow().num_rows)

    rows(DATES[:1])  # definitions are prepared once
    ratios: dict[str, dict[str, list[float]]] = {}
    for _ in range(ROUNDS):
        one = _spent(lambda: rows(DATES))
        single = [_spent(lambda date=date: rows([date])) for date in DATES]
        others = {"24 single calls": tuple(map(sum, zip(*single, strict=True)))}
        if QUERY:
            others["one call of the query"] = _spent(queried)
        for name, (clock, processor, found) in others.items():
            if found != one[2]:
                raise SystemExit(f"one call and {name} differ in their moments")
            row = ratios.setdefault(name, {"by the clock": [], "by the processor": []})
            row["by the clock"].append(clock / one[0])
            row["by the processor"].append(processor / one[1])
    title = f"cost / one call for all {len(DATES)} dates, {len(FEATURES)} columns, {EVENTS:,} events"
    record("months", title, ratios)


def _spent(work: Callable[[], int]) -> tuple[float, float, int]:
    """Seconds by clock and processor, and what the work gave."""
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - clock, time.process_time() - processor, found


if __name__ == "__main__":
    main()
