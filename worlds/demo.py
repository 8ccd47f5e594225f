"""The demo: a world's events in, models, scores and a report out; what `make demo` runs.

    python -m worlds.demo [--world cdnow]

Everything lands under `var/<world>`; `var/current` then points there and `var/summary.json` holds the figures.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from features.command import run
from features.errors import UnknownName
from features.home import data_folder, scores_folder, tracking_uri
from features.load import LoadReport
from features.warehouse import Warehouse, connect
from serving.batch import batch
from serving.runs import Run
from training import registry
from training.plan import Plan, plan
from training.task import Task
from training.tasks import task_named
from training.train import Trained, train
from worlds import bank, cdnow, invented, journey, motor

__all__ = ["WORLDS", "Study", "World", "demo", "planned_for"]


@dataclass(frozen=True)
class Study:
    """A task and the test it is judged by: a date with everyone in it, customers set aside, or a plan with dates of
    its own; by default the latest closed dates, and customers the fit has not seen."""

    task: str
    test_at: datetime | None = None
    held_out: frozenset[str] | None = None
    planned: Plan | None = None


@dataclass(frozen=True)
class World:
    """Where events come from and what is asked of them; `score_at` is the moment the batch scores; `absent` says
    why the world cannot be tried here, or nothing; `truth` gives, where the world is invented, the true probabilities
    of a task (moments x horizons x kinds), and `latest` the last date at or before one for which it is exact."""

    name: str
    sentence: str
    convert: Any
    studies: Any
    score_at: datetime
    absent: Callable[[], str] = lambda: ""
    truth: Callable[[Task, pd.DataFrame], np.ndarray] | None = None
    latest: Callable[[datetime], datetime] = lambda moment: moment


WORLDS: Mapping[str, World] = {
    "carmaker": World(
        "carmaker",
        f"an INVENTED carmaker's {invented.CUSTOMERS:,} customers, 2022 to 2026; no row describes a real person",
        invented.convert,
        lambda: [Study("purchase_intent"), Study("churn"), Study("repurchase"), Study("upgrade")],
        invented.END,
        truth=invented.true_probabilities,
        latest=invented.latest_week,
    ),
    "cdnow": World(
        "cdnow",
        "real orders of 23,570 customers of a music shop, 1997 to 1998",
        cdnow.convert,
        lambda: [
            Study("churn", held_out=cdnow.published_sample()),
            Study("purchase_intent", test_at=datetime(1998, 1, 1)),
        ],
        cdnow.END,
    ),
    "journey": World(
        "journey",
        "real baskets, campaigns and coupons of 2,469 households, 2017",
        journey.convert,
        lambda: [Study("redemption", planned=journey.after_campaigns())],
        journey.LAST_CAMPAIGN_SENT,
    ),
    "motor": World(
        "motor",
        "real renewals and lapses of 31,843 vehicle contracts, 2015 to 2017",
        motor.convert,
        lambda: [Study("lapse", planned=motor.last_closed_quarter())],
        motor.END,
        motor.absent,
    ),
    "bank": World(
        "bank",
        "real calls to 45,211 customers of a bank, 2008 to 2010, under a market that turns over",
        bank.convert,
        lambda: [Study("response", planned=bank.in_date_order())],
        datetime(2009, 7, 1),
    ),
}


def demo(world: World, console: Console) -> dict[str, Any]:
    """Convert, train each task, score everyone; returns the summary that is also written to `var/summary.json`."""
    began = time.monotonic()
    _point_at(world.name)
    console.print(f"[bold]{world.name}[/bold]: {world.sentence}")
    report: LoadReport = world.convert(data_folder() / "warehouse")
    console.print(str(report), highlight=False)
    warehouse = connect(str(data_folder() / "warehouse"))
    trained = []
    for study in world.studies():
        task = task_named(study.task, warehouse)
        console.print(f"training {task.name}: {task.question}", highlight=False)
        trained.append(_study(world, study, task, warehouse))
    scored = batch(warehouse, world.score_at)
    summary = {
        "world": world.name,
        "seconds": round(time.monotonic() - began, 1),
        "tasks": {t.card.task: _figures(t) for t in trained},
    }
    Path("var/summary.json").write_text(json.dumps(summary, indent=1))
    console.print(_table(trained))
    console.print(_by_outcome_and_horizon(trained))
    _say_what_is_where(console, trained, scored)
    return summary


def planned_for(world: World, study: Study, task: Task, warehouse: Warehouse) -> Plan:
    """The dates and customers that a study learns from and is tested on."""
    return study.planned or plan(
        task,
        warehouse,
        test_at=study.test_at,
        until=world.latest(task.latest_closed(warehouse)),
        held_out=study.held_out,
        everyone=study.test_at is not None,
    )


def _study(world: World, study: Study, task: Task, warehouse: Warehouse) -> Trained:
    planned = planned_for(world, study, task, warehouse)
    return train(task, warehouse, planned, oracle=partial(world.truth, task) if world.truth else None)


def _point_at(name: str) -> None:
    """Make `var/<name>` the current data folder; addresses set in the environment keep precedence."""
    Path("var", name).mkdir(parents=True, exist_ok=True)
    beside = Path("var", f".current-{os.getpid()}")
    beside.symlink_to(name)
    beside.replace("var/current")


def _figures(trained: Trained) -> dict[str, Any]:
    report = trained.report
    figures: dict[str, Any] = {"outcomes": report.outcomes, "rows_test": report.rows}
    figures |= {"model": report.values("model"), "linear": report.values("linear")}
    if "oracle" in report.scorers:
        figures["oracle"] = report.values("oracle")
    figures["rules"] = {rule: report.values(rule) for rule in trained.card.rules}
    scorers = {name: {m: [e.low, e.high] for m, e in row.items()} for name, row in report.scorers.items()}
    figures["outlook"] = [msgspec.to_builtins(judged) for judged in trained.card.outlook]
    return {**figures, "intervals_95": scorers, "version": trained.version, "promoted": trained.promoted}


def _table(trained: list[Trained]) -> Table:
    titles = {
        "auc": "ROC AUC",
        "average_precision": "avg. precision",
        "brier": "Brier",
        "lift_10": "lift, top tenth",
    }
    table = Table(
        "task",
        "scorer",
        *titles.values(),
        title="On customers or dates the models have not seen, with 95 % intervals",
    )
    for one in trained:
        for name, row in one.report.scorers.items():
            cells = [str(row[metric]) if metric in row else "-" for metric in titles]
            style = "bold" if name == "model" else ""
            table.add_row(one.card.task if name == "model" else "", name, *cells, style=style)
        table.add_section()
    return table


def _by_outcome_and_horizon(trained: list[Trained]) -> Table:
    """What each task's one model promises for every outcome and horizon, and what came."""
    columns = ("task", "outcome", "days", "promised", "happened", "ROC AUC", "oracle")
    table = Table(
        *columns, title="Every outcome by every horizon, from one model per task", title_justify="left"
    )
    for one in trained:
        for judged in one.card.outlook:
            aucs = (
                "{:.3f} ({:.3f}-{:.3f})".format(*judged.figures[name]["auc"])
                if name in judged.figures
                else "-"
                for name in ("model", "oracle")
            )
            counts = (f"{judged.horizon_days}", f"{judged.promised:,.0f}", f"{judged.happened:,}")
            table.add_row(one.card.task, judged.outcome, *counts, *aucs)
        table.add_section()
    return table


