"""The early warning over runs: calm from night to night, and what is planted is named before any outcome is known."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import ibis.expr.types as ir
import pandas as pd
import pytest

from features import nightly
from features.errors import BadRun, OpenWindow
from features.nightly import rows_folder
from features.warehouse import Warehouse, connect
from serving import batch as command
from serving import watch
from serving.batch import batch
from serving.runs import Run
from serving.watch import night_of, watched
from tests.shop import END
from training import registry
from training.drift import Drift
from training.tasks import task_named

BEFORE = END - timedelta(days=7)


@pytest.fixture
def place(in_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows and runs of these nights lie apart from the shop's."""
    monkeypatch.setattr(nightly, "materialise", partial(nightly.materialise, folder=tmp_path / "rows"))
    for module in (command, watch):
        monkeypatch.setattr(module, "rows_folder", lambda: tmp_path / "rows")
    return tmp_path


def drift(run: Run, task: str) -> Drift:
    champion = registry.champion(task)
    night = night_of(run, task, champion.loaded)
    assert night is not None
    return watched(run, task, champion.loaded, champion.version, night).drift


def with_source(held: Warehouse, name: str, change: Callable[[ir.Table], ir.Table]) -> Warehouse:
    return replace(
        held, tables={**held.tables, name: change(held.tables[name])}, digest=f"{held.digest} changed"
    )


def test_what_is_watched_is_what_was_scored(place: Path) -> None:
    run = batch(connect(), END, scores=place / "scores")
    for task, facts in run.manifest.tasks.items():
        champion = registry.champion(task)
        night = night_of(run, task, champion.loaded)
        assert night is not None
        assert len(night.rows) == facts.scored
        ranked = {row["customer_id"]: row["probability"] for row in run.ranked(task).to_pylist()}
        told = dict(zip(night.customers, night.probabilities, strict=True))
        assert told == ranked
        assert night.rows["customer_id"].tolist() == night.customers.tolist()
    with pytest.raises(BadRun, match="holds no scores for upgrade; it holds churn"):
        night_of(run, "upgrade", champion.loaded)


def test_of_many_customers_some_are_drawn(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = batch(connect(), END, scores=place / "scores")
    task = next(iter(run.manifest.tasks))
    loaded = registry.champion(task).loaded
    whole = night_of(run, task, loaded)
    monkeypatch.setattr(watch, "MOST_ROWS", 50)
    some = night_of(run, task, loaded)
    assert whole is not None
    assert some is not None
    assert some.customers.tolist() == whole.customers.tolist()
    assert len(some.rows) == 50
    pd.testing.assert_frame_equal(
        some.rows.set_index("customer_id"), whole.rows.set_index("customer_id").loc[some.rows["customer_id"]]
    )
    assert watched(run, task, loaded, "1", some).drift.rows == len(whole.customers)


def test_the_monitor_says_so_before_the_labels_do(place: Path) -> None:
    """Customers order as ever, but a delivery loses nine of ten orders of the last two months: no outcome window of that night is closed."""
    held = connect()
    before = batch(held, BEFORE, scores=place / "scores")
    calm = batch(held, END, scores=place / "scores")
    then, usual = drift(before, "churn"), drift(calm, "churn")
    assert usual.sudden(then) == []
    lately = END - timedelta(days=60)
    broken = with_source(
        held,
        "orders",
        lambda rows: rows.filter((rows.happened_at < lately) | (rows.order_id.hash() % 10 == 0)),
    )
    night = batch(broken, END, scores=place / "scores")
    with pytest.raises(OpenWindow):
        task_named("churn", held).require_closed([END], held)
    found = drift(night, "churn")
    assert found.advice
    assert len(found.advice) > len(usual.advice)
    assert any("shifted" in one or "PSI" in one or "cohort" in one for one in found.advice)
    assert any("PSI" in one for one in found.sudden(then))


def test_rows_that_are_gone_are_said_to_be(place: Path) -> None:
    run = batch(connect(), END, scores=place / "scores")
    (place / "rows" / run.manifest.rows).unlink()
    assert night_of(run, "churn", registry.champion("churn").loaded) is None


@pytest.mark.slow
def test_the_command_ends_with_what_a_scheduler_needs(in_shop: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.watch"], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, watch.RETRAIN), done.stderr
    assert (done.returncode == watch.RETRAIN) == ("retrain: " in done.stdout)
    assert "churn version 1 as of 2024-06-19" in done.stdout
    assert rows_folder().is_dir()
    assert datetime(2024, 6, 19) == END
