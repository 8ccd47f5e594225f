"""What a connection may do before and after there is a request: headers in time and of a size, answers that are read.

The server above us (uvicorn) has no such limits, and says what is not HTTP in plain text; a proxy in front should have
them too. `guard_connections` makes uvicorn use this protocol; BentoML has no setting for it.
"""

import asyncio
from typing import Any

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.edge.problem import Problem

__all__ = ["HEADERS_S", "MOST_HEADER_BYTES", "UNREAD_S", "Guarded", "guard_connections"]

HEADERS_S = 10.0
UNREAD_S = 15.0
IDLE_S = 75  # longer than anybody is told to wait: who comes back finds the connection
MOST_HEADER_BYTES = 16_384
MOST_RAW_BYTES = 512 * 1024  # what may arrive in one piece, headers and the begin of a body


class Guarded(HttpToolsProtocol):
    """uvicorn's protocol with deadlines: HEADERS_S from the first byte (or from connecting) to the end of the headers, and
    UNREAD_S for a peer that does not read its answer; between requests a connection is kept for IDLE_S."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.timeout_keep_alive = max(self.timeout_keep_alive, IDLE_S)
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._header_bytes = self._raw_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEADERS_S, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        if self._unread:
            self._unread.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            if self._deadline is None:
                self._deadline = self.loop.call_later(HEADERS_S, self._late)
            self._raw_bytes += len(data)
            if self._raw_bytes > MOST_RAW_BYTES:
                self._too_large()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._header_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._counted(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._counted(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        self._in_time()
        self._raw_bytes = 0
        if not self.transport.is_closing():
            super().on_headers_complete()

    def _counted(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MOST_HEADER_BYTES:
            self._too_large()

    def _too_large(self) -> None:
        self._refuse(Problem(431, f"the headers are larger than {MOST_HEADER_BYTES:,} bytes"))

    def _in_time(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        self._refuse(Problem(408, f"the headers did not come within {HEADERS_S:.0f} seconds"))

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn says it in English and plain text
        self._refuse(Problem(400, "this is not HTTP/1.1"))

    def _refuse(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        body = problem.body()
        head = (
            b"content-type: application/problem+json\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(body)
        )
        self.transport.write(STATUS_LINE[problem.status] + head + body)
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()


def guard_connections() -> None:
    """Let uvicorn servers that are configured from now on use `Guarded`."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{Guarded.__name__}"
