"""Settling forecasts: once a run's windows are closed, what it predicted beside what happened.

    python -m serving.settle

    exit 0    nothing that calls for a new model        exit 1    it could not be told, the error says why
    exit 3    training again is advised, and why        exit 2    wrongly called

Every run that is kept is settled once, task by task, as soon as the sources that decide are complete to the end of the longest window;
the ledger `var/scores/SETTLED.jsonl` keeps a line per task, segment, grade, outcome and horizon. It knows who was contacted in the window:
a contact may bring an outcome about, or prevent it, and then a forecast is not wrong but overtaken.

It stands on the tasks' own outcomes, which are training's; the service never loads it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import ibis
import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import typer
from rich.console import Console
from rich.table import Table

from features.command import run
from features.durable import put
from features.errors import OpenWindow, UnknownName
from features.home import data_folder, scores_folder
from features.warehouse import Warehouse, connect
from serving.ledger import ALL, LEDGER, Settled, ledger
from serving.runs import Run, runs
from serving.runs.manifest import Manifest
from serving.settled_page import by_month, page, picture
from training.dataset import happened, outcomes_of
from training.task import Task
from training.tasks import task_named

__all__ = ["RETRAIN", "Verdict", "coverage", "settle", "settle_all", "verdicts"]

RETRAIN = 3
FEWEST_LISTS = 3
OFF = 1.25  # a sum this many times too large or too small, in the latest runs, calls for a new model


@dataclass(frozen=True)
class Verdict:
    """A task's settled runs in one line: how many of its lists held what was promised, and how sums stand; `advice` says why to train again."""

    task: str
    lists: int
    inside: float
    expected: float
    happened: int
    latest_ratio: float

    @property
    def advice(self) -> str:
        """Why to train again; empty where the latest lists hold, or are too few to say."""
        if not 1 / OFF <= self.latest_ratio <= OFF and self.lists >= FEWEST_LISTS:
            return f"{self.task}: lately {self.latest_ratio:.2f} times as many outcomes as were expected"
        return ""


def settle_all(warehouse: Warehouse, scores: Path) -> list[Settled]:
    """Settle what is closed and not settled yet; returns the whole ledger, which grows in one step or not at all."""
    known = ledger(scores)
    done = {(line.run, line.task) for line in known}
    new: list[Settled] = []
    for folder in runs(scores):
        manifest = Manifest.read(folder)
        for name in manifest.tasks:
            if (manifest.run, name) not in done and (task := _closed(name, warehouse, manifest.as_of)):
                new += settle(Run.open(folder), task, warehouse)
    if new:
        put(scores / LEDGER, b"".join(msgspec.json.encode(line) + b"\n" for line in [*known, *new]))
    return [*known, *new]


def _closed(name: str, warehouse: Warehouse, as_of: datetime) -> Task | None:
    """The task, when its outcomes of that moment are all known."""
    try:
        task = task_named(name, warehouse)
        task.require_closed([as_of], warehouse)
    except (OpenWindow, UnknownName):
        return None
    return task


def settle(scored: Run, task: Task, warehouse: Warehouse) -> list[Settled]:
    """One task of one run against what happened. The outcomes are the task's own, of just those who were scored."""
    frame = _frame(scored, task, warehouse)
    told = pa.concat_tables(scored.rows("forecast")).to_pylist()
    contacts = "contacted_during" in frame
    found = []
    for line in (line for line in told if line["task"] == task.name):
        of_list = frame
        if line["segment"] != ALL:
            of_list = of_list[of_list[line["segment"]] == line["value"]]
        if line["grade"] != ALL:
            of_list = of_list[of_list["grade"] == line["grade"]]
        cell = f"{line['outcome']} {line['horizon_days']}"
        happened, expected = of_list[f"happened {cell}"], of_list[f"expected {cell}"]
        reached = of_list["contacted_during"] if contacts else None
        found.append(
            Settled(
                **line,
                run=scored.name,
                as_of=scored.manifest.as_of,
                model_version=scored.manifest.tasks[task.name].model_version,
                happened=int(happened.sum()),
                contacted=-1 if reached is None else int(reached.sum()),
                expected_contacted=-1.0 if reached is None else float(expected[reached].sum()),
                happened_contacted=-1 if reached is None else int(happened[reached].sum()),
            )
        )
    return found