def _say_what_is_where(
    console: Console,
    trained: list[Trained],
    scored: Run,
) -> None:
    lines = [
        f"scored    {name}: {facts.scored:,} scored, "
        + ", ".join(f"{n:,} {what}" for what, n in facts.excluded.items())
        for name, facts in scored.manifest.tasks.items()
    ]
    lines += [f"report    {one.page}" for one in trained]
    lines += [
        f"scores    {scored.folder} (current run: {scores_folder()}/CURRENT)",
        f"models    {tracking_uri()}, served as "
        + ", ".join(f"{t.card.task}@champion" for t in trained if t.promoted),
        "figures   var/summary.json",
        "",
        "next      make serve",
        "          curl -s localhost:3000/v1/tasks",
        f"          curl -s localhost:3000/v1/scores -H 'content-type: application/json' -d '{_example(scored)}'",
        f"          .venv/bin/mlflow ui --backend-store-uri {tracking_uri()}",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)


def _example(scored: Run) -> str:
    customer = next(scored.rows("long", ["customer_id"]))["customer_id"][0].as_py()
    return json.dumps({"customer_ids": [customer, "nobody"]})


app = typer.Typer(add_completion=False)


@app.command()
def main(
    world: Annotated[str, typer.Option(help="which world to try: " + ", ".join(WORLDS))] = "carmaker",
) -> None:
    """Run the whole product on a world: load, train, score, report."""
    if world not in WORLDS:
        raise UnknownName("world", world, WORLDS)
    if reason := WORLDS[world].absent():
        print(f"skipped: {reason}")
        return
    with registry.of_project():
        demo(WORLDS[world], Console(width=None if Console().is_terminal else 130))


if __name__ == "__main__":
    run(app)
