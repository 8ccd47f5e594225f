"""Bad input ends with a named error and a failing exit, and leaves nothing behind."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.errors import NoRegistry, NotTrainable
from features.sources import CANONICAL
from features.warehouse import in_memory
from tests.shop import END, customers_and_orders
from training import artefact, registry
from training import tune as tuning
from training.campaign import Campaign
from training.comparison import compare, require_figures
from training.findings import Report
from training.kept import MODEL, register_kept
from training.outcomes import Happens
from training.plan import plan
from training.resampling import Estimate
from training.tasks import task_named
from training.train import prepare, train
from training.tune import tune

SHOP = in_memory(customers_and_orders(600), dict.fromkeys(CANONICAL, END))
INTENT = task_named("purchase_intent", SHOP)
ONE_CLASS = {
    "no positives": Happens("order", lambda future: future.orders.where(kind="cancellation").count() > 0),
    "only positives": Happens("order", lambda future: future.orders.count() >= 0),
}


@pytest.mark.parametrize("outcome", ONE_CLASS.values(), ids=list(ONE_CLASS))
def test_one_class_is_refused_before_anything_is_written(outcome: Happens) -> None:
    with pytest.raises(NotTrainable, match="at least 50 with it and without it are needed"):
        train(replace(INTENT, outcome=outcome), SHOP)
    assert not Path("var").exists()


def test_figures_that_are_no_numbers_are_refused() -> None:
    test = pd.DataFrame({"customer_id": ["a", "b", "c"], "outcome": [1, 1, 1]})
    with pytest.raises(NotTrainable, match="auc"):
        require_figures(compare("t", test, {"model": np.array([0.1, 0.2, 0.3])}, {}, replicates=3))
    sound = Report("t", 3, 1, {"model": {"auc": Estimate(0.7, 0.6, 0.8)}}, {}, Campaign(3, 1))
    require_figures(sound)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--task", "chrun"], 1, "there is no task named 'chrun'; there are: churn"),
        (["--task", "churn", "--test-at", "2030-01-01"], 1, "Latest usable date"),
        (["--task", "churn", "--test-at", "soon"], 1, "'soon' is no moment"),
        (["--tusk", "churn"], 2, "No such option"),
    ],
)
def test_a_command_that_cannot_work_says_why_and_fails(
    in_shop: Path, options: list[str], code: int, said: str
) -> None:
    before = sorted(Path("var/mlartifacts").rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "training.train", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert sorted(Path("var/mlartifacts").rglob("*")) == before


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes a call and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_silent_store_costs_seconds_and_the_result_is_registered_later(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    honest = registry.tracked

    def timed(name: str) -> AbstractContextManager[mlflow.ActiveRun]:
        asked.append(time.monotonic())
        return honest(name)

    monkeypatch.setattr(registry, "tracked", timed)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent)
    planned = plan(INTENT, SHOP, test_at=INTENT.latest_closed(SHOP), everyone=True)
    with pytest.raises(NoRegistry, match="the trained model is kept: register it later"):
        train(INTENT, SHOP, planned)
    assert time.monotonic() - asked[0] < 10
    (place,) = Path("var/kept").iterdir()
    held = artefact.read(place / MODEL)

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    version = register_kept(INTENT.name, place)
    assert not place.exists()
    assert registry.fetched(INTENT.name, version).digest == held.digest
    (run,) = mlflow.search_runs(experiment_names=["car-propensity"]).to_dict("records")
    assert run["metrics.model.auc"] == pytest.approx(held.card.figures["model"]["auc"][0])
    assert registry.champion_version(INTENT.name) is None, "registered, but no gate was asked"


def test_a_silent_store_costs_a_study_no_trial(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepare(INTENT, SHOP, plan(INTENT, SHOP, test_at=INTENT.latest_closed(SHOP), everyone=True))
    monkeypatch.setattr(tuning, "prepare", lambda *_: made)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent)
    with pytest.raises(NoRegistry, match="no trial is lost: the same call goes on with the study"):
        tune(INTENT, SHOP, trials=1)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    again = tune(INTENT, SHOP, trials=1)
    assert again.study.added == 0
    assert mlflow.get_run(again.run_id).data.tags["study"] == again.study.name
