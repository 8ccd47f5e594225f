"""What may be asked: one row per route. Adding a row adds the route, its checks, its roles and its page in the document.

`asks` is a struct of `serving.contract`: for a POST the body, for a GET the path's `{names}` and the query string. `answer`
gets the desk, that struct and the `Call`, runs off the event loop and returns an `answers` struct.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from serving.call import Call, Role
from serving.contract.about import TasksAnswer
from serving.contract.scores import ScoreRequest, ScoresAnswer
from serving.desk import Desk

__all__ = ["ROUTES", "Nothing", "Route"]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A question without parameters."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route under /v1. `examples` are questions by name, asked of a small invented shop by a test and shown in the
    document. A `heavy` question waits in the line of those that take
    seconds."""

    method: Literal["GET", "POST"]
    path: str
    may: frozenset[Role]
    asks: type[msgspec.Struct] = Nothing
    answers: type[msgspec.Struct]
    answer: Callable[[Desk, Any, Call], msgspec.Struct]
    summary: str
    description: str = ""
    heavy: bool = False
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/scores",
        may=frozenset({"crm", "adviser", "scientist"}),
        asks=ScoreRequest,
        answers=ScoresAnswer,
        answer=lambda desk, asked, _: desk.scores(asked.customer_ids, asked.tasks),
        summary="Scores of customers by id",
        description="One answer per task and customer, in the order asked. Whoever has no score is told why.",
        examples={
            "one customer, one task": {"customer_ids": ["C00001"], "tasks": ["churn"]},
            "one known, one not": {"customer_ids": ["C00001", "nobody"]},
        },
    ),
    Route(
        method="GET",
        path="/tasks",
        may=frozenset({"crm", "adviser", "scientist", "operator"}),
        answers=TasksAnswer,
        answer=lambda desk, _asked, _call: desk.tasks(),
        summary="What may be asked, and how good the answers are",
        examples={"all": {}},
    ),
)
