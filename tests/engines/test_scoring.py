"""Scores made on Spark are those made here, bit for bit."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.engines import java_found
from features import nightly
from serving.partition import score_part
from serving.runs.schema import REJECTED
from serving.scorer import Scorer
from tests.engines.conftest import NO_JAVA
from tests.shop import END
from training import registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_ten_thousand_customers_by_all_tasks(in_shop: Path) -> None:
    if not java_found():
        pytest.skip(NO_JAVA)
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra

    from serving.spark import scored  # noqa: PLC0415

    rows = nightly.latest().table()
    many = rows.take(pa.array(np.arange(10_000) % len(rows)))
    many = many.set_column(0, "customer_id", pa.array([f"C{n:06d}" for n in range(10_000)]))
    champions = registry.champions()
    until = END + timedelta(days=7)
    here = score_part([Scorer(c) for c in champions], many, REJECTED.empty_table(), END, until).long
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        session.conf.set("spark.sql.session.timeZone", "UTC")
        there = scored(session.createDataFrame(many), champions, END, until).toArrow()
    finally:
        session.stop()
    there = there.sort_by([("customer_id", "ascending"), ("task", "ascending")])
    assert len(there) == len(here) > 15_000
    for name in ("customer_id", "task", "probability", "grade", "model_version", "horizon_days", "as_of"):
        assert there[name].to_pylist() == here[name].to_pylist(), name
    assert there["outlook"].to_pylist() == here["outlook"].to_pylist()
    said = ("concept", "direction", "feature", "value", "en", "zh")
    for one, other in zip(there["reasons"].to_pylist(), here["reasons"].to_pylist(), strict=True):
        assert [[reason[part] for part in said] for reason in one] == [[reason[part] for part in said] for reason in other]  # fmt: skip
