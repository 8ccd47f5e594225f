"""Progress of long work: a bar with time left on a terminal, a line now and then elsewhere; always on stderr."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["followed"]

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 10.0


def followed(blocks: Iterable[T], title: str, total: int, size: Callable[[T], int]) -> Iterator[T]:
    """The blocks, while showing how many of `total` rows are done, how fast, and how long it will take."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from _in_lines(blocks, title, total, size)
        return
    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(title, total=total)
        for block in blocks:
            yield block
            progress.advance(bar, size(block))


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


def _in_lines(blocks: Iterable[T], title: str, total: int, size: Callable[[T], int]) -> Iterator[T]:
    began = said = time.monotonic()
    done = 0
    for block in blocks:
        yield block
        done += size(block)
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES and done < total:
            speed = done / (now - began)
            print(
                f"{title}: {done:,} of {total:,}, {speed:,.{0 if speed >= 10 else 2}f}/s, {(total - done) / speed:,.0f} s left",
                file=sys.stderr,
            )
            said = now
