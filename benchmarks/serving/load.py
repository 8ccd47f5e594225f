"""Clients on plain sockets, so that they cost little beside the server.

closed_loop     so many ask one after another: what a server can do
open_loop       questions come at a rate, whether the one before was answered or not: what those who ask see
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Load", "Right", "closed_loop", "open_loop"]

ARRIVE_A_SECOND = 1_000
Right = Callable[[int, bytes], bool]


@dataclass
class Load:
    """Seconds of each request that was answered or refused, by status; broken ones under 0."""

    seconds: float
    took: dict[int, list[float]] = field(default_factory=dict)
    wrong: int = 0  # answers with another content than is right

    def note(self, status: int, seconds: float) -> None:
        self.took.setdefault(status, []).append(seconds)

    @property
    def per_second(self) -> float:
        """Goodput: answers with 200."""
        return len(self.took.get(200, ())) / self.seconds

    def percentile(self, q: float, *statuses: int) -> float:
        every = [s for status in statuses or (200,) for s in self.took.get(status, ())]
        return float(np.percentile(every, q)) if every else float("nan")

    @property
    def statuses(self) -> dict[int, int]:
        return dict(Counter({status: len(all_) for status, all_ in self.took.items()}))


def closed_loop(
    port: int,
    body: Callable[[int], bytes],
    clients: int,
    seconds: float,
    path: str = "/v1/scores",
    right: Right | None = None,
) -> Load:
    """`clients`, a thousand of whom arrive within a second, ask one after another for so long, and come back when `Retry-After` says. `right` tells whether an answer is
    the one to a question of that number."""
    load = Load(seconds)
    asyncio.run(_all(port, body, clients, seconds, load, path, right))
    return load


def open_loop(
    port: int, body: Callable[[int], bytes], per_second: float, seconds: float, path: str = "/v1/scores"
) -> Load:
    """Questions at random instants (Poisson), each timed from its instant, so that a server that halts is not spared."""
    load = Load(seconds)
    asyncio.run(_at_a_rate(port, body, per_second, seconds, load, path))
    return load


async def _at_a_rate(
    port: int, body: Callable[[int], bytes], per_second: float, seconds: float, load: Load, path: str
) -> None:
    luck = np.random.default_rng(1)
    instants = np.cumsum(luck.exponential(1 / per_second, int(per_second * seconds * 2)))
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    begun = time.perf_counter()

    async def ask(n: int, at: float) -> None:
        await asyncio.sleep(max(at - time.perf_counter(), 0))
        try:
            reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
            writer.write(_question(path, body(n)))
            status, *_ = await asyncio.wait_for(_answer(reader), 60)
            idle.append((reader, writer))
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            status = 0
        load.note(status, time.perf_counter() - at)

    await asyncio.gather(*(ask(n, begun + at) for n, at in enumerate(instants[instants < seconds].tolist())))
    for _, writer in idle:
        writer.close()


def _question(path: str, content: bytes) -> bytes:
    return (
        b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % (path.encode(), len(content))
        + content
    )


async def _all(
    port: int,
    body: Callable[[int], bytes],
    clients: int,
    seconds: float,
    load: Load,
    path: str,
    right: Right | None,
) -> None:
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_one(port, body, n, end, load, path, right) for n in range(clients)))


async def _one(
    port: int,
    body: Callable[[int], bytes],
    number: int,
    end: float,
    load: Load,
    path: str,
    right: Right | None,
) -> None:
    reader = writer = None
    n = number * 7_919
    await asyncio.sleep(number / ARRIVE_A_SECOND)
    while time.perf_counter() < end:
        n += 1
        begun = time.perf_counter()
        wait = 0.0
        try:
            if writer is None or reader is None or reader.at_eof():  # the server may have closed it meanwhile
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_question(path, body(n)))
            status, wait, answer = await asyncio.wait_for(_answer(reader), 60)
            load.note(status, time.perf_counter() - begun)
            load.wrong += status == 200 and right is not None and not right(n, answer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            load.note(0, time.perf_counter() - begun)
            if writer:
                writer.close()
            reader = writer = None
            await asyncio.sleep(0.1)
        if wait:
            await asyncio.sleep(min(wait, max(end - time.perf_counter(), 0)))
    if writer:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, float, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    content = await reader.readexactly(int(fields[b"content-length"]))
    return int(head.split(b" ", 2)[1]), float(fields.get(b"retry-after", 0)), content
