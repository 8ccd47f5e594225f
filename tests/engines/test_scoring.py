"""Scores made on Spark are those made here, bit for bit: every task the carmaker offers, 10,000 customers."""

import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks.engines import BEGIN, DAYS, java_found
from features import nightly
from features.feature_set import available
from features.matrix import matrix
from features.warehouse import Warehouse, connect
from serving.partition import score_part
from serving.runs.schema import REJECTED
from serving.scorer import Scorer
from tests.engines.conftest import NO_JAVA
from tests.training.test_model import card
from training.artefact import Loaded, golden_rows
from training.blend import fit_both
from training.grow import fit
from training.model import Answers
from training.registry import Champion
from training.task import Task
from training.tasks import offered

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

END = BEGIN + timedelta(days=DAYS)
SAID = ("concept", "direction", "feature", "value", "en", "zh")
CUSTOMERS, MOST_LEVELS, ROUNDS = 10_000, 20, 20


def champion(task: Task, warehouse: Warehouse, rows: pa.Table, nth: int) -> Champion:
    """A model with the task's outcomes, horizons and cohort, over columns of its own, words among them. What it learned is drawn from the rows
    themselves: scoring is compared, not skill."""
    chance = np.random.default_rng(nth)
    features = [f for n, f in enumerate(available(warehouse)) if f.kind == "category" or (n + nth) % 4 == 0]
    levels = {
        f.name: tuple(sorted(set(rows[f.name].to_pylist()) - {None}))
        for f in features
        if f.kind == "category"
    }
    features = [f for f in features if f.name not in levels or 1 < len(levels[f.name]) <= MOST_LEVELS]
    names = [f.name for f in features]
    levels = {name: words for name, words in levels.items() if name in names}
    values = matrix(rows, names, levels)
    drawn = pd.DataFrame(values, columns=names)
    filled = np.nan_to_num(values)
    lean = ((filled - filled.mean(axis=0)) / (filled.std(axis=0) + 1e-9))[:, :12].sum(axis=1)
    came = chance.random(len(rows)) < 1 / (1 + np.exp(1 - lean))
    ends = len(task.horizons_days)
    drawn["customer_id"], drawn["as_of"] = rows["customer_id"].to_pylist(), END
    drawn["kind"] = np.where(came, chance.integers(1, len(task.kinds) + 1, len(rows)), 0).astype("int8")
    drawn["interval"] = np.where(came, chance.integers(0, ends, len(rows)), ends).astype("int8")
    drawn["outcome"] = came.astype("int8")
    kinds = tuple(task.kinds[place] for place in task.wanted_places)
    answers = Answers(task.kinds, task.horizons_days, tuple(task.wanted_places), bool(task.silence))
    half = chance.random(len(rows)) < 0.6
    learn = fit_both if nth < 2 else fit  # a line beside the trees takes longer to fit than the trees
    model = learn(drawn[half], drawn[~half], names, answers, categories=list(levels), rounds=ROUNDS)
    told = msgspec.structs.replace(
        card(model), task=task.name, cohort=task.cohort.name, purpose=task.purpose, kinds=task.kinds, wanted=kinds, levels=levels,
        silence=bool(task.silence), horizons_days=task.horizons_days, features={f.name: f.fingerprint for f in features},
    )  # fmt: skip
    golden = golden_rows(values)
    return Champion(task.name, "1", Loaded(model, told, "d", golden, model.outlook(golden)))


@pytest.fixture(scope="module")
def asked(folder: Path) -> tuple[list[Champion], pa.Table]:
    """A champion of every task, and the nightly rows of 10,000 customers: the carmaker's, under new ids."""
    if not java_found():
        pytest.skip(NO_JAVA)
    warehouse = connect(str(folder))
    rows = nightly.materialise(warehouse, END, folder / "rows", incremental=False).table()
    champions = [champion(task, warehouse, rows, nth) for nth, task in enumerate(offered(warehouse).values())]
    many = rows.take(pa.array(np.arange(CUSTOMERS) % len(rows)))
    return champions, many.set_column(0, "customer_id", pa.array([f"C{n:06d}" for n in range(CUSTOMERS)]))


def test_ten_thousand_customers_by_all_tasks(
    asked: tuple[list[Champion], pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra

    from serving.spark import COLUMNS, scored  # noqa: PLC0415

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)  # else whatever `python3` is on the path
    champions, many = asked
    tasks = {champion.task for champion in champions}
    assert len(tasks) >= 14
    assert any(len(champion.loaded.card.kinds) > 1 for champion in champions)
    until = END + timedelta(days=7)
    here = score_part([Scorer(c) for c in champions], many, REJECTED.empty_table(), END, until).long
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        session.conf.set("spark.sql.session.timeZone", "UTC")
        # By customers, as on a cluster: in as many partitions as there may be workers.
        there = scored(
            session.createDataFrame(many).repartition(3, "customer_id"), champions, END, until
        ).toArrow()
    finally:
        session.stop()
    there = there.sort_by([("customer_id", "ascending"), ("task", "ascending")])
    here = here.sort_by([("customer_id", "ascending"), ("task", "ascending")])
    assert there.column_names == COLUMNS
    assert len(there) == len(here) > 2 * CUSTOMERS
    # On some days nobody was contacted.
    assert tasks - set(here["task"].to_pylist()) <= {"redemption", "response"}
    for name in ("customer_id", "task", "probability", "grade", "model_version", "horizon_days", "as_of"):
        assert there[name].to_pylist() == here[name].to_pylist(), name
    for column, parts in (("outlook", ("outcome", "horizon_days", "probability")), ("reasons", SAID)):
        one, other = (table[column].combine_chunks() for table in (there, here))
        assert one.value_lengths().equals(other.value_lengths())
        for part in parts:
            assert one.flatten().field(part).equals(other.flatten().field(part)), f"{part} of {column}"
