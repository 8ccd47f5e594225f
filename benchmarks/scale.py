"""A million moments by 150 columns: the small fixed model end to end, and a study of 50 trials; time and memory.

The moments are drawn, not computed: customers at 18 dates, 150 columns of the shapes features have (counts, days since,
amounts, means, flags, rare and missing ones), an outcome of about 6 % that a few of them foretell, over two horizons. They lie
in a Parquet file, are cut as a plan would cut them, and then everything is the product's own. Each part runs in a process
of its own, whose highest memory is what the kernel noted for it (`VmHWM`).

    make bench-scale
    python -m benchmarks.scale --real 20000      the whole way from events, of so many invented customers, at 15 dates
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.carmaker import loaded
from benchmarks.record import write
from features.warehouse import connect
from training.blend import fit_both
from training.comparison import compare
from training.dataset import Dataset, Parts, dataset, split
from training.grow import numbers
from training.model import Model
from training.plan import Plan, plan
from training.search import inner, search
from training.tasks import TASKS, task_named

TASK = replace(next(task for task in TASKS if task.name == "purchase_intent"), horizons_days=(28, 56))
DATES = [datetime(2023, 1, 4) + timedelta(days=28 * n) for n in range(18)]
PLANNED = Plan(tuple(DATES[:15]), tuple(DATES[:15]), tuple(DATES[15:]), "in time", everyone=True)
REAL_DATES = 15
ALLOWED = {"seconds": 90.0, "study, seconds": 1800.0, "GiB": 8.0}
app = typer.Typer(add_completion=False)


@app.command()
def main(
    moments: Annotated[int, typer.Option(help="rows of all parts together")] = 1_000_000,
    columns: Annotated[int, typer.Option(help="columns to learn from")] = 150,
    trials: Annotated[int, typer.Option(help="of the study")] = 50,
    real: Annotated[int, typer.Option(help="instead: invented customers to go the whole way with")] = 0,
    job: Annotated[str, typer.Option(help="of a process that this one starts", hidden=True)] = "",
    folder: Annotated[Path, typer.Option(help="of a process that this one starts", hidden=True)] = Path(),
) -> None:
    """Measure; each job in a process of its own."""
    if job:
        print(json.dumps({"draw": _draw, "model": _model, "study": _study, "world": _world, "real": _real}[job](
            folder, moments, columns, trials, real)))  # fmt: skip
        return
    jobs = ("world", "real") if real else ("draw", "model", "study")
    given = [f"--moments={moments}", f"--columns={columns}", f"--trials={trials}", f"--real={real}"]
    with TemporaryDirectory() as scratch:
        found = {}
        for name in jobs:
            found[name] = _in_its_own_process(name, Path(scratch), given)
            print(name, json.dumps({k: v for k, v in found[name].items() if k != "trials"}), flush=True)
    title = f"{real:,} invented customers" if real else f"{moments:,} moments x {columns} columns"
    _shown(title, {name: row for name, row in found.items() if "steps" in row})
    facts = {"moments": moments, "columns": columns, "trials": trials, "real": real, "allowed": ALLOWED}
    write("scale-real" if real else "scale", {"facts": facts, "jobs": found})


def _in_its_own_process(job: str, scratch: Path, given: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale", f"--job={job}", f"--folder={scratch}", *given]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _shown(title: str, found: dict[str, dict[str, Any]]) -> None:
    table = Table("", "clock, s", "processor, s", title=title)
    for job, row in found.items():
        for step, (clock, processor) in row["steps"].items():
            table.add_row(f"{job}: {step}", f"{clock:,.1f}", f"{processor:,.1f}")
        clock, processor = np.sum(list(row["steps"].values()), axis=0)
        table.add_row(f"[bold]{job}[/bold], {row['told']}", f"[bold]{clock:,.1f}", f"[bold]{processor:,.1f}")
        table.add_row(f"{job}: highest memory {row['GiB']:.2f} GiB", "", "", end_section=True)
    Console(width=None if Console().is_terminal else 130).print(table)


class Steps:
    """Clock and processor of one step after the other."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[float, float]] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        clock, processor = time.perf_counter(), time.process_time()
        yield
        self.taken[name] = (time.perf_counter() - clock, time.process_time() - processor)

    def told(self, what: str, **more: Any) -> dict[str, Any]:
        return {"steps": self.taken, "told": what, "GiB": _highest_memory(), **more}


