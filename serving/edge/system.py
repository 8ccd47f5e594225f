"""Paths beside the questions: is it alive, is it ready, what do the monitors read, what is documented.

Only liveness is open; everything else wants a token, also the document and its page.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from features.errors import PropensityError
from serving.call import ROLES, Role
from serving.console import console
from serving.edge import metrics
from serving.edge.problem import Problem

if TYPE_CHECKING:
    from serving.edge.app import Edge

__all__ = ["SYSTEM", "Reply", "System"]

ALL = frozenset(ROLES)
NOTHING_FROM_OUTSIDE = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
}


@dataclass(frozen=True)
class Reply:
    body: bytes
    kind: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class System:
    """A path outside /v1. `may` None: open to all. A `page` is looked at with a browser, which may ask for the token."""

    path: str
    may: frozenset[Role] | None
    answer: "Callable[[Edge], Awaitable[Reply]]"
    page: bool = False
    method: Literal["GET"] = "GET"


class ModelAge(msgspec.Struct, frozen=True):
    version: str
    trained_through: datetime
    age_days: int


class Ready(msgspec.Struct, frozen=True):
    """Every model has just given its golden predictions."""

    ready: bool
    models: dict[str, ModelAge]


async def _alive(_: "Edge") -> Reply:
    return Reply(b'{"alive":true}', "application/json")


async def _ready(edge: "Edge") -> Reply:
    if edge.draining:
        raise Problem(503, "the service is about to stop", reason="draining")
    if edge.desk is None:
        raise Problem(503, "models are being loaded", reason="loading")
    try:
        await asyncio.to_thread(edge.desk.self_test)
    except PropensityError:
        raise Problem(503, "a model does not give its golden predictions", reason="self_test") from None
    today = datetime.now(UTC).replace(tzinfo=None)
    ages = {}
    for task, scorer in edge.desk.scorers.items():
        through = scorer.used.trained_through
        ages[task] = ModelAge(scorer.used.version, through, (today - through).days)
    return Reply(msgspec.json.encode(Ready(True, ages)), "application/json")


async def _metrics(_: "Edge") -> Reply:
    return Reply(await asyncio.to_thread(metrics.exposition), "text/plain; version=0.0.4; charset=utf-8")


async def _openapi(edge: "Edge") -> Reply:
    return Reply(msgspec.json.encode(_document(edge.routes)), "application/json")


async def _docs(edge: "Edge") -> Reply:
    from serving.edge.page import page  # noqa: PLC0415  not needed to answer

    return Reply(page(_document(edge.routes)).encode(), "text/html; charset=utf-8", NOTHING_FROM_OUTSIDE)


async def _console(_: "Edge") -> Reply:
    content, policy = console()
    return Reply(content, "text/html; charset=utf-8", {"content-security-policy": policy})


def _document(routes: Any) -> dict[str, Any]:
    from serving.edge.openapi import document  # noqa: PLC0415  not needed to answer, and made of this table

    return document(routes)


SYSTEM: tuple[System, ...] = (
    System(path="/livez", may=None, answer=_alive),
    System(path="/healthz", may=None, answer=_alive),
    System(path="/readyz", may=ALL, answer=_ready),
    System(path="/metrics", may=frozenset({"operator"}), answer=_metrics),
    System(path="/openapi.json", may=ALL, answer=_openapi),
    System(path="/docs", may=ALL, answer=_docs, page=True),
    System(path="/console", may=ALL, answer=_console, page=True),
)
