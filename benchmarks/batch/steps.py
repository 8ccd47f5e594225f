"""What a job took, by steps: the functions that are named are timed from outside, so that the product need not know."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

__all__ = ["Step", "measured", "timed"]

Step = tuple[str, Any, str]
"""What it is called, where it stands, and the name of the function there."""


@contextmanager
def timed(steps: Sequence[Step]) -> Iterator[Counter[str]]:
    """Seconds by step, without those of steps inside them. Of steps in several threads at once the seconds are added up, so that they
    may come to more than the clock's."""
    taken: Counter[str] = Counter()
    own, lock = threading.local(), threading.Lock()

    def clocked(title: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*given: Any, **more: Any) -> Any:
            inside: list[float] = own.__dict__.setdefault("inside", [])
            inside.append(0.0)
            began = time.perf_counter()
            try:
                return real(*given, **more)
            finally:
                whole = time.perf_counter() - began
                with lock:
                    taken[title] += whole - inside.pop()
                if inside:
                    inside[-1] += whole

        return asked

    with ExitStack() as stack:
        for title, owner, name in steps:
            stack.enter_context(mock.patch.object(owner, name, clocked(title, getattr(owner, name))))
        yield taken


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds by the clock and by the processor, and the highest memory of this process, GiB."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    status = Path("/proc/self/status").read_text()
    return {
        "time": time.perf_counter() - clock,
        "processor": time.process_time() - processor,
        "GiB": int(status.partition("VmHWM:")[2].split()[0]) / 2**20,
    }
