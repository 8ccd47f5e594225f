"""Clients: closed loops over kept connections, on plain sockets so that they cost little beside the server."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Load", "closed_loop"]


@dataclass
class Load:
    """Seconds of each request that was answered or refused, by status; broken ones under 0."""

    seconds: float
    took: dict[int, list[float]] = field(default_factory=dict)

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
    port: int, body: Callable[[int], bytes], clients: int, seconds: float, patient: bool = True
) -> Load:
    """`clients` ask one after another for so long; a `patient` one comes back when `Retry-After` says."""
    load = Load(seconds)
    asyncio.run(_all(port, body, clients, seconds, patient, load))
    return load


async def _all(
    port: int, body: Callable[[int], bytes], clients: int, seconds: float, patient: bool, load: Load
) -> None:
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_one(port, body, n, end, patient, load) for n in range(clients)))


async def _one(
    port: int, body: Callable[[int], bytes], number: int, end: float, patient: bool, load: Load
) -> None:
    reader = writer = None
    n = number * 7_919
    while time.perf_counter() < end:
        n += 1
        begun = time.perf_counter()
        wait = 0.0
        try:
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            content = body(n)
            writer.write(
                b"POST /v1/scores HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n" % len(content) + content
            )
            status, wait = await asyncio.wait_for(_answer(reader), 60)
            load.note(status, time.perf_counter() - begun)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            load.note(0, time.perf_counter() - begun)
            if writer:
                writer.close()
            reader = writer = None
            await asyncio.sleep(0.1)
        if wait and patient:
            await asyncio.sleep(min(wait, max(end - time.perf_counter(), 0)))
    if writer:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, float]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    await reader.readexactly(int(fields[b"content-length"]))
    return int(head.split(b" ", 2)[1]), float(fields.get(b"retry-after", 0))
