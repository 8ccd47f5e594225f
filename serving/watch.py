"""The early warning over runs: what a published run scored, beside what its models learned from and beside the run before.

    python -m serving.watch [--run RUN] [--since RUN]

    exit 0    nothing that calls for a new model        exit 1    it could not be told, the error says why
    exit 3    training again is advised, and why        exit 2    wrongly called

No outcome is looked at, so nothing has to be closed. What is compared, how, and what calls for training again is `training.drift`'s; this
brings the run's own rows and scores to it, task by task, and those of the run before. It stands on training's monitor; the service and the
batch never load it.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import typer
from rich.console import Console
from rich.table import Table

from features.command import run
from features.errors import BadRun
from features.home import scores_folder
from features.nightly import NightlyRows, rows_folder
from serving.runs import Run, named, runs
from training import registry
from training.artefact import Loaded
from training.drift import MOST_ROWS, Drift, against
from training.monitor import RETRAIN, WIDTH, Watched, log
from training.resampling import Estimate

__all__ = ["Night", "night_of", "since_the_run_before", "watched"]

SHOWN = 8
SEED = 7


@dataclass(frozen=True)
class Night:
    """What a run scored for a task: `customers` and their `probabilities`, in one order; and the feature rows (a frame with `customer_id`,
    categories as text) of all of them, or of `MOST_ROWS` drawn from more."""

    customers: pd.Series
    probabilities: np.ndarray
    rows: pd.DataFrame


def night_of(scored: Run, task: str, loaded: Loaded) -> Night | None:
    """Raises `BadRun` when the run does not hold the task. None when its feature rows are gone: two nights are kept. The rows are read a
    piece at a time, so that memory holds no more for more customers."""
    if task not in scored.manifest.tasks:
        raise BadRun(f"{scored.name} holds no scores for {task}; it holds {', '.join(scored.manifest.tasks)}")
    file = rows_folder() / scored.manifest.rows
    if not file.is_file():
        return None
    told = pa.concat_tables(
        part.filter(pc.equal(part["task"], task)).drop_columns("task")
        for part in scored.rows("long", ["customer_id", "task", "probability"])
    )
    ids = told["customer_id"].combine_chunks()
    drawn = np.sort(np.random.default_rng(SEED).choice(len(ids), min(len(ids), MOST_ROWS), replace=False))
    wanted, names = ids.take(pa.array(drawn)), ["customer_id", *loaded.card.features]
    night = NightlyRows.open(file)
    parts = []
    for number in range(len(night.batches)):
        piece = night.read(number).select(names)
        parts.append(piece.filter(pc.is_in(piece["customer_id"], wanted)))
    return Night(ids.to_pandas(), told["probability"].to_numpy(), pa.concat_tables(parts).to_pandas())


def watched(scored: Run, task: str, loaded: Loaded, version: str, night: Night) -> Watched:
    """What the run scored beside what the model learned from. Raises `BadRun` for a model that keeps no baseline."""
    if loaded.baseline is None:
        raise BadRun(f"{task} version {version} keeps no baseline to compare with: train it again")
    drift = against(loaded.baseline, night.rows, night.probabilities, len(night.customers), night.customers)
    return Watched(
        task, version, scored.manifest.as_of, drift, Estimate(*loaded.card.figures["model"]["auc"])
    )


def since_the_run_before(now: Drift, before: Drift) -> Table:
    """What moved from one run to the next, those that moved most first."""
    title = f"since the run before: {now.rows:,} scored, {before.rows:,} then"
    table = Table("", "PSI", "by chance", "no value", "then", title=title, title_justify="left")
    scores, *columns = now.since(before)
    for line in (scores, *sorted(columns, key=lambda line: -line.psi)[:SHOWN]):
        cells = (
            f"{line.psi:.2f}",
            f"{line.chance:.2f}",
            f"{line.now.missing:.0%}",
            f"{line.then.missing:.0%}",
        )
        table.add_row(line.name, *cells, style="yellow" if line.shifted else "")
    return table


app = typer.Typer(add_completion=False)


@app.command()
def main(
    name: Annotated[str, typer.Option("--run", help="a run; default: the current one")] = "",
    since: Annotated[str, typer.Option(help="the run to compare with; default: the one before")] = "",
) -> None:
    """Compare what a run scored with what its models learned from and with the run before; ends with 3 when training again is advised."""
    scores = scores_folder()
    now = Run.open(named(scores, name))
    older = [folder for folder in runs(scores) if folder.name < now.name]
    before = Run.open(named(scores, since)) if since else Run.open(older[-1]) if older else None
    console, advised = Console(width=None if Console().is_terminal else WIDTH), []
    for task, facts in now.manifest.tasks.items():
        loaded = registry.fetched(task, facts.model_version)
        night = night_of(now, task, loaded)
        if night is None:
            raise BadRun(
                f"the feature rows of {now.name} are gone: watch a run before two newer nights are made"
            )
        if not len(night.customers):
            print(f"{task}: nobody was scored")
            continue
        found = watched(now, task, loaded, facts.model_version, night)
        console.print(found, highlight=False)
        earlier = night_of(before, task, loaded) if before and task in before.manifest.tasks else None
        if before and earlier and len(earlier.customers):
            told = watched(before, task, loaded, facts.model_version, earlier).drift
            console.print(since_the_run_before(found.drift, told), highlight=False)
            if sudden := found.drift.sudden(told):
                print(f"{task}: look at the delivery: " + "; ".join(sudden))
        print(f"run     {log(found)}\n")
        advised += [f"{task}: {found.verdict}"] if found.advice else []
    for line in advised:
        print(line)
    if advised:
        raise typer.Exit(RETRAIN)


if __name__ == "__main__":
    run(app)
