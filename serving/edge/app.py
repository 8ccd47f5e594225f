"""The ASGI application made from the table of routes: who, what, whether now, and every error a problem.

Written on ASGI itself: a routing framework's layers cost as much as finding a customer's row. Paths are taken as they
stand: no second spelling (`//`, `/..`, a slash at the end, an encoded slash) reaches a route.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from features.errors import LedgerUnreadable, NotAudited, NoWarehouse, PropensityError, UnknownName
from serving.call import Call
from serving.contract.refusals import Refused
from serving.edge import metrics
from serving.edge.askers import Asker
from serving.edge.door import Door
from serving.edge.line import Line
from serving.edge.problem import Problem
from serving.edge.records import Records
from serving.edge.rounding import encoded
from serving.edge.strict import decoded, parameters
from serving.edge.system import SYSTEM, Reply, System
from serving.edge.table import Paths
from serving.routes import ROUTES, Route

__all__ = ["Edge"]

MOST_BYTES = 1_000_000
BODY_S = 10.0
FEW_CUSTOMERS = 50
JSON = "application/json"
PROBLEM = "application/problem+json"
NOT_OFFERED = "a task is not offered; GET /v1/tasks lists those that are"
NOT_YOURS = "this token may not ask about the task"
ALWAYS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass
class _Noted:
    """What the metrics say of a request: its row of the table, and its status."""

    route: str = "none"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Edge:
    """Everything that is asked by HTTP. Whoever hosts it gives it a `desk` once models are loaded, until then it says 503, and
    `records` of the audit trail: an answer that cannot be recorded is not given.

    `draining`: it goes on answering, says that it is not ready, and closes each connection after its answer. Starts and
    stops are passed to the application `behind`, where there is one.
    """

    def __init__(self, routes: Iterable[Route] = ROUTES, door: Door | None = None) -> None:
        self.desk: Any = None
        self.records: Records | None = None
        self.behind: Any = None
        self.draining = False
        self.door = door or Door.open_on_loopback()
        self.routes = tuple(routes)
        self.quick = Line("quick", patience_s=0.5, most=500, first_guess_s=0.005)
        self.long = Line("long", patience_s=10.0, most=20, first_guess_s=0.5)
        self._paths = Paths([*self.routes, *SYSTEM])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" and self.behind is not None:
            await self.behind(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, noted = time.perf_counter(), _Noted()
        try:
            reply = await self._answer(scope, receive, noted)
            body, kind = reply.body, reply.kind
            noted.headers = dict(reply.headers)
        except Problem as problem:
            body, kind = problem.body(), PROBLEM
            noted.status, noted.headers = problem.status, problem.headers
            metrics.refused(problem.reason)
        except Exception as error:
            body, kind, noted.status = _unforeseen(error).body(), PROBLEM, 500
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body)), *ALWAYS]
        headers += [(name.encode(), value.encode()) for name, value in noted.headers.items()]
        if self.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": noted.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
        metrics.took(noted.route, noted.status, time.perf_counter() - begun)

    async def _answer(self, scope: Scope, receive: Receive, noted: _Noted) -> Reply:
        row, named = self._paths.row(scope)
        noted.route = row.path
        if row.may is None:
            return await row.answer(self)
        asker = await self._asker(row, scope)
        if row.may.isdisjoint(asker.roles):
            may = ", ".join(sorted(row.may))
            raise Problem(403, f"this token may not ask this; these roles may: {may}", reason="role")
        if isinstance(row, System):
            return await row.answer(self)
        if self.desk is None:
            raise Problem(
                503, "models are being loaded; ask again", headers={"retry-after": "2"}, reason="loading"
            )
        if not row.heavy:
            self.quick.admit()
        asked = await self._asked(row, scope, receive, named)
        asked, customers = _within_tasks(asked, asker), len(getattr(asked, "customer_ids", "1"))
        if wait_s := asker.spend(customers):
            retry = {"retry-after": str(int(wait_s) + 1)}
            raise Problem(429, "the quota of customers a minute is used up", headers=retry, reason="quota")
        call = Call(asker.name, asker.tasks)
        line = self.long if row.heavy or customers > FEW_CUSTOMERS else self.quick
        made = await line.answer(
            lambda: self._made(row, asked, call, asker.decimals), gone=lambda: _hung_up(receive)
        )
        return Reply(made, JSON)

    async def _asker(self, row: Route | System, scope: Scope) -> Asker:
        try:
            return await self.door.asker(scope["headers"], page=isinstance(row, System) and row.page)
        except Problem:
            if self.records:
                self.records.not_let_in()
            raise

    async def _asked(self, route: Route, scope: Scope, receive: Receive, named: dict[str, str]) -> Any:
        if route.method == "POST":
            return decoded(await _body(scope, receive), route.asks)
        query = scope["query_string"].decode("ascii", "replace")
        try:
            given = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError:
            raise Problem(
                400, "the query string is not UTF-8, or has too many fields", reason="form"
            ) from None
        return parameters([*named.items(), *given], route.asks)

    def _made(self, route: Route, asked: Any, call: Call, decimals: int | None) -> bytes:
        """The desk's answer as JSON, its fractions with so many decimals; whatever the desk says is wrong becomes a problem."""
        try:
            answer = route.answer(self.desk, asked, call)
            if self.records:
                self.records.answered(answer, call, self.desk.purposes)
            metrics.count_answer(answer)
            return encoded(answer, decimals)
        except Refused as refused:
            errors = [(refused.pointer, refused.detail)] if refused.status == 422 else []
            again = {"retry-after": "2"} if refused.status == 503 else None
            raise Problem(refused.status, refused.detail, errors, again, reason="refused") from None
        except UnknownName:
            raise Problem(422, NOT_OFFERED, [("/tasks", NOT_OFFERED)], reason="unknown_name") from None
        except NoWarehouse:
            raise Problem(503, "no feature rows are there yet; the nightly batch writes them") from None
        except LedgerUnreadable as error:
            log.error("nobody is scored: %s", error)
            raise Problem(
                503, "what customers allow cannot be read, so nobody is scored", reason="consents_unreadable"
            ) from None
        except NotAudited as error:
            log.error("an answer was not given: %s", error)
            raise Problem(
                503, "the answer could not be recorded, so it is not given", reason="not_audited"
            ) from None


