"""Training with a cluster: Spark builds moments, features and outcomes and gives back the sample; trials run there too."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from features import feature_set
from features.engines.spark import Spark
from features.errors import BadData, NoRegistry, TrialsFailed
from features.sample import of_customers
from features.warehouse import connect
from tests.training.test_search import DATES, NAMES, TASK, moments, sought
from training import registry, spark_study
from training import task as tasks
from training.dataset import dataset
from training.search import Study, inner
from training.spark_study import search_on_spark
from training.tasks import task_named

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EVERY = 40  # Each feature is compared on each engine elsewhere; here some of all views do.


def test_the_sample_from_spark_is_that_from_the_folder_and_nothing_else_comes_back(
    spark: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        tasks, "available", lambda *asked, **how: feature_set.available(*asked, **how)[::EVERY]
    )
    fetched: list[int] = []
    honest = Spark.to_pyarrow

    def watched(self: Spark, *asked: Any, **how: Any) -> Any:
        found = honest(self, *asked, **how)
        fetched.append(len(found) if hasattr(found, "__len__") else 1)
        return found

    monkeypatch.setattr(Spark, "to_pyarrow", watched)
    made = []
    for address in (str(folder), spark.replace("FOLDER", str(folder))):
        warehouse = of_customers(connect(address), 400)
        task = task_named("churn", warehouse)
        made.append(dataset(task, warehouse, [task.latest_closed(warehouse)]))
    here, there = made
    assert there.digest == here.digest
    pd.testing.assert_frame_equal(there.frame, here.frame)
    pd.testing.assert_frame_equal(there.excluded, here.excluded, check_dtype=False)
    assert 0 < there.share == here.share < 1
    assert 50 < len(there.frame) == max(fetched)


def test_postgres_draws_the_same_customers(published: str, folder: Path) -> None:
    drawn = []
    for address in (str(folder), published):
        customers = of_customers(connect(address), 200).tables["customers"]
        drawn.append(set(customers.customer_id.to_pyarrow().to_pylist()))
    assert drawn[0] == drawn[1]
    assert 150 < len(drawn[0]) < 250


def test_trials_on_spark_are_runs_of_the_study_and_a_later_call_goes_on(
    spark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = spark.replace("path=FOLDER&", "")

    def asked(trials: int, seed: int = 1) -> Study:
        cut = inner(TASK, moments(seed=seed), DATES)
        return search_on_spark(TASK, cut, NAMES, [], trials=trials, address=address, study="s")

    first = asked(3)
    assert (len(first.trials), first.added) == (3, 3)
    alone = sought(Path("journal"), trials=1)
    assert (
        first.trials.loc[0, ["log_loss", "rounds"]].tolist()
        == alone.trials.loc[0, ["log_loss", "rounds"]].tolist()
    )
    assert first.trials["learning_rate"].nunique() == 3, "no two trials are the same"
    assert first.best.chosen_by == "study s, best of 3 trials"

    again = asked(4)
    assert (len(again.trials), again.added) == (4, 1)
    assert set(first.trials["learning_rate"]) < set(again.trials["learning_rate"])
    with registry.tracked("tune", "s") as active:
        parent = active.info.run_id
    runs = mlflow.search_runs(experiment_names=["car-propensity"])
    trials = runs[runs["tags.mlflow.parentRunId"] == parent]
    assert len(trials) == 4
    assert (trials["status"] == "KILLED").sum() == again.trials["log_loss"].isna().sum(), (
        "not to be calibrated"
    )
    assert len(runs) == 5

    with pytest.raises(BadData, match="begun with other rows"):
        asked(5, seed=2)

    def broken(_: Any) -> float:
        raise ValueError("no such thing on this executor")

    monkeypatch.setattr(spark_study, "_objective", lambda *_: broken)
    with pytest.raises(TrialsFailed, match=r"failed on spark:local\[2\].*no such thing on this executor"):
        asked(5)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(NoRegistry), registry.answering("later"):
        asked(5)