def _frame(scored: Run, task: Task, warehouse: Warehouse) -> pd.DataFrame:
    """Everybody scored for the task: grade, segments, what was expected and what happened by outcome and horizon."""
    columns = ["customer_id", "task", "grade", "outlook"]
    long = pa.concat_tables(scored.rows("long", columns))
    long = long.filter(pc.equal(long["task"], task.name))
    chances = pc.list_flatten(long["outlook"]).combine_chunks().field("probability").to_numpy()
    frame = pd.DataFrame({"customer_id": long["customer_id"].to_pylist(), "grade": long["grade"].to_pylist()})
    cells = [(kind, days) for kind in task.kinds for days in task.horizons_days]
    for place, (kind, days) in enumerate(cells):
        frame[f"expected {kind} {days}"] = chances.reshape(len(long), len(cells))[:, place]
    frame["as_of"] = pd.Timestamp(scored.manifest.as_of)
    moments = ibis.memtable(
        frame[["customer_id", "as_of"]], schema={"customer_id": "string", "as_of": "timestamp(6)"}
    )
    came = warehouse.engine.to_pyarrow(outcomes_of(task, warehouse, moments)).to_pandas()
    frame = frame.merge(came.drop(columns="as_of"), on="customer_id", how="left", validate="one_to_one")
    for m, kind in enumerate(task.kinds):
        for k, days in enumerate(task.horizons_days):
            by_then = happened(task, frame, [m], k)
            frame[f"happened {kind} {days}"] = by_then
    segments = pa.concat_tables(scored.rows("segments")).to_pandas()
    return frame.merge(segments, on="customer_id", how="left", validate="one_to_one")


def coverage(lines: Iterable[Settled]) -> float:
    """The share of lists that held what was promised; nan without any."""
    inside = [line.inside for line in lines]
    return sum(inside) / len(inside) if inside else math.nan


def verdicts(lines: Sequence[Settled]) -> list[Verdict]:
    """Per task, over whole lists (everybody and each grade, the longest horizon of each outcome)."""
    found = []
    for task in sorted({line.task for line in lines}):
        mine = [line for line in lines if line.task == task and line.segment == ALL]
        whole = [line for line in mine if line.grade == ALL]
        newest = max(line.as_of for line in whole)
        lately = [line for line in whole if line.as_of == newest]
        expected, happened = sum(line.expected for line in whole), sum(line.happened for line in whole)
        ratio = sum(line.happened for line in lately) / max(sum(line.expected for line in lately), 1e-12)
        graded = [line for line in mine if line.grade != ALL]
        found.append(Verdict(task, len(graded), coverage(graded), expected, happened, ratio))
    return found


def _table(lines: Sequence[Settled]) -> Table:
    """Calibration by month of the run; beside it those who were contacted."""
    columns = (
        "task",
        "month",
        "outcome",
        "days",
        "customers",
        "expected",
        "90 %",
        "happened",
        "of those contacted",
    )
    table = Table(*columns, box=None)
    for line in by_month(lines):
        contacted = f"{line.expected_contacted:,.0f} expected, {line.happened_contacted:,}" if line.contacted >= 0 else "-"  # fmt: skip
        cells = (line.outcome, f"{line.horizon_days}", f"{line.customers:,}", f"{line.expected:,.0f}",
                 f"{line.low:,.0f}-{line.high:,.0f}", f"{line.happened:,}", contacted)  # fmt: skip
        table.add_row(line.task, f"{line.as_of:%Y-%m}", *cells, style="" if line.inside else "yellow")
    return table


app = typer.Typer(add_completion=False)


@app.command()
def main(
    plot: Annotated[str, typer.Option(help="file for the picture (SVG); default: beside the ledger")] = "",
) -> None:
    """Settle every run whose windows are closed; ends with 3 when training again is advised."""
    scores = scores_folder()
    lines = settle_all(connect(), scores)
    if not lines:
        print("no run has a closed window yet: nothing to settle")
        return
    Console(width=None if Console().is_terminal else 130).print(_table(lines))
    found = verdicts(lines)
    for told in found:
        print(f"{told.task}: {told.inside:.0%} of {told.lists} lists within their 90 % interval; {told.happened:,} happened of {told.expected:,.0f} expected")  # fmt: skip
    place = Path(plot) if plot else scores / "SETTLED.svg"
    put(place, picture(lines))
    report = data_folder() / "report" / "settled.html"
    report.parent.mkdir(parents=True, exist_ok=True)
    put(report, page(lines, found))
    print(f"picture {place}, page {report}")
    if advice := [told.advice for told in found if told.advice]:
        print("retrain: " + "; ".join(advice))
        raise typer.Exit(RETRAIN)


if __name__ == "__main__":
    run(app)