def _within_tasks(asked: Any, asker: Asker) -> Any:
    """The question, narrowed to the asker's tasks where it names none. Raises `Problem` 403 for any other task."""
    if asker.tasks is None:
        return asked
    if getattr(asked, "tasks", ()) is None:
        return msgspec.structs.replace(asked, tasks=sorted(asker.tasks))
    for place, task in enumerate(getattr(asked, "tasks", ())):
        if task not in asker.tasks:
            raise Problem(403, NOT_YOURS, [(f"/tasks/{place}", NOT_YOURS)], reason="task")
    if (task := getattr(asked, "task", None)) is not None and task not in asker.tasks:
        raise Problem(403, NOT_YOURS, [("/task", NOT_YOURS)], reason="task")
    return asked


def _unforeseen(error: Exception) -> Problem:
    """A failure inside: its kind and place are logged, never its words, which may hold what was sent."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "nowhere"
    said = f": {error}" if isinstance(error, PropensityError) else ""
    log.error("a request failed: %s at %s%s", type(error).__name__, where, said)
    metrics.refused("internal_error")
    return Problem(500, "the request could not be answered; nothing was changed")


async def _hung_up(receive: Receive) -> None:
    """Return when whoever asked has gone; what else comes is passed over."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The body, given up as soon as it grows past the limit or comes too slowly, before anything parses it."""
    headers = dict(scope["headers"])
    if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/json":
        raise Problem(415, "send the request as application/json")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(415, "send the request uncompressed")
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 15 or int(declared) > MOST_BYTES:
        raise _too_large()
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "the request ended early", reason="hung_up")
                received += message.get("body", b"")
                if len(received) > MOST_BYTES:
                    raise _too_large()
                if not message.get("more_body", False):
                    return bytes(received)
    except TimeoutError:
        said = f"the body did not come within {BODY_S:.0f} seconds"
        raise Problem(408, said, headers={"connection": "close"}) from None


def _too_large() -> Problem:
    said = f"the body is larger than {MOST_BYTES:,} bytes; ask in several requests"
    return Problem(413, said, headers={"connection": "close"})
