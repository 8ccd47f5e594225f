"""A line of requests before the desk: short, bounded, and honest about how long it would take.

Answers are made by one thread per line, so that the event loop stays free to refuse. Whoever would wait longer than the
line's patience is refused at once and told when to come back; that costs a fraction of an answer, and those who are let
in are answered in time (load shedding by expected delay, as against by a fixed number of requests).
"""

import asyncio
import contextlib
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serving.edge.problem import Problem

__all__ = ["Line"]

Made = TypeVar("Made")
SMOOTHING = 0.1
LONGEST_RETRY_S = 30
WATCHED_FROM_S = 0.05


class Line:
    """`patience_s` is the longest expected wait; `most` bounds the number that wait, whatever is expected."""

    def __init__(self, name: str, patience_s: float, most: int, first_guess_s: float) -> None:
        self.name, self.patience_s, self.most = name, patience_s, most
        self._took_s = first_guess_s
        self._busy = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def __len__(self) -> int:
        """Requests that are being answered or wait."""
        return len(self._waiting) + self._busy

    @property
    def expected_wait_s(self) -> float:
        return len(self) * self._took_s

    def admit(self) -> None:
        """Raises `Problem` 503 when another request would wait too long. Cheap: asked before a body is read."""
        wait_s = self.expected_wait_s
        if self._busy and (wait_s > self.patience_s or len(self._waiting) >= self.most):
            raise _full(wait_s)

    async def answer(
        self, work: Callable[[], Made], gone: Callable[[], Awaitable[None]] | None = None
    ) -> Made:
        """What `work` returns, made on the line's thread in its turn. `gone` returns when whoever asked has hung up: then they
        leave the line, and no work is done for nobody."""
        self.admit()
        if self._busy:
            await self._turn(gone)
        self._busy = True
        begun = time.perf_counter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._took_s += SMOOTHING * (time.perf_counter() - begun - self._took_s)
            self._next()

    async def _turn(self, gone: Callable[[], Awaitable[None]] | None) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        joined = time.perf_counter()
        watch = _Watch(turn, gone) if gone else None
        try:
            await turn
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):  # its turn has come already
                self._waiting.remove(turn)
            if watch and watch.has_left:
                raise Problem(400, "the request ended early", reason="hung_up") from None
            if turn.done() and not turn.cancelled():
                self._next()
            raise
        finally:
            if watch:
                watch.end()
        if time.perf_counter() - joined > 2 * self.patience_s:  # answers take longer than was expected
            self._next()
            raise _full(self.expected_wait_s)

    def _next(self) -> None:
        """Hand the thread to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False


class _Watch:
    """Cancels a turn when whoever waits for it is `gone`. Most turns come before a watch is worth its price."""

    def __init__(self, turn: asyncio.Future[None], gone: Callable[[], Awaitable[None]]) -> None:
        self._turn, self._gone = turn, gone
        self._watching: asyncio.Task[None] | None = None
        self._begin = turn.get_loop().call_later(WATCHED_FROM_S, self._watch)

    def _watch(self) -> None:
        self._watching = self._turn.get_loop().create_task(self._leave())

    async def _leave(self) -> None:
        await self._gone()
        self._turn.cancel()

    @property
    def has_left(self) -> bool:
        return self._watching is not None and self._watching.done()

    def end(self) -> None:
        self._begin.cancel()
        if self._watching:
            self._watching.cancel()


def _full(wait_s: float) -> Problem:
    """Spread over some seconds: those who are refused together shall not come back together."""
    retry_s = min(math.ceil(wait_s), LONGEST_RETRY_S) + random.randint(0, 2)
    return Problem(
        503,
        "too many requests wait; ask again after the seconds that Retry-After names",
        headers={"retry-after": str(max(retry_s, 1))},
        reason="overload",
    )
