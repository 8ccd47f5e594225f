"""Examine a model: the report of a training run, and that of a registered model on what has happened since.

    python -m training.evaluate --task churn [--version 7 | --alias champion]

A registered model is asked about the moments whose windows have closed since its test, everyone in the cohort; where none
has, about the test's own moments and customers again, and the page says so. No moment is taken whose past reaches into
what it learned from. The report is an MLflow run of its own, with the metric names that training runs have.
"""

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import typer

from features.command import run
from features.errors import BadModel
from features.feature import Feature
from features.feature_set import named
from features.home import data_folder
from features.matrix import Levels, matrix
from features.warehouse import Warehouse, connect
from training import registry
from training.artefact import Loaded
from training.card import Card
from training.comparison import compare, grouped, outlook
from training.dataset import Dataset, dataset, outcomes_by_horizon
from training.examples import examples_of
from training.findings import Figures, Report
from training.model import Model
from training.plan import STEP_DAYS
from training.preflight import up_to
from training.promote import moments_tested, moved
from training.report import Seen, in_words, published
from training.revision import revision
from training.task import Task
from training.tasks import task_named

__all__ = ["Evaluated", "asked_at_a_date", "evaluate", "examined", "log_report", "seen"]

MOST_DATES = 12
ROWS_EXPLAINED = 5000


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation left: the report, which moments they were in words, the run and the page."""

    report: Report
    test: str
    run_id: str
    page: Path


def evaluate(task: Task, warehouse: Warehouse, loaded: Loaded, version: str, held_out: Iterable[str] | None = None) -> Evaluated:  # fmt: skip
    """Examine a registered model on later closed moments and log the report as a run.

    `held_out` names the customers of its test where they were listed. Raises `BadModel` when a feature is defined
    otherwise today, and `NotPromoted` when the list is missing.
    """
    card, model = loaded.card, loaded.model
    if away := moved(card):
        raise BadModel(f"{task.name} version {version} was trained on other definitions of {', '.join(away[:5])}: train it again")  # fmt: skip
    dates = later_dates(task, warehouse, card)
    data = dataset(task, warehouse, dates or card.test_at)
    rows = data.frame if dates else moments_tested(task, warehouse, card, held_out)
    test = f"Version {version}, on moments since its test; everyone in the cohort is asked about."
    if not dates:
        test = f"Version {version}, on the moments of its test again: no window has closed since."
    names = list(card.features)
    asked = pa.Table.from_pandas(rows[names], preserve_index=False)
    values = matrix(asked, names, card.levels)
    outlooks = {"model": model.outlook(values)}
    probabilities = {"model": model.propensities(outlooks["model"])}
    ranks = {rule.name: rule.score(rows) for rule in task.rules}
    report = examined(task, rows, probabilities, ranks, outlooks, asked_at_a_date(data))
    shown = seen(model, named(names), card.levels, values, rows, probabilities["model"], data.excluded, test)
    with tempfile.TemporaryDirectory() as scratch, registry.tracked(f"evaluate {task.name}") as active:
        files = published(Path(scratch), task, card, report, shown)
        mlflow.set_tags(
            {"task": task.name, "job": "evaluate", "evaluated_version": version, "model_digest": model.digest}
        )
        mlflow.set_tags({"code_revision": revision(), "data_digest": data.digest})
        moments = ", ".join(f"{date:%Y-%m-%d}" for date in sorted(rows["as_of"].unique()))
        mlflow.log_params({"task": task.name, "test_moments": moments})
        log_report(report, files)
        page = data_folder() / "report" / f"{task.name}-version-{version}-evaluated.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files[0], page)
    return Evaluated(report, test, active.info.run_id, page)


def later_dates(task: Task, warehouse: Warehouse, card: Card) -> list[datetime]:
    """The closed moments after a card's test, as far apart as in training, none in what the model learned from."""
    last = task.latest_closed(warehouse)
    earliest = max(card.trained_through, max(card.test_at) + timedelta(days=1))
    if task.occasions is not None:
        dates = sorted(task.occasions.days(warehouse))
    else:
        dates = [last - timedelta(days=STEP_DAYS * step) for step in range(MOST_DATES)][::-1]
    return [date for date in dates if earliest <= date <= last][-MOST_DATES:]


