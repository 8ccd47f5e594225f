"""The routes under /v1: decode strictly, ask the desk, answer JSON; every error is problem+json (RFC 9457)."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features.errors import NoWarehouse, PropensityError, UnknownName
from serving.contract.scores import ScoreRequest

__all__ = ["application"]

MOST_BYTES = 1_000_000
TITLES = {
    400: "Bad request",
    404: "Not found",
    405: "Method not allowed",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not acceptable content",
    500: "Internal error",
    503: "Not ready",
}


class Problem(Exception):
    """An answer that is an error. `errors` holds (JSON pointer, what is wrong)."""

    def __init__(self, status: int, detail: str, errors: list[tuple[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, errors or []


def application() -> Starlette:
    """The ASGI application. Whoever hosts it puts a `Desk` on `app.state.desk` once models are loaded."""
    return Starlette(
        routes=[
            Route("/scores", _scores, methods=["POST"]),
            Route("/tasks", _tasks, methods=["GET"]),
        ],
        exception_handlers={
            Problem: _on_problem,
            HTTPException: _on_http,
            UnknownName: _on_unknown_name,
            NoWarehouse: _on_not_ready,
            PropensityError: _on_failure,
            Exception: _on_failure,
        },
    )


async def _scores(request: Request) -> Response:
    asked = _decoded(await _body(request))
    return _json(200, _desk(request).scores(asked.customer_ids, asked.tasks))


async def _tasks(request: Request) -> Response:
    return _json(200, _desk(request).tasks())


def _desk(request: Request) -> Any:
    desk = getattr(request.app.state, "desk", None)
    if desk is None:
        raise Problem(503, "models are being loaded; ask again in a few seconds")
    return desk


async def _body(request: Request) -> bytes:
    """The body, given up as soon as it grows past the limit, before anything parses it."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "send the request as application/json")
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MOST_BYTES:
            raise Problem(413, f"the body is larger than {MOST_BYTES:,} bytes; ask in several requests")
    return bytes(received)


def _decoded(body: bytes) -> ScoreRequest:
    try:
        return msgspec.json.decode(body, type=ScoreRequest)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        raise Problem(422, "the request is not of the documented form", [(_pointer(where), what)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "the body is not JSON in UTF-8") from error


def _pointer(path: str) -> str:
    """`$.customer_ids[3]` as the JSON pointer `/customer_ids/3`."""
    return re.sub(r"[.\[]", "/", path.strip("`").removeprefix("$")).replace("]", "")


def _json(status: int, answer: Any, kind: str = "application/json") -> Response:
    return Response(msgspec.json.encode(answer), status, media_type=kind)


def _problem(status: int, detail: str, errors: list[tuple[str, str]] | None = None) -> Response:
    said: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    if errors:
        said["errors"] = [{"pointer": pointer, "detail": what} for pointer, what in errors]
    return _json(status, said, "application/problem+json")


Handler = Callable[[Request, Exception], Response]


def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _problem(error.status, error.detail, error.errors)


def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = _problem(error.status_code, TITLES.get(error.status_code, "the request cannot be answered"))
    answer.headers.update(error.headers or {})
    return answer


def _on_unknown_name(_: Request, error: Exception) -> Response:
    return _problem(422, str(error), [("/tasks", str(error))])


def _on_not_ready(_: Request, __: Exception) -> Response:
    return _problem(503, "no feature rows are there yet; the nightly batch writes them")


def _on_failure(_: Request, __: Exception) -> Response:
    return _problem(500, "the request could not be answered; nothing was changed")
