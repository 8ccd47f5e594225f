"""Connections that misbehave, on a real server: each is ended in time, and others do not notice."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from serving.edge import connection
from serving.edge.connection import MOST_HEADER_BYTES, Guarded
from tests.serving.edge.counter import edge

GOOD = b"GET /v1/numbers/21 HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server whose deadlines are short."""
    monkeypatch.setattr(connection, "HEADERS_S", 0.4)
    monkeypatch.setattr(connection, "UNREAD_S", 0.4)
    monkeypatch.setattr(connection, "IDLE_S", 1)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(edge(), http=Guarded, log_config=None, lifespan="off", timeout_keep_alive=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(10)


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        yield one


def all_of(one: socket.socket) -> bytes:
    got = b""
    while piece := one.recv(65_536):
        got += piece
    return got


def test_one_that_says_nothing_or_half_a_header_is_told_and_closed(port: int) -> None:
    for begin in (b"", b"GET /livez HTT", b"GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: "):
        with connected(port) as one:
            one.sendall(begin)
            begun = time.monotonic()
            got = all_of(one)
            assert got.startswith(b"HTTP/1.1 408"), begin
            assert b"application/problem+json" in got
            assert time.monotonic() - begun < 5


def test_drops_of_a_header_do_not_stretch_the_deadline(port: int) -> None:
    with connected(port) as one:
        begun = time.monotonic()
        try:
            for _ in range(100):
                one.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - begun < 4


def test_a_second_slow_request_on_a_kept_connection_is_ended_too(port: int) -> None:
    with connected(port) as one:
        one.sendall(GOOD)
        assert b'{"number":21}' in one.recv(4_096)
        one.sendall(b"GET /livez HTT")
        assert b"408" in all_of(one)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nhost: x\r\nx: " + b"a" * MOST_HEADER_BYTES + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 5_000 + b"\r\n",
        b"GET /" + b"a" * MOST_HEADER_BYTES + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 1_000_000,
    ],
    ids=["one long", "many", "a long path", "one without end"],
)
def test_headers_past_the_limit_are_refused(port: int, head: bytes) -> None:
    with connected(port) as one:
        try:
            one.sendall(head)
            got = all_of(one)
        except ConnectionError:  # it was closed while we were still talking
            return
        assert got.startswith(b"HTTP/1.1 431"), got[:40]


@pytest.mark.parametrize(
    "said",
    [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"GET /a b HTTP/1.1\r\n\r\n"],
)
def test_what_is_not_http_is_a_problem_too(port: int, said: bytes) -> None:
    with connected(port) as one:
        one.sendall(said)
        got = all_of(one)
        assert got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 408")), got[:60]
        assert b"application/problem+json" in got


def test_both_lengths_at_once_are_refused(port: int) -> None:
    """The classic of smuggling: a proxy and we would see different ends of the body."""
    with connected(port) as one:
        one.sendall(
            b"POST /v1/sums HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5\r\n"
            b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
        )
        assert all_of(one).startswith(b"HTTP/1.1 400")


def test_hundreds_of_slow_ones_do_not_slow_the_others(port: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(300)]
    try:
        for one in slow:
            one.sendall(b"GET /livez HTTP/1.1\r\nx: ")
        with connected(port) as good:
            begun = time.monotonic()
            good.sendall(GOOD)
            assert b'{"number":21}' in good.recv(4_096)
            assert time.monotonic() - begun < 2
        time.sleep(0.6)
        for one in slow:
            all_of(one)
    finally:
        for one in slow:
            one.close()
