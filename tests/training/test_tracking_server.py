"""A team's tracking: an MLflow server with its runs in PostgreSQL takes the place of the embedded store, unseen."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from typer.testing import CliRunner

from features.errors import NoRegistry
from features.warehouse import connect
from serving.batch import batch
from serving.desk import Desk
from tests.shop import END
from tests.training.test_promote import registered
from tests.training.tracking_server import stop, tracking_server
from training import history, promote, registry
from training.plan import plan
from training.tasks import task_named
from training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    with tracking_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def team(
    server: tuple[str, "subprocess.Popen[bytes]"], shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A machine of the team: the shop's events, nothing else, and the server's address."""
    shutil.copytree(shop / "var/warehouse", tmp_path / "one/var/warehouse", symlinks=True)
    monkeypatch.chdir(tmp_path / "one")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server[0])
    return tmp_path


def test_a_team_trains_promotes_goes_back_and_serves_by_one_server(
    team: Path, server: tuple[str, "subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = connect()
    task = task_named("churn", warehouse)
    planned = plan(task, warehouse, test_at=task.latest_closed(warehouse), everyone=True)
    first = train(task, warehouse, planned)
    assert (first.version, first.promoted) == ("1", True)
    run = mlflow.get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert run.data.metrics["model.auc"] == first.report.scorers["model"]["auc"].value
    assert {file.path for file in mlflow.artifacts.list_artifacts(run_id=first.run_id)} >= {
        "card.json",
        "certificate.json",
        "dataset.json",
        "report",
    }
    served = scores()

    version, _ = registered(registry.champion("churn").loaded, Path("again"), shift=0.01)
    assert version == "2"
    call = CliRunner().invoke
    assert call(promote.app, ["--task", "churn", "--force", "to go back from it"]).exit_code == 0
    assert not np.array_equal(scores(), served)
    assert registry.champion("churn").version == "2"
    assert call(promote.app, ["--task", "churn", "--back"]).exit_code == 0
    assert registry.champion("churn").version == "1"
    assert [step.deed for step in history.steps(Path("var/promotions/churn.jsonl"))][-1] == "back"

    # Another machine: no file of the first but the events.
    shutil.copytree(team / "one/var/warehouse", team / "two/var/warehouse", symlinks=True)
    monkeypatch.chdir(team / "two")
    assert registry.champion("churn").loaded.digest == registry.fetched("churn", "1").digest
    assert np.array_equal(scores(), served)
    batch(warehouse, END)
    desk = Desk.open()
    desk.self_test()
    assert desk.scores(["C00007"], ["churn"]).scores

    # The server goes: what served serves on, and nothing pretends to be promoted.
    stop(server[1])
    assert registry.champion("churn").version == "1"
    with pytest.raises(NoRegistry, match="does not answer"):
        promote.back("churn")
    assert not any(Path().glob("mlruns*"))


def scores() -> np.ndarray:
    """What the champion says of the rows it was checked on."""
    loaded = registry.champion("churn").loaded
    return loaded.model.outlook(loaded.golden)
