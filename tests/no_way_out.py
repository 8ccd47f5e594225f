"""Every way out of this process closed, for the time of a `with` block, and a record of what was tried."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

__all__ = ["no_way_out"]


@contextmanager
def no_way_out() -> Iterator[list[Any]]:
    """Every address that anybody tries to reach, none of which is reached; sockets between processes of this machine stay."""
    found: list[Any] = []
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refused(self: socket.socket, address: Any) -> Any:
        if self.family == socket.AF_UNIX:
            return connect(self, address)
        found.append(address)
        raise OSError("there is no route")

    def refused_too(self: socket.socket, address: Any) -> Any:
        if self.family == socket.AF_UNIX:
            return connect_ex(self, address)
        return refused(self, address)

    def unknown(host: Any, *_: Any, **__: Any) -> None:
        found.append(host)
        raise OSError("there is no name server")

    with (
        mock.patch.object(socket.socket, "connect", refused),
        mock.patch.object(socket.socket, "connect_ex", refused_too),
        mock.patch.object(socket, "getaddrinfo", unknown),
    ):
        yield found
