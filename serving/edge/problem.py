"""Errors as problem+json (RFC 9457): what is wrong, where by JSON pointer, and never a value that was sent."""

from collections.abc import Mapping, Sequence

import msgspec

__all__ = ["TITLES", "FieldError", "Problem", "ProblemBody"]

TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Request too slow",
    409: "Conflict",
    411: "Length required",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not acceptable content",
    429: "Too many requests",
    431: "Headers too large",
    500: "Internal error",
    503: "Not available now",
}


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong at one place of the request: a JSON pointer (RFC 6901), and a sentence."""

    pointer: str
    detail: str


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every answer that is an error."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class Problem(Exception):
    """An answer that is an error. `errors` holds (JSON pointer, what is wrong); `headers` go out with it; `reason` is the
    word under which the metrics count it."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, list(errors)
        self.headers = dict(headers or {})
        self.reason = reason or TITLES.get(status, "error").lower().replace(" ", "_")

    def body(self) -> bytes:
        errors = [FieldError(pointer, what) for pointer, what in self.errors]
        said = ProblemBody("about:blank", TITLES.get(self.status, "Error"), self.status, self.detail, errors)
        # `type` is not left out although it is the default that the RFC has.
        return msgspec.json.encode(said)
