"""`mlflow run` really runs the entry points: a small world is learned and promoted, and a wrong call fails by name."""

import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from training import registry

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def project(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project beside the shop's data, so that what it writes stays here."""
    place = tmp_path / "project"
    shutil.copytree(shop / "var", place / "var", symlinks=True)
    for file in ("MLproject", "python_env.yaml", "constraints.txt"):
        shutil.copy(ROOT / file, place)
    monkeypatch.chdir(place)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/var/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "car-propensity")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return place


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "mlflow", "run", ".", "--env-manager=local", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_training_by_mlflow_run_fills_the_run_that_mlflow_opened(project: Path) -> None:
    done = run("-e", "train", "-P", "test_at=2023-09-20", "-P", "customers=1300")
    assert done.returncode == 0, done.stderr[-2000:]
    assert version("churn") == "2"
    (found,) = mlflow.search_runs(
        experiment_names=["car-propensity"], filter_string="tags.mlflow.project.entryPoint = 'train'",
        output_format="list",
    )  # fmt: skip
    assert found.info.status == "FINISHED"
    assert found.data.params["customers"] == "1300", "as it was called"
    assert float(found.data.params["share_of_customers"]) == pytest.approx(1300 / 1500)
    assert found.data.metrics["model.auc"] > 0.5
    assert found.data.tags["version"] == "2"
    assert not (project / "mlruns").exists()


def test_a_wrong_call_fails_by_name_and_registers_nothing(project: Path) -> None:
    for words, said in (
        (("-P", "nonsense=1"), "No such option: --nonsense"),
        (("-P", "task=chrun"), "there is no task named 'chrun'; there are: churn"),
    ):
        done = run("-e", "train", *words)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert (version("churn"), version("purchase_intent")) == ("1", "1")
    runs = mlflow.search_runs(
        experiment_names=["car-propensity"], filter_string="tags.mlflow.project.entryPoint = 'train'"
    )
    assert list(runs["status"]) == ["FAILED", "FAILED"]


def version(task: str) -> str:
    return registry.version_of(task)
