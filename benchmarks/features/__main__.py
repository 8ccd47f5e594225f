"""Our rows over arrays against the same columns by hand: DuckDB SQL, Polars, pandas; and by our own query, which other
engines run. Each runs in a process of its own.

    make bench-features                       20 M events, three rounds
    EVENTS=100000000 ROUNDS=1 make bench-features

Before any figure is printed the results are compared, cell by cell. The machine may be busy: what counts is the
ratio within a round. Processor time is less disturbed by neighbours than the clock. A peer that needs more than
LIMIT_GB of memory is stopped and left out, by name; pandas is not even begun above 25 M events.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from benchmarks.features.events import write
from benchmarks.record import record

EVENTS = int(os.environ.get("EVENTS", "20_000_000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
MEMORY_GB = 4
LIMIT_GB = int(os.environ.get("LIMIT_GB", "12"))
THREADS = 2
PEERS = {
    "planner": "our query on DuckDB",
    "duckdb_sql": "DuckDB SQL by hand",
    "polars_lazy": "Polars by hand",
    "pandas_groupby": "pandas by hand",
}
TOO_LARGE_FOR_PANDAS = 25_000_000

ONE_RUN = """
import importlib, json, resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[6]) << 30,) * 2)
contender = importlib.import_module("benchmarks.features." + sys.argv[1])
clock = time.perf_counter()
contender.compute(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
clock = time.perf_counter() - clock
used = resource.getrusage(resource.RUSAGE_SELF)
status = Path("/proc/self/status")  # where there is one: ru_maxrss begins with what the process that started us held
held = status.read_text().partition("VmHWM:")[2].split()[0] if status.exists() else used.ru_maxrss
peak = int(held) / (1 << 30 if sys.platform == "darwin" else 1 << 20)
print(json.dumps({"clock_s": clock, "processor_s": used.ru_utime + used.ru_stime, "peak_gb": peak}))
"""


def run(contender: str, events: Path) -> Mapping[str, float] | None:
    """One run in a process of its own: seconds by clock and processor, peak memory in GiB. None if it failed."""
    arguments = [
        contender,
        str(events),
        str(THREADS),
        str(MEMORY_GB),
        str(result(contender, events)),
        str(LIMIT_GB),
    ]
    environment = os.environ | {"POLARS_MAX_THREADS": str(THREADS)}
    done = subprocess.run(
        [sys.executable, "-c", ONE_RUN, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = (done.stderr.splitlines() or [f"ended by signal {-done.returncode}"])[-1]
        print(f"{contender} did not finish within {LIMIT_GB} GiB: {why[:200]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def result(contender: str, events: Path) -> Path:
    return events / f"by-{contender}.parquet"


def require_equal(contender: str, events: Path) -> None:
    """Exit unless the contender's table holds what ours holds, in every cell."""
    ours, theirs = result("ours", events), result(contender, events)
    columns = [name for name in pq.read_schema(ours).names if name not in ("customer_id", "as_of")]
    differing = ", ".join(f'count_if(x."{c}" IS DISTINCT FROM y."{c}")' for c in columns)
    joined = f"'{ours}' x FULL JOIN '{theirs}' y USING (customer_id)"
    counts = duckdb.sql(f"SELECT {differing} FROM {joined}").fetchall()[0]
    if wrong := [column for column, count in zip(columns, counts, strict=True) if count]:
        sys.exit(f"{contender} and ours differ in {', '.join(wrong)}")


def main() -> None:
    """Print the table of ratios."""
    events = write(EVENTS, Path("var/bench") / f"events-{EVENTS}")
    peers = {
        name: words for name, words in PEERS.items() if EVENTS <= TOO_LARGE_FOR_PANDAS or "pandas" not in name
    }
    rows: dict[str, dict[str, list[float]]] = {}
    for round_ in range(ROUNDS):
        print(f"round {round_ + 1} of {ROUNDS}", file=sys.stderr)
        if not (ours := run("ours", events)):
            sys.exit("ours failed: there is nothing to compare")
        rows.setdefault("ours", {}).setdefault("peak memory, GiB", []).append(ours["peak_gb"])
        for name, words in list(peers.items()):
            if not (theirs := run(name, events)):
                del peers[name]
                continue
            if not round_:
                require_equal(name, events)
            row = rows.setdefault(words, {})
            row.setdefault("peak memory, GiB", []).append(theirs["peak_gb"])
            row.setdefault("ours / theirs, clock", []).append(ours["clock_s"] / theirs["clock_s"])
            row.setdefault("ours / theirs, processor", []).append(ours["processor_s"] / theirs["processor_s"])
        rows["ours"].setdefault("µs of processor per event", []).append(1e6 * ours["processor_s"] / EVENTS)
    title = (
        f"122 columns of about {EVENTS:,} events, {THREADS} threads, {MEMORY_GB} GiB allowed; results equal"
    )
    record(f"features-{EVENTS}", title, rows)


if __name__ == "__main__":
    main()
