"""What a job took, by steps: the functions that are named are timed from outside, so that the product need not know."""

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
    """Seconds by step, without those of steps inside them."""
    taken: Counter[str] = Counter()
    inside: list[float] = []

    def clocked(title: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*given: Any, **more: Any) -> Any:
            inside.append(0.0)
            began = time.perf_counter()
            try:
                return real(*given, **more)
            finally:
                whole = time.perf_counter() - began
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
