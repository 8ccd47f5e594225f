"""Published runs drawn as tables, without models: what sinks and feeds are tested with."""

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from serving.forecast import PARTIAL
from serving.partition import Part
from serving.runs import Run
from serving.runs.folder import publish
from serving.runs.manifest import Manifest, TaskFacts, content_of
from serving.runs.schema import REJECTED, SEGMENTS, STAGED, concepts
from serving.runs.tables import Tables
from serving.runs.work import Work

__all__ = ["night"]

FIRST = datetime(2024, 6, 1)


def night(scores: Path, drawn: str, part_rows: int = 3) -> Run:
    """Publish a run of rows `customer task probability grade concept value model`, one a line, in order; `_` in a customer's id is a
    blank. The contribution of the concept is the value."""
    lines = [line.split() for line in drawn.strip().splitlines()]
    nth = len(list(scores.glob("run-*")))
    as_of = FIRST + timedelta(days=nth)
    names = sorted({concept for _, _, _, _, concept, _, _ in lines}) or ["visits"]
    work = Work(scores, "drawn".ljust(64, "0"))
    tasks = sorted({line[1] for line in lines})
    parts = [lines[n : n + part_rows] for n in range(0, len(lines), part_rows)] or [[]]
    for number, some in enumerate(parts):
        work.keep(number, _part(some, names, as_of))
    work.again()
    tables = Tables(work, range(len(parts)), tasks)
    files = tables.promise({})
    for task in tasks:
        files |= tables.rank(task)
    for number in range(len(parts)):
        files |= tables.write(number)
    population = len({line[0] for line in lines})
    counts = {task: sum(line[1] == task for line in lines) for task in tasks}
    facts = {
        task: TaskFacts("1", "d", "marketing", 30, n, 0, {"elsewhere": population - n}, {}) for task, n in counts.items()
    }  # fmt: skip

    def manifest(name: str, sequence: int) -> Manifest:
        return Manifest(run=name, sequence=sequence, key="k", as_of=as_of, expires_at=as_of + timedelta(days=7), made_at=as_of,
                        warehouse="w", rows="r", population=population, tasks=facts, files=files,
                        content=content_of(files))  # fmt: skip

    folder = publish(scores, work.run, as_of, manifest)
    work.clear()
    return Run.open(folder)


def _part(lines: list[list[str]], names: list[str], as_of: datetime) -> Part:
    rows, sums = [], []
    for customer, task, probability, grade, concept, value, model in lines:
        number, who = float(value), customer.replace("_", " ")
        reason = {"concept": concept, "direction": "raises", "contribution": number, "feature": f"{concept}_90d", "value": number,
                  "en": f"{concept} in 90 days: {number:g}, which makes it more likely", "zh": f"近90天{concept}：{number:g}，提高可能性"}  # fmt: skip
        rows.append({"customer_id": who, "task": task, "as_of": as_of, "expires_at": as_of + timedelta(days=7), "horizon_days": 30,
                     "probability": float(probability), "grade": grade, "reasons": [reason], "model_version": model,
                     "outlook": [{"outcome": "order", "horizon_days": 30, "probability": float(probability)}]})  # fmt: skip
        sums.append({"customer_id": who, "task": task, concept: round(number * 1000)})
    return Part(pa.Table.from_pylist(rows, STAGED), pa.Table.from_pylist(sums, concepts(names)), SEGMENTS.empty_table(), PARTIAL.empty_table(), REJECTED.empty_table(), {}, {})  # fmt: skip
