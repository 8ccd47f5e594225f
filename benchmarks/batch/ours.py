"""The batch itself, whole or from feature rows on, by its steps."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.batch.steps import Step, measured, timed
from benchmarks.batch.worker import STEPS
from benchmarks.batch.world import TASKS, repeated, rows_repeated
from features import audit, nightly
from features.warehouse import connect
from serving import batch as command
from serving import workers
from serving.runs.reader import Run
from serving.runs.tables import Tables
from training import registry

__all__ = ["from_rows", "whole"]

ROOT = Path(__file__).parents[2]
HERE: list[Step] = [("features", nightly, "materialise"), ("rankings", Tables, "rank")]


def whole(home: Path, customers: int) -> dict[str, Any]:
    """From events to the pointer; nothing is there from a night before."""
    warehouse = connect(str(repeated(home, customers)))
    os.chdir(home)
    shutil.rmtree(home / "night", ignore_errors=True)
    made = nightly.materialise

    def materialise(*given: Any, **more: Any) -> nightly.NightlyRows:
        return made(*given, folder=home / "night", **more)

    with mock.patch.object(nightly, "materialise", materialise):
        return _batch(home, lambda scores: command.batch(warehouse, warehouse.latest_moment, TASKS, scores))


def from_rows(home: Path, customers: int) -> dict[str, Any]:
    """From feature rows that are there to the pointer. The models were read once before, as the peers' are."""
    os.chdir(home)
    rows, warehouse = rows_repeated(home, customers), connect()
    for task in TASKS:
        registry.champion(task)
    with mock.patch.object(nightly, "materialise", return_value=rows):
        return _batch(home, lambda scores: command.batch(warehouse, rows.as_of, TASKS, scores))


def _batch(home: Path, work: Callable[[Path], Run]) -> dict[str, Any]:
    scores, made = home / "scores", []
    shutil.rmtree(scores, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory() as told,
        mock.patch.object(workers, "COMMAND", (sys.executable, "-m", "benchmarks.batch.worker", told)),
        mock.patch.dict(os.environ, PYTHONPATH=str(ROOT)),
        mock.patch.object(audit, "noted", return_value=None),
        timed([*HERE, *STEPS]) as taken,
    ):
        found = measured(lambda: made.append(work(scores)))
        beside = [json.loads(file.read_text()) for file in Path(told).iterdir()]
    bytes_written = sum(file.stat().st_size for file in scores.rglob("*") if file.is_file())
    shutil.rmtree(scores)
    steps = {}
    for title, *_ in [*HERE, *STEPS]:
        at_once = [one[title] for one in beside if title in one]  # others score than write
        steps[title] = taken[title] + sum(at_once) / max(len(at_once), 1)
    steps["the rest"] = found["time"] - sum(steps.values())
    scored = sum(facts.scored for facts in made[0].manifest.tasks.values())
    return found | {"scores": scored, "steps": steps, "published, GB": bytes_written / 1e9}
