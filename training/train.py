"""The training job on one page: a task's name in, a registered model with its report out.

python -m training.train --task churn
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import mlflow
import msgspec
import numpy as np
import pandas as pd
import typer
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from rich.console import Console

from features.certificate import Certificate, Seal
from features.command import run
from features.errors import LeakFound, NotTrainable
from features.home import data_folder, warehouse_address, without_secrets
from features.lawful import columns_read
from features.sample import of_customers
from features.timeline import moment_named
from features.warehouse import Warehouse, connect
from training import artefact, registry
from training.baseline import Baseline
from training.blend import calibrated_at, fit_both
from training.card import Card, by_grade, figures_of, grade_cuts, in_segments, outlook_of
from training.challenger import fit_linear, linear_probabilities
from training.comparison import require_figures
from training.dataset import Dataset, Parts, dataset, facts, split, telling
from training.drift import learned
from training.evaluate import asked_at_a_date, examined, log_report, seen
from training.findings import Report
from training.gates import Verdict
from training.grow import FIXED, NOTHING_TELLS, Settings, numbers
from training.kept import CERTIFICATE, MODEL, REPORT, kept
from training.leak_hunt import certificate
from training.model import Model
from training.plan import Plan, plan
from training.preflight import preflight, up_to
from training.promote import judge, promoted_if_fit, table
from training.report import published
from training.revision import revision
from training.task import Task
from training.tasks import task_named
from training.too_good import doubted, too_good

__all__ = ["Prepared", "Trained", "baseline_of", "fitted", "log_rows", "prepare", "revision", "train"]

Oracle = Callable[[pd.DataFrame], np.ndarray]
COHORT_TIMES = 2.0
RUNTIME = ("lightgbm", "numpy", "pandas")
TEST = "On the test of the training run."


@dataclass(frozen=True)
class Trained:
    """What a training run left: the card, the report, the registered version, and whether it serves now."""

    card: Card
    report: Report
    version: str
    promoted: bool
    verdict: Verdict
    run_id: str
    page: Path


@dataclass(frozen=True)
class Prepared:
    """What a fit starts from: the plan, the rows, their parts and the columns that tell customers apart."""

    planned: Plan
    data: Dataset
    parts: Parts

    @property
    def categories(self) -> list[str]:
        """The columns whose numbers stand for levels."""
        return [name for name in self.data.names if name in self.parts.levels]


def prepare(task: Task, warehouse: Warehouse, planned: Plan | None = None) -> Prepared:
    """Look first, then compute. Raises `OpenWindow` or `NotTrainable`."""
    checked = preflight(task, warehouse, planned)
    checked.require()
    data = dataset(task, warehouse, checked.planned.dates)
    parts = split(data, checked.planned)
    features, planned = telling(data.features, parts.fit), checked.planned
    if not features:
        raise NotTrainable(NOTHING_TELLS)
    if data.share < 1:
        planned = replace(
            planned, cut=f"{planned.cut}; {data.share:.1%} of the customers, drawn by their ids"
        )
    return Prepared(planned, replace(data, features=features), parts)


def train(
    task: Task,
    warehouse: Warehouse,
    planned: Plan | Prepared | None = None,
    *,
    oracle: Oracle | None = None,
    settings: Settings = FIXED,
) -> Trained:
    """Look first, then fit, compare, certify, explain, register; promote when every gate of `training.gates` lets it pass.

    `oracle` gives the true probabilities of test moments (rows x horizons x kinds), where a world is invented: one more
    scorer to compare with, and nothing else. With other `settings` than the fixed ones, the small fixed model is one, too. Raises `OpenWindow` or `NotTrainable` before anything is logged.
    """
    made = planned if isinstance(planned, Prepared) else prepare(task, warehouse, planned)
    planned, data, parts, categories = made.planned, made.data, made.parts, made.categories
    model = fitted(task, made, settings)
    tested = numbers(parts.test, data.names)
    linear = fit_linear(parts.fit, data.names, categories, model.line)
    outlooks = {"model": model.outlook(tested)} | ({"oracle": oracle(parts.test)} if oracle else {})
    outlooks |= {"fixed": fitted(task, made).outlook(tested)} if settings is not FIXED else {}
    probabilities = {
        "model": model.propensities(outlooks["model"]),
        "linear": linear_probabilities(linear, parts.test, data.names),
        **{name: model.propensities(outlook) for name, outlook in outlooks.items() if name != "model"},
    }
    ranks = {rule.name: rule.score(parts.test) for rule in task.rules}
    seen_at = data.frame.loc[parts.test.index]  # categories as text
    report = examined(task, seen_at, probabilities, ranks, outlooks, asked_at_a_date(data, planned.test))
    require_figures(report)
    doubt = doubted(report, [rule.name for rule in task.rules])
    certified = certificate(task, warehouse, planned, data, [too_good(doubt, data, parts, task.answers)])
    card = _card(task, planned, data, parts, model, report, probabilities["model"], certified.seal)
    card = msgspec.structs.replace(
        card, settings=settings.told(), settings_by=settings.chosen_by, too_good=doubt.words
    )
    page = data_folder() / "report" / f"{task.name}.html"
    with kept(task.name) as place:
        baseline = baseline_of(task, data, parts, model, probabilities["model"])
        folder = artefact.write(model, card, artefact.golden_rows(tested), place / MODEL, baseline)
        shown = seen(
            model, data.features, card.levels, tested, seen_at, probabilities["model"], data.excluded, TEST
        )
        (place / REPORT).mkdir()
        files = published(place / REPORT, task, card, report, shown)
        page.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files[0], page)
        (place / CERTIFICATE).write_bytes(certified.to_json())
        with registry.tracked(f"train {task.name}") as active:
            _log(task, card, data, parts)
            log_report(report, files)
            _log_certificate(certified)
            loaded = artefact.read(folder)
            verdict = judge(task, seen_at, loaded)
            number = registry.register(task.name, folder, card)
            promoted = promoted_if_fit(loaded, number, verdict)
            mlflow.set_tags(
                {"version": number, "promoted": str(promoted).lower(), "model_digest": model.digest}
            )
    return Trained(card, report, number, promoted, verdict, active.info.run_id, page)


def fitted(task: Task, prepared: Prepared, settings: Settings = FIXED) -> Model:
    """The task's model with these settings, a line beside its trees, calibrated on the later part."""
    parts, names = prepared.parts, prepared.data.names
    return fit_both(parts.fit, parts.calibrate, names, task.answers, categories=prepared.categories,
                    parameters=settings.parameters, rounds=settings.rounds)  # fmt: skip


