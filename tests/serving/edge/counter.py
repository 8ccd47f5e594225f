"""A table of routes of its own, without models: what the edge does is the same for any table."""

import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from starlette.testclient import TestClient

from serving.call import ROLES, Call
from serving.contract.refusals import Refused
from serving.contract.words import CustomerId, Instant, TaskName
from serving.edge.app import Edge
from serving.edge.door import Door
from serving.routes import Route

__all__ = ["Desk", "client", "edge"]


class Part(msgspec.Struct, forbid_unknown_fields=True):
    amount: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
    times: Annotated[int, msgspec.Meta(ge=0, le=100)] = 1
    at: Instant | None = None
    words: list[Annotated[str, msgspec.Meta(max_length=10)]] = []


class SumRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Sums of parts; for one or several customers."""

    customer_ids: Annotated[list[CustomerId], msgspec.Meta(min_length=1, max_length=10_000)]
    parts: list[Part] = []
    tasks: list[TaskName] | None = None


class SumAnswer(msgspec.Struct):
    asker: str
    tasks: list[str] | None
    customers: int
    total: float
    latest: datetime | None = None


class OneRequest(msgspec.Struct, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=0, le=1_000)]
    twice: bool = False


class OneAnswer(msgspec.Struct):
    number: int


class Desk:
    """Adds up. `slow_s` is how long an answer takes, `most_at_once` how many were made at the same time."""

    def __init__(self) -> None:
        self.scorers: dict[str, Any] = {}
        self.slow_s, self.now, self.most_at_once, self.made = 0.0, 0, 0, 0
        self._lock = threading.Lock()

    def sums(self, asked: SumRequest, call: Call) -> SumAnswer:
        with self._lock:
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
        time.sleep(self.slow_s)
        with self._lock:
            self.now, self.made = self.now - 1, self.made + 1
        latest = max((part.at for part in asked.parts if part.at), default=None)
        total = sum(part.amount * part.times for part in asked.parts)
        return SumAnswer(call.asker, asked.tasks, len(asked.customer_ids), total, latest)

    def one(self, asked: OneRequest) -> OneAnswer:
        if asked.number == 404:
            raise Refused(404, "there is no such number")
        if asked.number == 500:
            raise ValueError(f"secret {asked}")
        return OneAnswer(asked.number * (2 if asked.twice else 1))

    def self_test(self) -> None:
        pass


ROUTES = (
    Route(
        method="POST",
        path="/sums",
        may=frozenset({"crm"}),
        asks=SumRequest,
        answers=SumAnswer,
        answer=lambda desk, asked, call: desk.sums(asked, call),  # type: ignore[attr-defined]
        summary="Sums",
    ),
    Route(
        method="GET",
        path="/numbers/{number}",
        may=frozenset(ROLES),
        asks=OneRequest,
        answers=OneAnswer,
        answer=lambda desk, asked, _: desk.one(asked),  # type: ignore[attr-defined]
        summary="One number",
    ),
)


def edge(door: Door | None = None) -> Edge:
    made = Edge(ROUTES, door)
    made.desk = Desk()
    return made


def client(app: Edge, headers: Mapping[str, str] | None = None) -> TestClient:
    return TestClient(app, raise_server_exceptions=False, headers=dict(headers or {}))
