"""The report of a run on the invented shop, and a registered model examined again."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import mlflow
import msgspec
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.errors import BadModel, NoChampion
from features.warehouse import connect
from training import evaluate, registry
from training.artefact import Loaded
from training.tasks import task_named

FILES = {
    "churn.html",
    "concepts.png",
    "figures.json",
    "gains.png",
    "lists.csv",
    "lists.png",
    "reliability.png",
    "scorers.csv",
    "scores.png",
    "segments.csv",
}


def runs(job: str, task: str = "churn") -> pd.DataFrame:
    return mlflow.search_runs(
        experiment_names=["car-propensity"], filter_string=f"tags.task = '{task}' and tags.job = '{job}'"
    )


def champion() -> tuple[str, Loaded]:
    found = registry.champion("churn")
    return found.version, found.loaded


def test_the_page_of_a_run_speaks_first_and_names_nobody(in_shop: Path) -> None:
    page = Path("var/report/churn.html").read_text()
    words = page.index('class="words"')
    assert (
        words
        < page.index("Lists of equal size")
        < page.index("By month and segment")
        < page.index("Examples")
    )
    assert re.search(r"Of the [\d,]+ customers we would call .* will place no order within 273 days; the best rule", page)  # fmt: skip
    assert "位客户" in page
    assert "在273天内不下单" in page
    assert "which makes it more likely" in page
    assert "提高可能性" in page
    assert not re.search(r"\bC\d{5}\b", page), "an example names a customer"
    assert not re.findall(r'(?:src|href)="(?!data:)', page), "the page must need nothing but itself"
    assert page.count('src="data:image/png') == 5
    assert "The task declares no sums, so nothing is told in yuan." in page


def test_a_run_keeps_page_pictures_tables_and_stable_names(in_shop: Path) -> None:
    version, loaded = champion()
    (run,) = runs("train").to_dict("records")
    kept = {
        file.path.removeprefix("report/")
        for file in mlflow.artifacts.list_artifacts(run_id=run["run_id"], artifact_path="report")
    }
    assert kept == FILES
    for metric in ("auc", "lift_1", "lift_5", "lift_10", "lift_20", "precision_at_capacity", "ece"):
        low, value, high = (run[f"metrics.model.{metric}{end}"] for end in (".low", "", ".high"))
        assert low <= value <= high
        assert value == pytest.approx(loaded.card.figures["model"][metric][0])
    assert run["metrics.model.times.recency"] > 0
    assert run["metrics.model.auc.segment.orders.several"] > 0.5
    told = json.loads(mlflow.artifacts.load_text(f"{run['artifact_uri']}/report/figures.json"))
    groups = {(g["segment"], g["value"]): g for g in told["segments"]}
    assert groups["orders", "several"]["rows"] + groups["orders", "one"]["rows"] == told["rows"]
    assert [(g.segment, g.value) for g in loaded.card.segments if g.segment == "orders"] == [
        ("orders", "one"),
        ("orders", "several"),
    ]
    assert len(told["found"]["model"][0]) == len(told["shares"])
    assert (run["metrics.rows_test"], run["tags.version"]) == (loaded.card.rows_test, version)


def test_a_champion_is_examined_again_by_command_and_says_which_moments(own_shop: Path) -> None:
    _, loaded = champion()
    done = CliRunner().invoke(evaluate.app, ["--task", "churn"])
    assert done.exit_code == 0, done.output
    assert "on the moments of its test again: no window has closed since" in done.output
    (run,) = runs("evaluate").to_dict("records")
    assert run["tags.evaluated_version"] == registry.champion("churn").version
    assert run["metrics.model.auc"] == pytest.approx(loaded.card.figures["model"]["auc"][0])
    assert run["metrics.recency.lift_10"] == pytest.approx(loaded.card.figures["recency"]["lift_10"][0])
    page = Path(re.findall(r"report  (\S+)", done.output)[0])
    assert "no window has closed since" in page.read_text()
    assert page != Path("var/report/churn.html")


def test_later_moments_are_taken_where_there_are_some_and_none_it_learned_from(own_shop: Path) -> None:
    warehouse = connect()
    task = task_named("churn", warehouse)
    version, loaded = champion()
    last = task.latest_closed(warehouse)
    tested = last - timedelta(days=70)
    older = msgspec.structs.replace(loaded.card, test_at=[tested], trained_through=tested)
    dates = evaluate.later_dates(task, warehouse, older)
    assert dates == [last - timedelta(days=28 * n) for n in (2, 1, 0)]
    learned = msgspec.structs.replace(older, trained_through=last - timedelta(days=10))
    assert evaluate.later_dates(task, warehouse, learned) == [last]
    made = evaluate.evaluate(task, warehouse, replace(loaded, card=older), version)
    assert "on moments since its test; everyone in the cohort is asked about" in made.test
    assert made.report.scorers["model"]["auc"].value > made.report.scorers["recency"]["auc"].value
    assert abs(made.report.rows / 3 - made.report.campaign.asked) <= 0.5
    assert len(made.report.months) == 3
    assert made.page.read_text().count('src="data:image/png') == 6, (
        "with several months there is a picture of them"
    )


def test_what_cannot_be_examined_is_refused_by_name(own_shop: Path) -> None:
    warehouse = connect()
    task = task_named("churn", warehouse)
    version, loaded = champion()
    moved = msgspec.structs.replace(loaded.card, features=loaded.card.features | {"orders_ever": "0" * 12})
    with pytest.raises(BadModel, match="trained on other definitions of orders_ever"):
        evaluate.evaluate(task, warehouse, replace(loaded, card=moved), version)
    unknown = CliRunner().invoke(evaluate.app, ["--task", "churn", "--alias", "nobody"])
    assert isinstance(unknown.exception, NoChampion)
    assert "no version of 'churn' is called 'nobody'" in str(unknown.exception)
    missing = CliRunner().invoke(evaluate.app, ["--task", "churn", "--version", "99"])
    assert isinstance(missing.exception, BadModel)
