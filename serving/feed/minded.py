"""The change feed among those who allow it: whoever has taken a consent back since is told as gone, so that a receiver drops them.

Nobody is left out of the lines, for a feed that was interrupted goes on by their number.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from features.standing import Standing
from serving.runs.manifest import TaskFacts

__all__ = ["minded"]

OF_NOW = frozenset({"grade", "probability", "model_version", "reasons", "parts", "moved", "since"})


def minded(rows: Iterable[Mapping[str, Any]], tasks: Mapping[str, TaskFacts]) -> Iterator[Mapping[str, Any]]:
    """Rows of two runs side by side (see `serving.feed.changes`), with nothing of now for those who do not allow it any more."""
    taken = Standing.here().now()
    for row in rows:
        facts = tasks.get(row["task"])
        refused = facts is not None and taken.refusals([row["customer_id"]], facts.purpose)
        yield {name: None if refused and name in OF_NOW else value for name, value in row.items()}
