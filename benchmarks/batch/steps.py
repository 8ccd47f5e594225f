"""What a job took, by steps: the functions that are named are timed from outside, so that the product need not know."""

import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

__all__ = ["Step", "measured", "timed"]

WATCH_S = 0.05
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
    """Seconds by the clock and by the processor, and the highest memory, GiB: of this process and those it started."""
    clock, processor, over = time.perf_counter(), _processor(), threading.Event()
    highest = 0

    def watch() -> None:
        nonlocal highest
        while not over.wait(WATCH_S):
            highest = max(highest, _memory("self"))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    work()
    taken = {"time": time.perf_counter() - clock, "processor": _processor() - processor}
    over.set()
    watching.join()
    return taken | {"GiB": max(highest, _status("self", "VmHWM")) / 2**20}


def _processor() -> float:
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def _memory(process: str) -> int:
    """Resident memory of a process and of those it started, KiB."""
    try:
        started = [
            one
            for task in Path(f"/proc/{process}/task").iterdir()
            for one in (task / "children").read_text().split()
        ]
        return _status(process, "VmRSS") + sum(map(_memory, started))
    except OSError:  # it has ended
        return 0


def _status(process: str, what: str) -> int:
    found = Path(f"/proc/{process}/status").read_text().partition(f"{what}:")[2].split()
    return int(found[0]) if found else 0
