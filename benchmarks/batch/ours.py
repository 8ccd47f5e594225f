"""The batch itself, whole or from feature rows on, by its steps."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.batch.steps import Step, measured, timed
from benchmarks.batch.world import TASKS, repeated, rows_repeated
from features import audit, nightly
from features.reasons import Explainer
from features.warehouse import connect
from serving import batch as command
from serving.runs.reader import Run
from serving.runs.tables import Tables
from serving.runs.work import Work
from serving.scorer import Scorer
from training import registry

__all__ = ["from_rows", "whole"]

STEPS: list[Step] = [
    ("features", nightly, "materialise"),
    ("rows read", nightly.NightlyRows, "read"),
    ("rows believed", command, "believed"),
    ("scores as tables", command, "score_part"),
    ("parts kept", Work, "keep"),
    ("rankings", Tables, "rank"),
    ("files written", Tables, "write"),
]
WITHIN: list[Step] = [  # inside `score_part`, in as many threads as there are cores
    ("probabilities", Scorer, "answer"),
    ("contributions", Scorer, "parts_of"),
    ("reasons", Explainer, "speaking"),
    ("sentences", Explainer, "words"),
]


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
    with mock.patch.object(audit, "noted", return_value=None), timed([*STEPS, *WITHIN]) as taken:
        found = measured(lambda: made.append(work(scores)))
    bytes_written = sum(file.stat().st_size for file in scores.rglob("*") if file.is_file())
    shutil.rmtree(scores)
    clock = {title: taken[title] for title, *_ in STEPS}
    inside = {title: taken[title] / command.THREADS for title, *_ in WITHIN}
    steps = clock | inside | {"scores as tables": clock["scores as tables"] - sum(inside.values()),
                              "the rest": found["time"] - sum(clock.values())}  # fmt: skip
    scored = sum(told.scored for told in made[0].manifest.tasks.values())
    return found | {"scores": scored, "steps": steps, "published, GB": bytes_written / 1e9}
