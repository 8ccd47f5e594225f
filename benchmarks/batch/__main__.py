"""The nightly batch: probability, grade, reasons in two languages of everybody for four champions, published; features included.

    make bench-batch                                                   1,000,000 customers; takes an hour
    python -m benchmarks.batch --customers 10000 --peer-customers 2000 --home var/bench/batch

The carmaker is a small invented one, repeated under new ids until there are as many customers as asked for; its models are trained
here, once per `--home`. Each job runs in a process of its own, whose highest memory is what the kernel noted for it. Peers and ours take
turns, from the same feature rows.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.batch import ours, peers, trees
from benchmarks.batch.world import TASKS, repeated, rows_repeated
from benchmarks.record import record

JOBS = {
    "whole": ours.whole, "from rows": ours.from_rows, "pandas": peers.by_pandas, "spark": peers.by_spark, "trees": trees.trees,
}  # fmt: skip
app = typer.Typer(add_completion=False)


@app.command()
def main(
    customers: Annotated[int, typer.Option(help="of the whole batch, and beside them a fifth")] = 1_000_000,
    flat: Annotated[
        int, typer.Option(help="customers for the memory of the part after the features; 0: none")
    ] = 0,
    peer_customers: Annotated[int, typer.Option(help="for the peers, and for ours beside them")] = 1_000_000,
    runs: Annotated[int, typer.Option(help="of each side by side")] = 3,
    of: Annotated[int, typer.Option(help="customers of the carmaker that is repeated")] = 12_000,
    home: Annotated[Path, typer.Option(help="where it lies, to be used again")] = Path("var/bench/batch"),
    only: Annotated[str, typer.Option(help="whole, or peers; default: both")] = "",
    job: Annotated[str, typer.Option(help="of a process that this one starts", hidden=True)] = "",
) -> None:
    """Measure."""
    home = home.absolute()
    if job:
        print(json.dumps(JOBS[job](home, customers)))
        return
    _prepare(home, of)
    alone = {}
    if only != "peers":
        for count in (customers // 5, customers):
            repeated(home, count)
            alone[f"whole {count:,}"] = _in_its_own_process("whole", home, count)
        for count in (flat // 5, flat) if flat else ():
            alone[f"from rows {count:,}"] = _in_its_own_process("from rows", home, count)
    found = _beside_peers(home, peer_customers, runs) if only != "whole" else {}
    _show(alone)
    facts: dict[str, Any] = {
        "customers": customers,
        "peer_customers": peer_customers,
        "tasks": TASKS,
        "alone": alone,
    }
    record("batch", f"from feature rows, {peer_customers:,} customers x {len(TASKS)} tasks", found, facts)


def _prepare(home: Path, of: int) -> None:
    """In a process of its own: training leaves threads and memory behind."""
    code = f"from pathlib import Path; from benchmarks.batch.world import trained; trained(Path({str(home)!r}), {of})"
    subprocess.run([sys.executable, "-c", code], check=True)


def _beside_peers(home: Path, customers: int, runs: int) -> dict[str, dict[str, list[float]]]:
    rows_repeated(home, customers)
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(runs):
        mine = _in_its_own_process("from rows", home, customers)
        for name in ("pandas", "spark"):
            theirs = _in_its_own_process(name, home, customers)
            for what in (
                ("time", "processor") if name == "pandas" else ("time",)
            ):  # Spark's processor time is Java's
                found.setdefault(f"{name} / ours", {}).setdefault(what, []).append(theirs[what] / mine[what])
        for what, ratio in _in_its_own_process("trees", home, customers).items():
            name, _, unit = what.partition(", ")
            found.setdefault(f"LightGBM / ours, {name}", {}).setdefault(unit, []).append(ratio)
    return found


def _in_its_own_process(job: str, home: Path, customers: int) -> dict[str, Any]:
    given = [f"--job={job}", f"--home={home}", f"--customers={customers}"]
    done = subprocess.run([sys.executable, "-m", "benchmarks.batch", *given], check=True, stdout=subprocess.PIPE, text=True)  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(job, f"{customers:,}", json.dumps(found), flush=True)
    return found


def _show(alone: dict[str, dict[str, Any]]) -> None:
    table = Table("", *alone, title="seconds by the clock, and their share")
    names = list(dict.fromkeys(name for told in alone.values() for name in told["steps"]))
    for name in names:
        table.add_row(name, *(f"{told['steps'].get(name, 0):,.1f} ({told['steps'].get(name, 0) / told['time']:.0%})" for told in alone.values()))  # fmt: skip
    for what in ("scores", "time", "processor", "GiB", "published, GB"):
        table.add_row(
            f"[bold]{what}",
            *(f"{told[what]:,.4g}" if told[what] < 1000 else f"{told[what]:,.0f}" for told in alone.values()),
        )
    if alone:
        Console(width=None if Console().is_terminal else 150).print(table)


if __name__ == "__main__":
    app()
