"""Tuning as a job: one run per study, a verdict with an interval, and a tuned model registered only when it wins."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.errors import NoChampion
from features.warehouse import connect
from training import registry, search, tune
from training.grow import Settings
from training.resampling import Estimate, mean_by_customer
from training.tasks import task_named
from training.train import Prepared, fitted, prepare


@pytest.fixture(scope="module")
def prepared(shop: Path) -> Prepared:
    warehouse = connect(str(shop / "var/warehouse"))
    return prepare(task_named("purchase_intent", warehouse), warehouse)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tune")


@pytest.fixture(autouse=True)
def _shops_warehouse(shop: Path, prepared: Prepared, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop's events, computed once; registry, runs and studies of these tests' own."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WAREHOUSE_URL", str(shop / "var/warehouse"))
    monkeypatch.setattr(tune, "prepare", lambda *_: prepared)


def tuned(trials: int) -> tune.Tuned:
    warehouse = connect()
    return tune.tune(task_named("purchase_intent", warehouse), warehouse, trials=trials)


def test_a_study_is_one_run_and_the_fixed_model_stays_unless_beaten(prepared: Prepared) -> None:
    first, again = tuned(1), tuned(3)
    assert first.verdict.difference == Estimate(0, 0, 0)
    assert not first.verdict.wins
    assert first.trained is None
    assert first.run_id == again.run_id
    assert (first.study.added, again.study.added) == (1, 2)
    with pytest.raises(NoChampion):
        registry.champion("purchase_intent")
    assert again.fixed.digest == first.fixed.digest
    run = mlflow.get_run(again.run_id)
    assert run.info.status == "FINISHED"
    assert [i.dataset.digest for i in run.inputs.dataset_inputs] == [run.data.tags["data_digest"]], (
        "logged once"
    )
    rows = mlflow.artifacts.load_dict(f"runs:/{again.run_id}/dataset.json")
    assert rows["digest"] == run.data.tags["data_digest"]
    assert rows["moments_from"] < rows["moments_to"] < rows["outcomes_settled_by"]
    assert sum(rows["moments_not_asked_by_reason"].values()) == prepared.data.excluded["customers"].sum()
    assert run.data.metrics["search.trials"] == 3
    assert run.data.tags["verdict"] == str(again.verdict)
    table = pd.read_csv(mlflow.artifacts.download_artifacts(f"runs:/{again.run_id}/trials.csv"))
    assert len(table) == 3
    assert (
        Path(mlflow.artifacts.download_artifacts(f"runs:/{again.run_id}/best_so_far.png")).stat().st_size > 0
    )


def test_the_same_data_and_seed_give_the_same_model_hash(prepared: Prepared, tmp_path: Path) -> None:
    task = task_named("purchase_intent", connect())
    cut = search.inner(task, prepared.parts.fit, prepared.planned.fit)
    digests = set()
    for place in ("here", "there"):
        found = search.search(
            task, cut, prepared.data.names, prepared.categories, trials=4, folder=tmp_path / place
        )
        assert found.improved
        digests.add(fitted(task, prepared, found.best).digest)
    assert len(digests) == 1
    assert fitted(task, prepared).digest not in digests


def test_a_tuned_model_that_wins_is_registered_with_its_parameters_on_the_card(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials = pd.DataFrame({"trial": [0, 1], "log_loss": [0.5, 0.4], "best_so_far": [0.5, 0.4]})
    best = Settings({"num_leaves": 6}, rounds=150, chosen_by="study s")
    monkeypatch.setattr(tune, "search", lambda *_, **__: search.Study("s", trials, 2, best, "in time"))
    monkeypatch.setattr(tune, "FIXED", Settings({"num_leaves": 2, "feature_fraction": 0.01}, rounds=1))
    found = tuned(2)
    assert found.verdict.wins, str(found.verdict)
    assert found.trained is not None
    card = found.trained.card
    assert card.settings == found.study.best.told()
    assert found.study.name in card.settings_by
    assert str(found.verdict) in card.settings_by
    assert set(card.figures) >= {"model", "fixed", "linear"}
    assert f"rounds {card.settings['rounds']}" in str(card)


def test_a_verdict_needs_the_whole_interval_and_a_later_test() -> None:
    assert tune.Verdict(Estimate(-0.002, -0.003, -0.001), in_time=True).wins
    assert not tune.Verdict(Estimate(-0.002, -0.003, 0.0), in_time=True).wins
    assert not tune.Verdict(Estimate(-0.002, -0.003, -0.001), in_time=False).wins
    assert str(tune.Verdict(Estimate(-0.0012, -0.003, 0.0004), in_time=True)) == (
        "tuned does not win: difference −0.0012 (−0.0030 to +0.0004)"
    )


def test_the_interval_of_a_mean_knows_that_rows_of_a_customer_go_together() -> None:
    """Every customer ten times the same: no narrower than once each, and as wide as theory says."""
    values, ids = np.random.default_rng(1).normal(size=400), pd.Series(np.arange(400).astype(str))
    once, tenfold = mean_by_customer(values, ids), mean_by_customer(np.repeat(values, 10), ids.repeat(10))
    assert tenfold.value == pytest.approx(once.value)
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=1e-9)
    assert once.high - once.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
