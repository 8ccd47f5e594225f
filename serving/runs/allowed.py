"""Which rows of a run's tables may still be read: whoever has taken a consent back since is in none of them."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from features.standing import Standing
from serving.runs.manifest import TaskFacts

__all__ = ["Gone", "allowed", "ids", "of_gone", "of_persons"]

Gone = Mapping[str, Mapping[str, str]]
"""By task: customers who may not be scored for it, and why."""


def allowed(table: pa.Table, tasks: Mapping[str, TaskFacts], standing: Standing | None = None) -> pa.Table:
    """The rows of a run's table whose customers allow it by now: of their task, where rows have one, or of all tasks."""
    taken = (standing or Standing.here()).now()
    if not taken.no or "customer_id" not in table.column_names:
        return table
    who, told = ids(table), {}
    for purpose in {facts.purpose for facts in tasks.values()}:
        told[purpose] = taken.refusals(dict.fromkeys(who), purpose)
    if "task" not in table.column_names:
        everybody = {one: why for refused in told.values() for one, why in refused.items()}
        return table.filter(pc.invert(of_persons(table, everybody)))
    gone = {task: told[facts.purpose] for task, facts in tasks.items()}
    return table.filter(pc.invert(of_gone(table, gone)))


def of_gone(table: pa.Table, gone: Gone) -> pa.ChunkedArray:
    """Which rows of a table with tasks are of somebody who is gone for the task."""
    found = pa.chunked_array([pa.repeat(pa.scalar(False), len(table))])
    for task, who in gone.items():
        if who:
            found = pc.or_(found, pc.and_(pc.equal(table["task"], task), of_persons(table, who)))
    return found


def of_persons(table: pa.Table, who: Mapping[str, str]) -> pa.ChunkedArray:
    """Which rows of a table are of these customers."""
    return pc.is_in(table["customer_id"], pa.array(list(who), pa.string()))


def ids(table: pa.Table) -> list[str]:
    """The customers of a table's rows, in their order."""
    found: list[str] = table["customer_id"].to_pylist()
    return found