def _highest_memory() -> float:
    """GiB of this process alone; `ru_maxrss` would begin with what the parent held when it started us."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**20


def _draw(folder: Path, moments: int, columns: int, *_: int) -> dict[str, Any]:
    """Write the moments, date by date, so that drawing them needs little memory."""
    people = moments // 10  # a customer is asked about at some ten of the dates
    traits = np.random.default_rng(7).normal(size=(people, 3)).astype(np.float32)
    writer = None
    for n, date in enumerate(DATES):
        chance = np.random.default_rng(100 + n)
        asked = np.sort(chance.choice(people, moments // len(DATES), replace=False))
        block = _block(chance, asked, traits[asked], date, columns)
        writer = writer or pq.ParquetWriter(folder / "moments.parquet", block.schema)
        writer.write_table(block)
    if writer:
        writer.close()
    return {"rows": moments // len(DATES) * len(DATES)}


def _block(
    chance: np.random.Generator, asked: np.ndarray, traits: np.ndarray, date: datetime, columns: int
) -> pa.Table:
    """One date's moments: who, when, what came of it, and the columns."""
    rows = len(asked)
    busy, rich, keen = traits.T
    risk = 1 / (1 + np.exp(3.2 - 0.9 * keen - 0.4 * busy * (rich > 0) - 0.3 * chance.normal(size=rows)))
    came = chance.random(rows) < risk
    interval = np.where(came, chance.integers(0, 2, rows), 2)
    made: dict[str, Any] = {
        "customer_id": np.char.add("C", np.char.zfill(asked.astype(str), 8)),
        "as_of": np.full(rows, date, dtype="datetime64[us]"),
        "outcome": came.astype("int8"),
        "kind": came.astype("int8"),
        "interval": interval.astype("int8"),
    }
    for n in range(columns):
        trait, noise = traits[:, n % 3], chance.normal(size=rows)
        match n % 5:
            case 0:  # a count
                column = pa.array(chance.poisson(np.exp(0.4 * trait + 0.5)))
            case 1:  # days since, of those to whom it happened
                days = np.minimum(np.exp(4 - 0.5 * trait + noise), 2000).astype(np.int64)
                column = pa.array(days, mask=chance.random(rows) < 0.3)
            case 2:  # an amount, in cents
                column = pa.array(np.where(trait + noise > 0, np.exp(9 + noise), 0).astype(np.int64))
            case 3:  # a mean of few
                column = pa.array(0.3 * trait + noise, mask=chance.random(rows) < 0.5)
            case _:  # something rare
                column = pa.array((chance.random(rows) < 0.02 * np.exp(0.5 * trait)).astype(np.int64))
        made[f"column_{n}"] = column
    return pa.table(made)


def _parts(folder: Path) -> tuple[Parts, list[str]]:
    """The file as a frame, cut as a plan does: fifteen dates to learn from and calibrate on, by customer; three test."""
    table = pq.read_table(folder / "moments.parquet")
    names = [name for name in table.column_names if name.startswith("column_")]
    frame = table.to_pandas(split_blocks=True, self_destruct=True)
    del table
    part = PLANNED.parts(frame["customer_id"], frame["as_of"])
    fitted, calibrated, tested = (frame[part == name] for name in ("fit", "calibrate", "test"))
    return Parts(fitted, calibrated, tested, {}), names


def _model(folder: Path, *_: int) -> dict[str, Any]:
    step = Steps()
    with step("read and cut"):
        parts, names = _parts(folder)
    with step("fit and calibrate"):
        model = fit_both(parts.fit, parts.calibrate, names, TASK.answers)
    with step("score the test"):
        said = model.probabilities(numbers(parts.test, names))
    with step("figures with intervals"):
        report = compare(TASK.name, parts.test, {"model": said}, {})
    told = f"{len(parts.fit):,} moments to fit on, {len(parts.calibrate):,} to calibrate, {len(parts.test):,} tested"
    return step.told(told, auc=report.scorers["model"]["auc"].value, digest=model.digest)


def _study(folder: Path, _moments: int, _columns: int, trials: int, *_: int) -> dict[str, Any]:
    step = Steps()
    with step("read and cut"):
        parts, names = _parts(folder)
        cut = inner(TASK, parts.fit, DATES[:15])
    with step(f"{trials} trials"):
        found = search(TASK, cut, names, [], trials=trials, folder=folder / "studies", stagnant=0)
    with step("best, fitted on all"):
        best: Model = fit_both(parts.fit, parts.calibrate, names, TASK.answers,
                               parameters=found.best.parameters, rounds=found.best.rounds)  # fmt: skip
    told = f"{len(cut.learn):,} to learn, {len(cut.calibrate):,} to stop by, {len(cut.judge):,} to judge"
    return step.told(told, trials=found.trials.to_dict("records"), digest=best.digest)


def _world(folder: Path, *given: int) -> dict[str, Any]:
    loaded(folder, given[-1], seed=7)
    return {}


def _real(folder: Path, *_: int) -> dict[str, Any]:
    """Events to a dataset to a model: as a training run does, at so many monthly dates."""
    step, warehouse = Steps(), connect(str(folder / "warehouse"))
    task = task_named("churn", warehouse)
    planned = plan(task, warehouse)
    last = max(planned.test)
    every = sorted({last - timedelta(days=28 * n) for n in range(REAL_DATES)} | set(planned.dates))
    with step(f"features and outcomes at {len(every)} dates"):
        data: Dataset = dataset(task, warehouse, every)
    with step("cut"):
        parts = split(data, planned)
    with step("fit and calibrate"):
        model = fit_both(
            parts.fit, parts.calibrate, [n for n in data.names if n not in parts.levels], task.answers
        )
    told = f"{len(data.frame):,} moments x {len(data.names)} features, {len(parts.fit):,} to fit on"
    return step.told(told, digest=model.digest)


if __name__ == "__main__":
    app()
