"""What may be asked: one row per route. Adding a row adds the route, its checks, its roles and its page in the document.

`asks` is a struct of `serving.contract`: for a POST the body, for a GET the path's `{names}` and the query string. `answer`
gets the desk, that struct and the `Call`, runs off the event loop and returns an `answers` struct.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from serving.call import Call, Role
from serving.contract.about import CardRequest, Catalogue, ModelCard, TasksAnswer
from serving.contract.consents import ConsentsAnswer, ConsentsRequest
from serving.contract.decisions import DecisionsAnswer, DecisionsRequest
from serving.contract.events import EventsRequest, WhatIfAnswer, WhatIfRequest
from serving.contract.explanation import Explanation, ExplanationRequest
from serving.contract.lists import ListAnswer, ListRequest
from serving.contract.people import DriftAnswer, FiltersAnswer, History, HistoryRequest
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


ASK: frozenset[Role] = frozenset({"crm", "adviser", "scientist"})
EVERYBODY: frozenset[Role] = ASK | {"operator"}

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/scores",
        may=ASK,
        asks=ScoreRequest,
        answers=ScoresAnswer,
        answer=lambda desk, asked, call: desk.scores(asked.customer_ids, asked.tasks, call.tasks),
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
        may=EVERYBODY,
        answers=TasksAnswer,
        answer=lambda desk, _asked, _call: desk.tasks(),
        summary="What may be asked, and how good the answers are",
        examples={"all": {}},
    ),
    Route(
        method="POST",
        path="/scores/events",
        may=ASK,
        asks=EventsRequest,
        answers=ScoresAnswer,
        answer=lambda desk, asked, call: desk.events(asked, call.tasks, call.asker),
        summary="Scores of one customer from posted events",
        description="The stored history with what arrived a second ago, or a history given whole, as of a moment. For the "
        "same past the numbers are the nightly batch's, to the bit. Under an idempotency key a repeat has the first answer.",
        examples={
            "an order of an hour ago": {
                "customer_id": "C00001",
                "as_of": "2024-06-19T12:00:00Z",
                "events": {
                    "orders": [
                        {
                            "order_id": "o-1",
                            "happened_at": "2024-06-19T11:00:00Z",
                            "kind": "order",
                            "quantity": 1,
                        }
                    ]
                },
                "tasks": ["churn"],
                "idempotency_key": "4f1c9a7e-0001",
            },
            "a history given whole": {
                "customer_id": "new-1",
                "as_of": "2024-06-19T12:00:00Z",
                "history": "given",
                "events": {
                    "customers": [{"profile_id": "p-1", "happened_at": "2024-01-05T00:00:00Z"}],
                    "consents": [
                        {
                            "consent_id": purpose,
                            "happened_at": "2024-01-05T00:00:00Z",
                            "purpose": purpose,
                            "state": "granted",
                        }
                        for purpose in ("marketing", "service", "profiling")
                    ],
                    "orders": [{"order_id": "o-1", "happened_at": "2024-05-01T09:30:00Z", "kind": "order"}],
                },
            },
        },
    ),
    Route(
        method="POST",
        path="/scores/what-if",
        may=frozenset({"adviser", "scientist"}),
        asks=WhatIfRequest,
        answers=WhatIfAnswer,
        answer=lambda desk, asked, call: desk.what_if(asked, call.tasks),
        summary="The same customer with a fact changed, side by side",
        description="Hypothetical: nothing of it is a score, bears a score id or is logged.",
        examples={
            "had ordered yesterday": {
                "customer_id": "C00001",
                "as_of": "2024-06-19T00:00:00Z",
                "suppose": {
                    "events": {
                        "orders": [{"order_id": "x", "happened_at": "2024-06-18T00:00:00Z", "kind": "order"}]
                    }
                },
            },
            "a feature set": {"customer_id": "C00001", "suppose": {"features": {"days_since_order": 1}}},
        },
    ),
    Route(
        method="POST",
        path="/consents",
        may=frozenset({"crm", "adviser"}),
        asks=ConsentsRequest,
        answers=ConsentsAnswer,
        answer=lambda desk, asked, call: desk.consents(asked, call.asker),
        summary="Consents given and taken back",
        description="Held at once, in spite of what the night's rows say, by every replica and by the batch. Once taken back it stays so "
        "until it is given again here, and then what was delivered decides.",
        examples={
            "no more marketing": {
                "changes": [{"customer_id": "C99999", "purpose": "marketing", "state": "withdrawn"}]
            }
        },
    ),
    Route(
        method="POST",
        path="/decisions",
        may=frozenset({"adviser"}),
        asks=DecisionsRequest,
        answers=DecisionsAnswer,
        answer=lambda desk, asked, call: desk.decisions(asked, call.tasks, call.asker),
        summary="A score is contested, or a human decided instead",
        description="Later scores of the customer for the task say so, from the service and from the batch, until it is settled.",
        examples={
            "contested": {"decisions": [{"customer_id": "C99999", "task": "churn", "decision": "contested"}]}
        },
    ),
    Route(
        method="POST",
        path="/lists",
        may=frozenset({"crm", "scientist"}),
        asks=ListRequest,
        answers=ListAnswer,
        answer=lambda desk, asked, call: desk.campaign_list(asked, call.tasks),
        summary="The top of a task within filters, what it will hold and bring",
        description="Expected outcomes with an interval that counts that probabilities may be off together, the gains curve, "
        "and the money that the task declares.",
        heavy=True,
        examples={
            "the first hundred": {"task": "purchase_intent", "capacity": 100, "show": 5},
            "only how many to expect": {"task": "churn", "capacity": 500, "show": 0},
        },
    ),
    Route(
        method="GET",
        path="/explanations/{score_id}",
        may=ASK,
        asks=ExplanationRequest,
        answers=Explanation,
        answer=lambda desk, asked, call: desk.explanation(asked.score_id, call.tasks),
        summary="Why a score was what it was, by its id",
        description="Inputs, contributions that add up, and the words that were told; also after the model was replaced.",
    ),
    Route(
        method="GET",
        path="/customers/{customer_id}/history",
        may=frozenset({"adviser", "scientist"}),
        asks=HistoryRequest,
        answers=History,
        answer=lambda desk, asked, call: desk.history(asked, call.tasks),
        summary="A customer's past, month by month",
        heavy=True,
        examples={"a year": {"customer_id": "C00001", "months": 12}},
    ),
    Route(
        method="GET",
        path="/models/{task}",
        may=EVERYBODY,
        asks=CardRequest,
        answers=ModelCard,
        answer=lambda desk, asked, _: desk.card(asked.task),
        summary="The card of the model that serves a task",
        examples={"churn": {"task": "churn"}},
    ),
    Route(
        method="GET",
        path="/features",
        may=EVERYBODY,
        answers=Catalogue,
        answer=lambda desk, _asked, _call: desk.catalogue(),
        summary="Every feature in words, and which models read it",
        examples={"all": {}},
    ),
    Route(
        method="GET",
        path="/filters",
        may=ASK,
        answers=FiltersAnswer,
        answer=lambda desk, _asked, _call: desk.filters(),
        summary="What lists may be filtered by here",
        examples={"all": {}},
    ),
    Route(
        method="GET",
        path="/drift",
        may=EVERYBODY,
        answers=DriftAnswer,
        answer=lambda desk, _asked, call: desk.drift(call.tasks),
        summary="How far tonight's customers are from those the models learned from",
        heavy=True,
        examples={"all": {}},
    ),
)
