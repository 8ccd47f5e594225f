"""What `docs/runs.md` says of runs is what they hold: tags, parameters, metrics and files by stable names."""

import re
from collections.abc import Mapping
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from features.warehouse import connect
from training import registry, tune
from training.tasks import task_named
from training.train import prepare, revision

PAGE = (Path(__file__).parents[2] / "docs/runs.md").read_text()
ENDS = ("", ".low", ".high")


def named(line: str) -> set[str]:
    """The names in code ticks of the table's line that begins so, without what stands in brackets."""
    (found,) = re.findall(rf"^\| {re.escape(line)}[^|]*\| (.*) \|$", PAGE, re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", re.sub(r"\([^)]*\)", "", found)))


@pytest.fixture
def trainings(in_shop: Path) -> Mapping[str, Run]:
    """The shop's two training runs, by task."""
    registry.experiment()
    runs = mlflow.search_runs(
        experiment_names=["car-propensity"], filter_string="metrics.rows_test > 0", output_format="list"
    )
    return {run.data.tags["task"]: run for run in runs}


def files(run: Run) -> set[str]:
    return {file.path for file in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)}


def test_every_training_holds_what_the_page_says(trainings: Mapping[str, Run]) -> None:
    assert trainings.keys() == {"churn", "purchase_intent"}
    for name, run in trainings.items():
        task = task_named(name, connect())
        assert run.data.tags.keys() >= named("tags of every run") | named("tags of a training")
        assert run.data.params.keys() >= named("parameters of a training")
        assert run.data.params["share_of_customers"] == "1.0"
        assert files(run) >= named("files of a training")
        rules = {rule.name: "each rule" for rule in task.rules}
        for scorer, line in ({"model": "`model`", "linear": "`model`"} | rules).items():
            for metric in named(line):
                assert {f"{scorer}.{metric}{end}" for end in ENDS} <= run.data.metrics.keys()
        for kind in task.kinds:
            for days in task.horizons_days:
                assert f"{kind}.{days}d.model.log_loss.low" in run.data.metrics


def test_no_metric_is_named_otherwise(trainings: Mapping[str, Run]) -> None:
    pattern = re.compile(
        r"([\w ]+\.\d+d\.)?\w+\.(times\.)?\w+(\.low|\.high)?|rows_test|outcomes_test"
        r"|model\.(auc|ece)\.segment\.\w+\.[\w. -]+"
    )
    for run in trainings.values():
        assert [name for name in run.data.metrics if not pattern.fullmatch(name)] == []


def test_tags_name_the_code_the_rows_and_the_task(trainings: Mapping[str, Run]) -> None:
    for name, run in trainings.items():
        card = registry.champion(name).loaded.card
        assert run.data.tags["task"] == card.task == name
        assert run.data.tags["data_digest"] == card.data_digest
        assert run.data.tags["code_revision"] == card.code_revision
        assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?|unknown", revision())
        assert run.info.status == "FINISHED"


def test_a_study_holds_what_the_page_says(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = connect(str(shop / "var/warehouse"))
    task = task_named("purchase_intent", warehouse)
    made = prepare(task, warehouse)
    monkeypatch.setattr(tune, "prepare", lambda *_: made)
    run = mlflow.get_run(tune.tune(task, warehouse, trials=1).run_id)
    assert run.data.tags.keys() >= named("tags of every run") | named("tags of a study")
    assert run.data.params.keys() >= named("parameters of a study")
    assert files(run) >= named("files of a study")
    metrics = {f"difference.log_loss{end}" for end in ENDS} | {"search.log_loss", "search.trials"}
    assert run.data.metrics.keys() >= metrics | {"best.rounds"}
    for metric in ("difference.log_loss", "search.log_loss", "search.trials", "best.rounds"):
        assert f"`{metric}`" in PAGE


def test_what_several_tasks_train_for_one_project_run_are_its_children(
    in_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with registry.tracked("the project's") as project:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", project.info.run_id)
    with registry.of_project():
        for name in ("churn", "purchase_intent"):
            with registry.tracked(f"train {name}"):
                mlflow.log_param("task", name)
    runs = mlflow.search_runs(experiment_names=["car-propensity"]).set_index("run_id")
    children = runs[runs["tags.mlflow.parentRunId"] == project.info.run_id]
    assert sorted(children["params.task"]) == ["churn", "purchase_intent"]
    assert set(runs["status"]) == {"FINISHED"}
    assert mlflow.get_run(project.info.run_id).data.params == {}
