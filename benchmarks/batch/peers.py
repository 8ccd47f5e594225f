"""What one would write instead, from the same feature rows: probability, grade, the strongest reasons in two languages, Parquet.

They do less than the batch: no hashes, no resumption, no percentiles, no rankings, no wide table, no forecast, no look-up. Their
models are LightGBM's scikit-learn wrapper with the same trees: as many, as large, on the same columns, fitted to outcomes drawn from our
probabilities, so that their work per row is that of ours without the line beside the trees.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from benchmarks.batch.steps import measured
from benchmarks.batch.world import TASKS, rows_repeated
from features.consent import columns_of, refusals
from features.feature_set import named
from features.matrix import matrix
from features.nightly import latest
from training import registry
from training.grow import PARAMETERS, ROUNDS

__all__ = ["by_pandas", "by_spark"]

STRONGEST = 3
ROOT = Path(__file__).parents[2]


class Peer:
    """A task's model as a data scientist has it in a notebook."""

    def __init__(self, task: str, sample: pa.Table) -> None:
        loaded = registry.champion(task).loaded
        card = loaded.card
        self.task, self.names, self.levels = task, list(card.features), dict(card.levels)
        self.refusals, self.cuts = columns_of(card.purpose, card.cohort), (card.grades.a, card.grades.b)
        features = named(card.features)
        self.concepts = sorted({feature.concept for feature in features})
        self.group = np.array([self.concepts.index(feature.concept) for feature in features])
        self.en, self.zh = [feature.en for feature in features], [feature.zh for feature in features]
        asked = sample.filter(refusals(sample, card.purpose, card.cohort).is_null())
        rows = matrix(asked, self.names, self.levels)
        chances = loaded.model.outlook(rows)[:, -1, :]
        drawn = np.random.default_rng(7).random(len(rows))[:, None] < np.cumsum(chances, axis=1)
        kind = np.where(drawn.any(axis=1), drawn.argmax(axis=1) + 1, 0)
        chosen = {name: value for name, value in PARAMETERS.items() if name != "objective"}
        self.model = lgb.LGBMClassifier(n_estimators=ROUNDS, **chosen)
        self.model.fit(self.frame(asked.to_pandas()), kind)

    def frame(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The model's columns, categories as the codes of their levels."""
        columns = {
            name: pd.Categorical(rows[name], self.levels[name]).codes if name in self.levels else rows[name].astype("float64")
            for name in self.names
        }  # fmt: skip
        return pd.DataFrame(columns, index=rows.index)

    def shap(self, columns: pd.DataFrame) -> np.ndarray:
        """(rows x columns): what `shap.TreeExplainer(model).shap_values` gives, which asks LightGBM itself for it."""
        given = self.model.predict_proba(columns, pred_contrib=True)
        by_class = np.asarray(given).reshape(len(columns), -1, len(self.names) + 1)[:, :, :-1]
        return by_class[:, 0] if by_class.shape[1] == 1 else by_class[:, 1:].sum(axis=1)

    def scored(self, rows: pd.DataFrame, customers: Sequence[str]) -> pd.DataFrame:
        columns = self.frame(rows)
        probability = 1.0 - self.model.predict_proba(columns)[:, 0]
        parts = self.shap(columns)
        sums = np.stack([parts[:, self.group == n].sum(axis=1) for n in range(len(self.concepts))], axis=1)
        order = np.argsort(-np.abs(sums), axis=1)[:, :STRONGEST]
        values = columns.to_numpy()
        en, zh = [], []
        for row, strongest in enumerate(order):
            said_en, said_zh = [], []
            for concept in strongest:
                members = np.flatnonzero(self.group == concept)
                raises = sums[row, concept] > 0
                along = parts[row, members] if raises else -parts[row, members]
                feature = members[along.argmax()]
                value = self.said(feature, values[row, feature])
                said_en.append(
                    f"{self.en[feature]}: {value}, which makes it {'more' if raises else 'less'} likely"
                )
                said_zh.append(f"{self.zh[feature]}：{value}，{'提高' if raises else '降低'}可能性")
            en.append(said_en)
            zh.append(said_zh)
        grade = np.select([probability >= cut for cut in self.cuts], ["A", "B"], "C")
        told = {
            "customer_id": list(customers),
            "probability": probability,
            "grade": grade,
            "en": en,
            "zh": zh,
        }
        return pd.DataFrame(told)

    def said(self, feature: int, value: float) -> str:
        name = self.names[feature]
        if name in self.levels:
            return self.levels[name][int(value)] if value >= 0 else "none"
        return "none" if np.isnan(value) else f"{value:,.0f}"


def _peers(home: Path) -> list[Peer]:
    sample = latest(home / "var" / "features").table()
    return [Peer(task, sample) for task in TASKS]


def by_pandas(home: Path, customers: int) -> dict[str, Any]:
    """A data frame, the scikit-learn wrapper, SHAP's contributions."""
    os.chdir(home)
    rows, peers = rows_repeated(home, customers), _peers(home)

    def work() -> None:
        frame = rows.table().to_pandas()
        with tempfile.TemporaryDirectory(dir=home) as place:
            for peer in peers:
                asked = frame[frame[list(peer.refusals)].isna().all(axis=1)]
                peer.scored(asked, asked["customer_id"].to_list()).to_parquet(
                    Path(place) / f"{peer.task}.parquet"
                )

    return measured(work)


def by_spark(home: Path, customers: int) -> dict[str, Any]:
    """The same as MLflow models, asked by `mlflow.pyfunc.spark_udf` on as many cores; the session and the first call are not counted."""
    import mlflow  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra
    from pyspark.sql import functions as F  # noqa: PLC0415, N812

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else whatever `python3` is on the path
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT), os.environ.get("PYTHONPATH", "")]
    )  # workers load this module
    os.chdir(home)
    rows, peers = rows_repeated(home, customers), _peers(home)
    place = Path(tempfile.mkdtemp(dir=home))
    wanted = sorted({name for peer in peers for name in (*peer.names, *peer.refusals)} | {"customer_id"})
    cores = os.cpu_count() or 1
    (place / "rows").mkdir()
    table, rows_per_file = rows.table().select(wanted), -(-customers // (4 * cores))  # work for every core
    for begin in range(0, customers, rows_per_file):
        pa.parquet.write_table(
            table.slice(begin, rows_per_file), place / "rows" / f"part-{begin:09d}.parquet"
        )
    del table
    session = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "6g")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .getOrCreate()
    )
    try:
        for peer in peers:
            mlflow.pyfunc.save_model(place / peer.task, python_model=_Function(peer), signature=None)
        asked = {
            peer.task: mlflow.pyfunc.spark_udf(
                session,
                str(place / peer.task),
                result_type="probability double, grade string, en array<string>, zh array<string>",
                env_manager="local",
            )
            for peer in peers
        }

        def work(source: Path, into: str) -> None:
            for peer in peers:
                given = session.read.parquet(str(source))
                for name in peer.refusals:
                    given = given.filter(F.col(f"`{name}`").isNull())
                columns = F.struct(*(F.col(name) for name in peer.names))
                said = given.select("customer_id", asked[peer.task](columns).alias("said"))
                said.select("customer_id", "said.*").write.parquet(str(place / into / peer.task))

        first = place / "first"
        first.mkdir()
        pa.parquet.write_table(rows.table().slice(0, 500).select(wanted), first / "part-0.parquet")
        work(first, "warm")
        return measured(lambda: work(place / "rows", "scored"))
    finally:
        session.stop()
        shutil.rmtree(place)


class _Function:
    """Made a `PythonModel` when MLflow is there; it comes along by cloudpickle, as users' models do."""

    def __new__(cls, peer: Peer) -> Any:
        import mlflow.pyfunc  # noqa: PLC0415

        class Scores(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
            def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
                return peer.scored(model_input, [""] * len(model_input)).drop(columns="customer_id")

        return Scores()
