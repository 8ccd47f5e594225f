"""Scoring where the feature rows are: on Spark, by the same code and the same models, batch by batch of Arrow.

    rows = warehouse.engine._session.sql(...)              # nightly rows: features and cohorts' answers, one row a customer
    scored(rows, registry.champions(), as_of, expires_at).write.partitionBy("task").parquet("hdfs://.../staging")

Each worker checks every model's golden predictions before it scores, so another processor or another LightGBM is found out. The table is
the long one without percentiles, which need everybody, and without what moved, which needs the night before: `python -m serving.batch` on a
warehouse that is Spark's builds the features there and brings the rows to one machine, which ranks, compares, hashes and publishes them. From
laptop to cluster: docs/runs-of-scores.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from features.consent import columns_of
from features.standing import Standing
from serving.partition import believed, score_part
from serving.runs.schema import REJECTED
from serving.scorer import Scorer
from training.registry import Champion

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["scored"]

# Spark's Arrow knows microseconds with a zone or without, and lists of structs by the names of their fields.
SCHEMA = """customer_id string, task string, as_of timestamp_ntz, expires_at timestamp_ntz, horizon_days int, probability double, grade string,
outlook array<struct<outcome: string, horizon_days: int, probability: double>>,
reasons array<struct<concept: string, direction: string, contribution: double, feature: string, value: double, en: string, zh: string>>,
model_version string"""
COLUMNS = [
    "customer_id", "task", "as_of", "expires_at", "horizon_days", "probability", "grade", "outlook", "reasons", "model_version",
]  # fmt: skip


def scored(
    rows: "DataFrame", champions: Sequence[Champion], as_of: datetime, expires_at: datetime
) -> "DataFrame":
    """Every champion's scores with reasons, one row a customer and task. `rows` are nightly rows; those that cannot be believed are left out.

    Raises `BadModel`, on a worker, when a model does not give its golden predictions there.
    """

    taken = (
        Standing.here().now()
    )  # workers see no ledger; what is told meanwhile is minded when the run is published

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorers: list[Scorer] = []
        for batch in batches:
            block = pa.Table.from_batches([batch]).sort_by("customer_id")
            if not scorers:
                scorers = [Scorer(champion, taken) for champion in champions]
                for scorer in scorers:
                    scorer.loaded.self_test()
            names = sorted({name for scorer in scorers for name in scorer.card.features})
            good, _ = believed(block, names, 0, None)
            made = score_part(scorers, good, REJECTED.empty_table(), as_of, expires_at).long
            yield from made.select(COLUMNS).to_batches()

    needed = {name for champion in champions for name in champion.loaded.card.features}
    cards = [champion.loaded.card for champion in champions]
    cohorts = {name for card in cards for name in columns_of(card.purpose, card.cohort)}
    wanted = ["customer_id", *sorted(needed | cohorts)]
    return rows.select(*(f"`{name}`" for name in wanted)).mapInArrow(score, SCHEMA)
