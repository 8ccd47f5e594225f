"""The early warning: today's population beside the one the champion learned from, before any outcome is known.

    python -m training.monitor --task churn --as-of 2026-01-01

    exit 0    nothing that calls for a new model        exit 1    it could not be told, the error says why
    exit 3    training again is advised, and why        exit 2    wrongly called

A task of occasions (campaigns, lists of calls) is asked about those of the last 28 days. Only features and scores are looked
at: no outcome, so nothing has to be closed. The table, the numbers and the advice are kept as an MLflow run.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from features.cohorts import eligible
from features.command import run
from features.errors import BadData, BadModel
from features.feature_set import at, named
from features.matrix import matrix
from features.timeline import midnight, moment_named
from features.warehouse import Warehouse, connect
from training import registry
from training.artefact import Loaded
from training.drift import Drift, against
from training.expected import BLIND_SPOT
from training.resampling import Estimate
from training.task import Task
from training.tasks import task_named

__all__ = ["RETRAIN", "Watched", "asked_at", "log", "watch"]

RETRAIN = 3
OCCASION_DAYS = 28
SHOWN = 15
WIDTH = 130


@dataclass(frozen=True)
class Watched:
    """What the monitor found for a champion at a date; printed, it is the table one would show."""

    task: str
    version: str
    as_of: datetime
    drift: Drift
    tested_auc: Estimate

    @property
    def advice(self) -> list[str]:
        """Why to train again, with evidence; nothing when there is no reason."""
        return self.drift.advice

    @property
    def verdict(self) -> str:
        """What is advised, in one line."""
        return "retrain: " + "; ".join(self.advice) if self.advice else "steady: no reason to train again"

    def figures(self) -> dict[str, float]:
        """What is kept with the run, by name."""
        return self.drift.figures() | {"retrain": float(bool(self.advice))}

    def __rich__(self) -> Table:
        drift = self.drift
        title = f"{self.task} version {self.version} as of {self.as_of:%Y-%m-%d}: {drift.rows:,} asked about"
        table = Table("", title=title, title_justify="left", caption=self._below(), caption_justify="left")
        for name in ("PSI", "when tested", "by chance", "no value", "when learned", "weight", "state"):
            table.add_column(name, justify="right")
        worst = sorted(drift.features, key=lambda line: (line.state == "steady", -line.weight * line.psi))
        for line in [drift.scores, *worst[:SHOWN]]:
            cells = (f"{line.psi:.2f}", f"{line.tested:.2f}", f"{line.chance:.2f}", f"{line.now.missing:.0%}",
                     f"{line.then.missing:.0%}", f"{line.weight:.1%}", line.state)  # fmt: skip
            table.add_row(line.name, *cells, style="yellow" if line.shifted or line.silent else "")
        return table

    def _below(self) -> str:
        drift, e = self.drift, self.drift.expected
        then = Estimate(*drift.learned.expected_auc)
        count = sum(line.shifted for line in drift.features)
        return (
            f"{count} of {len(drift.features)} columns shifted; {drift.per_date:,.0f} customers a date, "
            f"{drift.learned.per_date:,.0f} when tested\n"
            f"expected ROC AUC {e['auc']}; on the test {then} was expected, {self.tested_auc} measured\n"
            f"expected Brier {e['brier']}, log loss {e['log_loss']}, with the outcome {e['outcome_share']}\n"
            f"({BLIND_SPOT})\n{self.verdict}"
        )

    def __str__(self) -> str:
        page = io.StringIO()
        Console(width=WIDTH, file=page).print(self, highlight=False)
        return page.getvalue()


def asked_at(task: Task, warehouse: Warehouse, as_of: datetime) -> list[datetime]:
    """The dates whose cohorts are today's population. Raises `BadData` where a task had no occasion of late."""
    if task.occasions is None:
        return [as_of]
    lately = {midnight(as_of.date()) - timedelta(days=ago) for ago in range(OCCASION_DAYS)}
    dates = [day for day in task.occasions.days(warehouse) if day in lately]
    if not dates:
        raise BadData(
            f"{task.name} had no occasion in the {OCCASION_DAYS} days before {as_of:%Y-%m-%d}: nobody was asked about"
        )
    return dates


def watch(
    task: Task, warehouse: Warehouse, loaded: Loaded, version: str, dates: Sequence[datetime]
) -> Watched:
    """Compare those in the task's cohort at the dates with what a model learned from.

    Raises `BadModel` when its features are defined otherwise today or it keeps no baseline, `BadData` when nobody is asked about.
    """
    rows = _population(task, warehouse, loaded, dates)
    names = list(loaded.card.features)
    read = matrix(pa.Table.from_pandas(rows[names], preserve_index=False), names, loaded.card.levels)
    promised = loaded.model.probabilities(read)
    if loaded.baseline is None:
        raise BadModel(f"{task.name} version {version} keeps no baseline to compare with: train it again")
    drift = against(loaded.baseline, rows, promised, len(rows) / len(dates))
    tested = Estimate(*loaded.card.figures["model"]["auc"])
    return Watched(task.name, version, max(dates), drift, tested)


def _population(task: Task, warehouse: Warehouse, loaded: Loaded, dates: Sequence[datetime]) -> pd.DataFrame:
    chosen = named(loaded.card.features)
    moved = [f.name for f in chosen if f.fingerprint != loaded.card.features[f.name]]
    if moved:
        raise BadModel(
            f"{task.name}: {', '.join(moved[:5])} defined otherwise today; train and promote again"
        )
    moments = eligible(task.asked(warehouse, dates)).cache()
    rows: pd.DataFrame = warehouse.engine.to_pyarrow(at(moments, warehouse, chosen)).to_pandas()
    if rows.empty:
        raise BadData(
            f"nobody is in the cohort {task.cohort.name!r} at {max(dates):%Y-%m-%d}: choose another date"
        )
    return rows


def log(watched: Watched) -> str:
    """Keep it as an MLflow run; returns the run's id."""
    with registry.tracked(f"monitor {watched.task}") as active:
        mlflow.set_tags({"task": watched.task, "version": watched.version, "watched_at": f"{watched.as_of:%Y-%m-%d}",
                         "retrain": "yes" if watched.advice else "no"})  # fmt: skip
        mlflow.log_metrics({name: value for name, value in watched.figures().items() if np.isfinite(value)})
        mlflow.log_text(str(watched), "drift.txt")
        mlflow.log_dict({"advice": watched.advice, "figures": watched.figures()}, "drift.json")
    return str(active.info.run_id)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    task: Annotated[str, typer.Option(help="name of the task whose champion to watch")],
    as_of: Annotated[str, typer.Option(help="the moment to look at, or latest")] = "latest",
) -> None:
    """Compare today's population with the one the champion learned from; ends with 3 when training again is advised."""
    warehouse = connect()
    chosen = task_named(task, warehouse)
    champion = registry.champion(task)
    dates = asked_at(chosen, warehouse, moment_named(as_of, warehouse.latest_moment))
    watched = watch(chosen, warehouse, champion.loaded, champion.version, dates)
    Console(width=None if Console().is_terminal else WIDTH).print(watched, highlight=False)
    print(f"run     {log(watched)}")
    if watched.advice:
        raise typer.Exit(RETRAIN)


if __name__ == "__main__":
    run(app)