def examined(
    task: Task,
    rows: pd.DataFrame,
    probabilities: Mapping[str, np.ndarray],
    ranks: Mapping[str, np.ndarray],
    outlooks: Mapping[str, np.ndarray],
    asked: int,
) -> Report:
    """The report on tested moments (features with categories as text), in words, by outcome, horizon, segment and month.
    `asked` is how many may be asked about at a date, `outlooks` are (rows x horizons x kinds) by scorer."""
    report = compare(task.name, rows, probabilities, ranks, campaign=task.campaign(asked))
    came = outcomes_by_horizon(task, rows)
    cells = outlook(rows, task.kinds, task.horizons_days, came, outlooks)
    report = grouped(replace(report, cells=cells), rows, probabilities["model"], ranks)
    return replace(report, words=in_words(task, report))


def asked_at_a_date(data: Dataset, dates: Sequence[datetime] | None = None) -> int:
    """How many customers may be asked about at a date of the test, on average."""
    moments = data.frame["as_of"]
    chosen = moments[moments.isin(dates)] if dates is not None else moments
    return round(len(chosen) / chosen.nunique())


def seen(
    model: Model,
    features: Sequence[Feature],
    levels: Levels,
    values: np.ndarray,
    tested: pd.DataFrame,
    probability: np.ndarray,
    excluded: pd.DataFrame,
    test: str,
) -> Seen:
    """What the page shows of a model besides figures; `values` are the tested rows as it reads them."""
    weight = np.abs(model.contributions(values[:ROWS_EXPLAINED])[:, :-1]).mean(axis=0)
    by_concept = pd.Series(weight).groupby([feature.concept for feature in features]).sum()
    concepts = dict((by_concept / by_concept.sum()).sort_values(ascending=False))
    examples = examples_of(model, features, levels, values, tested, probability)
    return Seen(tested, probability, concepts, examples, excluded, test)


def log_report(report: Report, files: Sequence[Path]) -> None:
    """Metrics and files of a report to the active run."""
    figures = _flat("", report.scorers) | {"rows_test": report.rows, "outcomes_test": report.outcomes}
    for cell in report.cells:
        figures |= _flat(f"{cell.outcome}.{cell.horizon_days}d.", cell.scorers)
    if report.gains is not None:
        figures |= _flat("", {"model": {"best_list_share": report.gains.best}})
    figures |= _flat("", {"model": {f"times.{name}": e for name, e in (report.multiples or {}).items()}})
    for group in (*report.segments, *report.months):
        for metric in ("auc", "ece"):
            if group.scorers:
                name = f"model.{metric}.segment.{group.segment}.{_plain(group.value)}"
                figures[name] = group.scorers["model"][metric].value
    mlflow.log_metrics({name: figure for name, figure in figures.items() if np.isfinite(figure)})
    for file in files:
        mlflow.log_artifact(str(file), "report")


def _flat(prefix: str, scorers: Mapping[str, Figures]) -> dict[str, float]:
    """`scorer.metric` with `.low` and `.high`: the names metrics have in every run."""
    figures: dict[str, float] = {}
    for scorer, row in scorers.items():
        for metric, e in row.items():
            name = f"{prefix}{scorer}.{metric}"
            figures |= {name: e.value, f"{name}.low": e.low, f"{name}.high": e.high}
    return figures


def _plain(value: str) -> str:
    """A group's name as a metric's may be: letters, digits and a few signs."""
    return "".join(sign if sign.isalnum() or sign in "-. " else "_" for sign in value)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    task: Annotated[str, typer.Option(help="name of the task")],
    version: Annotated[
        str, typer.Option(help="the registered version, or latest; default: the alias's")
    ] = "",
    alias: Annotated[str, typer.Option(help="an alias of the registry")] = registry.CHAMPION,
    held_out: Annotated[
        Path | None, typer.Option(help="the customer ids it was tested on, if listed")
    ] = None,
) -> None:
    """Examine a registered model again on the moments that have closed since its test."""
    warehouse = connect()
    chosen = task_named(task, warehouse)
    number = registry.version_of(task) if version == "latest" else version or registry.aliased(task, alias)
    loaded = registry.fetched(task, number)
    ids = held_out.read_text().split() if held_out else None
    made = evaluate(up_to(chosen, loaded.card.horizon_days), warehouse, loaded, number, ids)
    print(f"{made.test}\n{made.report}\nrun     {made.run_id}\nreport  {made.page}")


if __name__ == "__main__":
    run(app)