def _card(
    task: Task,
    planned: Plan,
    data: Dataset,
    parts: Parts,
    model: Model,
    report: Report,
    probabilities: np.ndarray,
    seal: Seal,
) -> Card:
    last = parts.test["as_of"].max().to_pydatetime()
    latest = probabilities[(parts.test["as_of"] == last).to_numpy()]
    cuts, outcome = grade_cuts(latest.tolist(), last), parts.test["outcome"].to_numpy()
    return Card(
        task=task.name,
        question=task.question,
        cohort=task.cohort.name,
        purpose=task.purpose,
        kinds=task.kinds,
        wanted=tuple(task.kinds[place] for place in task.wanted_places),
        silence=bool(task.silence),
        horizons_days=task.horizons_days,
        gap_days=task.gap_days,
        features={feature.name: feature.fingerprint for feature in data.features},
        levels={name: tuple(parts.levels[name]) for name in data.names if name in parts.levels},
        hazards=model.hazards,
        line_share=model.line.share if model.line else 0.0,
        fit_at=list(planned.fit),
        calibrate_at=calibrated_at(parts.fit, parts.calibrate),
        test_at=list(planned.test),
        trained_through=max(*planned.fit, *planned.calibrate) + task.window,
        cut=planned.cut,
        rows_fit=len(parts.fit),
        rows_test=report.rows,
        outcomes_test=report.outcomes,
        base_rate=float(parts.fit["outcome"].mean()),
        grades=cuts,
        figures=figures_of(report.scorers),
        outlook=outlook_of(report),
        segments=[*in_segments((*report.segments, *report.months)), *by_grade(cuts, probabilities, outcome)],
        beaten=report.beaten,
        rules=[rule.name for rule in task.rules],
        rule_sentences={rule.name: rule.sentence for rule in task.rules},
        data_digest=data.digest,
        code_revision=revision(),
        packages={package: version(package) for package in RUNTIME},
        made_at=datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        certificate=seal,
        tested="listed" if planned.held_out is not None else "everyone" if planned.everyone else "others",
        worth=task.worth,
        legal_basis=task.assessment.legal_basis if task.assessment else "",
        retention_days=task.assessment.retention_days if task.assessment else 0,
        risk=task.assessment.risk.en if task.assessment else "",
        columns=columns_read(data.features),
        sensitive={name: why for name, why in task.sensitive.items() if name in columns_read(data.features)},
        fairness=task.fairness,
        without_consents=data.without_consents,
    )


