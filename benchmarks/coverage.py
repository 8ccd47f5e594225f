"""Forecasts held against what came, on an invented carmaker nobody looked at before: how many lists lie within their 90 % interval.

Per task a model is trained on what was known at one day. From that day on a run every four weeks scores everybody and says how many will
act; a run learns from those before it only what was settled by its own day. When all windows are closed every list is settled: everybody,
each grade, each segment. Nothing is trained again meanwhile, so that models grow as old as they get between two trainings. A model that its
gates refuse says nothing.

    make bench-coverage
    python -m benchmarks.coverage --customers 20000 --seed 11 --runs 8 --task churn
"""

from collections.abc import Iterable, Sequence
from contextlib import chdir
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.carmaker import loaded
from benchmarks.record import write
from features.warehouse import Warehouse
from serving.batch import batch
from serving.ledger import ALL, Settled
from serving.settle import coverage, settle_all
from training.task import Task
from training.tasks import task_named
from training.train import train

TASKS = ("churn", "purchase_intent", "test_drive", "service_return")
EVERY = timedelta(days=28)
FEW = 5  # outcomes expected: of shorter lists an interval says little


def main(
    customers: Annotated[int, typer.Option(help="of the invented carmaker")] = 20_000,
    seed: Annotated[int, typer.Option(help="of its dice")] = 11,
    runs: Annotated[int, typer.Option(help="per task, four weeks apart")] = 8,
    task: Annotated[list[str] | None, typer.Option(help="may be repeated; default: four")] = None,
) -> None:
    """Measure."""
    found = {}
    with TemporaryDirectory() as scratch, chdir(scratch):  # where `var/` is
        warehouse = loaded(Path(scratch), customers, seed)
        for name in task or TASKS:
            found[name] = settled(task_named(name, warehouse), warehouse, Path(scratch) / name, runs)
    table = Table("task", "runs", "whole lists", "by grade", "of segments", "sums, happened of expected", title=f"Share of lists within their 90 % interval; {customers:,} customers, seed {seed}")  # fmt: skip
    for name, lines in found.items():
        table.add_row(name, *(_cells(lines) if lines else ["refused"]))
    table.add_row("all", *_cells([line for lines in found.values() for line in lines]), style="bold")
    Console(width=None if Console().is_terminal else 150).print(table)
    facts = {"customers": customers, "seed": seed, "runs": runs}
    write(
        "coverage",
        {"facts": facts, "lists": msgspec.to_builtins(found)},
    )


def settled(task: Task, warehouse: Warehouse, scores: Path, runs: int) -> list[Settled]:
    """Every list of the task's runs, settled; the first run is of the day whose knowledge the model has."""
    last = task.latest_closed(warehouse)
    days = [last - EVERY * back for back in reversed(range(runs))]
    trained = train(task, _until(warehouse, days[0]))
    if not trained.promoted:
        print(
            f"{task.name}: no forecasts, for its model is refused: {'; '.join(trained.verdict.refused)}",
            flush=True,
        )
        return []
    for day in days:
        settle_all(_until(warehouse, day), scores)
        batch(_until(warehouse, day), day, [task.name], scores)
        print(f"{task.name}: run of {day:%Y-%m-%d}", flush=True)
    return settle_all(warehouse, scores)


def _until(warehouse: Warehouse, day: datetime) -> Warehouse:
    """The warehouse as far as it had come by then: no window that ends later is closed."""
    return replace(
        warehouse, complete_until={name: min(until, day) for name, until in warehouse.complete_until.items()}
    )


def _cells(lines: Sequence[Settled]) -> Iterable[str]:
    whole = [line for line in lines if line.segment == ALL]
    everybody = [line for line in whole if line.grade == ALL]
    parts = [line for line in lines if line.segment != ALL and line.expected >= FEW]
    yield f"{len({(line.task, line.run) for line in lines})}"
    for some in (everybody, [line for line in whole if line.grade != ALL], parts):
        yield f"{coverage(some):.0%} of {len(some):,}"
    yield f"{sum(line.happened for line in everybody):,} of {sum(line.expected for line in everybody):,.0f}"


if __name__ == "__main__":
    typer.run(main)
