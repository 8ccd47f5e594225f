"""Who was champion when, and why: a history that is only ever added to, and the turn that every change waits for.

One file of JSON lines per task, `promotions/<task>.jsonl` under the data folder. MLflow's alias has no history, and its
last writer wins; so a change takes the file's lock, compares the champion there is with the one it expects, writes
down what it is about to do, moves the alias, and writes down that this is done. The kernel lifts the lock of a killed
process; what that one had begun, the next to take the lock completes.

It covers every process that shares this data folder on one machine. Two machines that share a registry, each with a
folder of its own, see each other's changes (the alias is compared) but could both win in the same instant.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from features.errors import BadData, ChampionMoved

__all__ = ["Alias", "Finding", "Step", "append", "before", "move", "steps"]

PASSED, RESERVED, REFUSED = "passed", "reserved", "refused"


class Finding(msgspec.Struct, frozen=True):
    """What one gate found. `reserved`: not as it should be, but no worse than what serves now."""

    gate: str
    measured: str
    allowed: str
    verdict: str
    words: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: `deed` is promoted, forced, back or refused; `version` was judged, and serves unless it was refused;
    `was` served before it (None: nothing); `digest` is the content hash of the version's files."""

    at: datetime
    task: str
    deed: str
    version: str
    was: str | None
    digest: str
    by: str
    why: str
    registry: str
    findings: list[Finding] = []

    @property
    def moves(self) -> bool:
        """Whether another version serves after it."""
        return self.deed != "refused"


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step, or that the step of so many lines before has been carried out."""

    step: Step | None = None
    done: bool = False


@dataclass(frozen=True)
class Alias:
    """How to ask for a task's champion, and how to make a step's version the champion."""

    read: Callable[[], str | None]
    write: Callable[[Step], None]


def steps(file: Path) -> list[Step]:
    """All that happened, oldest first."""
    return [line.step for line in _lines(file) if line.step]


def before(file: Path, version: str) -> Step | None:
    """The entry that made the predecessor of `version` champion; None when there was none, or nobody wrote it down.

    Going back undoes one promotion, and going back again the one before it.
    """
    served: list[Step] = []
    for step in (step for step in steps(file) if step.moves):
        if step.deed == "back":
            del served[-1:]
        else:
            if served and served[-1].version != step.was:
                served = []  # somebody changed the champion elsewhere: what came before is not ours to know
            served.append(step)
    known = len(served) > 1 and served[-1].version == version
    return served[-2] if known else None


def append(file: Path, step: Step) -> None:
    """Write down what changes nothing, as a refusal."""
    with _turn(file) as descriptor:
        _write(descriptor, _Line(step))


def move(file: Path, step: Step, alias: Alias) -> None:
    """Make `step.version` the champion if `step.was` still is. Raises `ChampionMoved` when another won."""
    with _turn(file) as descriptor:
        _complete(file, descriptor, alias)
        serving = alias.read()
        if serving != step.was:
            raise ChampionMoved(
                f"{step.task}: the champion is {_named(serving)} now and no longer {_named(step.was)}, with which version "
                f"{step.version} was compared; promote it again to compare with the new one"
            )
        _write(descriptor, _Line(step))
        alias.write(step)
        _write(descriptor, _Line(done=True))


def _complete(file: Path, descriptor: int, alias: Alias) -> None:
    """Carry out what a killed process had written down; if the champion was changed elsewhere since, leave it be."""
    moves = [line for line in _lines(file) if line.done or (line.step and line.step.moves)]
    if not moves or moves[-1].step is None:
        return
    begun = moves[-1].step
    if alias.read() == begun.was:
        alias.write(begun)
    _write(descriptor, _Line(done=True))


@contextmanager
def _turn(file: Path) -> Iterator[int]:
    """The file, locked for this thread of this process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _drop_half_a_line(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _drop_half_a_line(descriptor: int) -> None:
    """A power cut may leave the beginning of a line: nothing had been done yet on its account."""
    size = os.fstat(descriptor).st_size
    text = os.pread(descriptor, size, 0)
    if not text.endswith(b"\n"):
        os.ftruncate(descriptor, text.rfind(b"\n") + 1)


def _write(descriptor: int, line: _Line) -> None:
    text = msgspec.json.encode(line) + b"\n"
    while text:
        text = text[os.write(descriptor, text) :]
    os.fsync(descriptor)


def _lines(file: Path) -> list[_Line]:
    text = file.read_bytes() if file.is_file() else b""
    whole = text[: text.rfind(b"\n") + 1].splitlines()
    try:
        return [msgspec.json.decode(line, type=_Line) for line in whole]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadData(
            f"{file} is not the history of promotions it was ({error}); bring it back from a backup"
        ) from error


def _named(version: str | None) -> str:
    return f"version {version}" if version else "none"