def baseline_of(task: Task, data: Dataset, parts: Parts, model: Model, promised: np.ndarray) -> Baseline:
    """What later populations are compared with, of rows with their categories as text."""
    fit, test = (data.frame.loc[part.index] for part in (parts.fit, parts.test))
    held_back = model.probabilities(numbers(parts.calibrate, data.names))
    weights = model.booster.feature_importance("gain").tolist()
    asked = data.frame[data.frame["as_of"].isin(test["as_of"].unique())].groupby("as_of").size()
    # Campaigns differ in size by their nature; a cohort of every day does not halve or double.
    usual = (asked.min(), asked.max()) if task.occasions else (asked.mean(), asked.mean())
    bounds = (float(usual[0]) / COHORT_TIMES, float(usual[1]) * COHORT_TIMES)
    return learned(data.features, fit, test, weights, held_back, promised, float(asked.mean()), bounds)


def _log(task: Task, card: Card, data: Dataset, parts: Parts) -> None:
    mlflow.set_tags(
        {
            "task": task.name,
            "job": "train",
            "code_revision": card.code_revision,
            "data_digest": card.data_digest,
            "too_good": card.too_good or "no",
        }
    )
    horizons = ", ".join(map(str, task.horizons_days))
    mlflow.log_params(
        {"task": task.name, "horizons_days": horizons, "gap_days": task.gap_days, "cut": card.cut}
    )
    mlflow.log_params(
        {
            **card.settings,
            "settings_by": card.settings_by,
            "line_share": card.line_share,
            "share_of_customers": data.share,
        }
    )
    for part in ("fit", "calibrate", "test"):
        mlflow.log_param(
            f"{part}_moments", ", ".join(f"{date:%Y-%m-%d}" for date in getattr(card, f"{part}_at"))
        )
    log_rows(task, data, parts, card.code_revision)
    mlflow.log_text(card.to_json().decode(), "card.json")


def log_rows(task: Task, data: Dataset, parts: Parts, code_revision: str) -> None:
    """Say in the run what it learned from: an input with the data's digest, and `dataset.json` (see `facts`)."""
    source = CodeDatasetSource(
        {"warehouse": without_secrets(warehouse_address()), "code_revision": code_revision}
    )
    mlflow.log_input(
        MetaDataset(source=source, name=f"{task.name} moments", digest=data.digest), context="training"
    )
    mlflow.log_dict(facts(task, data, parts), "dataset.json")


def _log_certificate(certified: Certificate) -> None:
    mlflow.log_text(certified.to_json().decode(), "certificate.json")
    mlflow.set_tags({"certificate": certified.digest, "leaks": ", ".join(certified.leaks[:20]) or "none"})


app = typer.Typer(add_completion=False)


@app.command()
def main(
    task: Annotated[str, typer.Option(help="name of the task")],
    test_at: Annotated[
        str, typer.Option(help="moment of the test, or latest: the last few with a closed window")
    ] = "latest",
    held_out: Annotated[
        Path | None, typer.Option(help="file of customer ids to test on, where time cannot be cut")
    ] = None,
    longest_horizon: Annotated[int, typer.Option(help="leave out longer horizons, in days; 0: none")] = 0,
    customers: Annotated[
        int, typer.Option(min=0, help="learn from about so many customers, the same every time; 0: all")
    ] = 0,
) -> None:
    """Train a task's model as an MLflow run, compare it with rules and a linear challenger, register it."""
    warehouse = of_customers(connect(), customers)
    chosen = task_named(task, warehouse)
    chosen = up_to(chosen, longest_horizon) if longest_horizon else chosen
    ids = held_out.read_text().split() if held_out else None
    at = None if test_at == "latest" else moment_named(test_at, warehouse.latest_moment)
    planned = plan(chosen, warehouse, test_at=at, held_out=ids) if at or ids else None
    trained = train(chosen, warehouse, planned)
    print(trained.report)
    Console(width=None if Console().is_terminal else 130).print(table(task, trained.version, trained.verdict))
    state = "is the champion now" if trained.promoted else "was not promoted"
    print(f"\n{task} version {trained.version} {state}\nrun     {trained.run_id}\nreport  {trained.page}")
    if (seal := trained.card.certificate) and not seal.clean:
        doubt = f" {trained.card.too_good}." if trained.card.too_good else ""
        raise LeakFound(f"{task} version {trained.version} may not be promoted.{doubt} {seal.finding}")


if __name__ == "__main__":
    run(app)
