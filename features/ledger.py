"""A ledger: small facts, one told after the other, only ever added to; every process that shares the folder sees them at once.

    ledger = Ledger.open(folder / "consents.ledger", Told)
    ledger.add(Told(...))          on the disk when it returns
    ledger.news(require)           what was added since one last asked; a few microseconds when nothing was

A line is a CRC-32 and a fact as JSON. A ledger that was there and is gone, has shrunk, or holds a line that is not as it was
written cannot be read, and then nobody may act as if nothing had been told.
"""

import fcntl
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from features.durable import flush
from features.errors import LedgerUnreadable

__all__ = ["HEAD", "Ledger"]

HEAD = b"ledger 1\n"
Fact = TypeVar("Fact", bound=msgspec.Struct)


class Ledger(Generic[Fact]):
    """Facts of one kind. Threads may share it; every process opens its own."""

    def __init__(self, file: Path, kind: type[Fact]) -> None:
        self.file, self.kind = file, kind
        self._read_to = 0
        self._lock = threading.Lock()

    @classmethod
    def open(cls, file: Path, kind: type[Fact]) -> "Ledger[Fact]":
        """The ledger of a file, begun where there is none. Raises `LedgerUnreadable`."""
        ledger = cls(file, kind)
        try:
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                with ledger._alone():
                    pass
                flush(file.parent)
        except OSError as error:
            raise ledger._unreadable(error.strerror or "") from error
        return ledger

    @property
    def begun(self) -> bool:
        """Whether it was seen to be there."""
        return self._read_to > 0

    def add(self, *facts: Fact) -> None:
        """Write facts to the disk, in order. Raises `LedgerUnreadable` when that cannot be done; then nothing was told."""
        lines = b"".join(_line(msgspec.json.encode(fact)) for fact in facts)
        try:
            with self._alone() as file:
                left = memoryview(lines)
                while left:
                    left = left[os.write(file, left) :]
                os.fdatasync(file)
        except OSError as error:
            raise self._unreadable(error.strerror or "") from error

    def news(self, require: Callable[[Fact], None]) -> list[Fact]:
        """The facts added since the last call, each of which `require` lets pass or raises. Raises `LedgerUnreadable` when the
        ledger is damaged. Whatever raises, the same facts are news again: no later call passes over what this one refused."""
        try:
            size = self.file.stat().st_size
            if size == self._read_to:
                return []
            with self._lock, self.file.open("rb") as file:
                if size < self._read_to:
                    raise self._unreadable("it has shrunk")
                file.seek(self._read_to)
                whole, _, _ = file.read().rpartition(b"\n")
                begun = self._read_to
                lines = whole.split(b"\n") if whole else []
                if not begun and lines and lines.pop(0) + b"\n" != HEAD:
                    raise self._unreadable("it does not begin as one")
                found = [self._fact(line) for line in lines]
                for fact in found:
                    require(fact)
                self._read_to = begun + (len(whole) + 1 if whole else 0)
                return found
        except OSError as error:
            raise self._unreadable(error.strerror or "") from error

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nobody adds anything meanwhile. Raises `LedgerUnreadable`."""
        try:
            alone = self._alone()
            alone.__enter__()
        except OSError as error:
            raise self._unreadable(error.strerror or "") from error
        try:
            yield
        finally:
            alone.__exit__(None, None, None)

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """The file, locked and open for adding, its head there and its last line whole: what a crash left half-written was never
        acknowledged."""
        file = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            if not size:
                os.write(file, HEAD)
            elif os.pread(file, 1, size - 1) != b"\n":
                os.ftruncate(file, _end_of_last_line(file, size))
            yield file
        finally:
            os.close(file)

    def _fact(self, line: bytes) -> Fact:
        check, _, content = line.partition(b" ")
        if check != _check(content):
            raise self._unreadable("a line is not as it was written")
        try:
            return msgspec.json.decode(content, type=self.kind)
        except msgspec.DecodeError as error:
            raise self._unreadable("a line is of another release") from error

    def _unreadable(self, why: str) -> LedgerUnreadable:
        return LedgerUnreadable(
            f"{self.file} cannot be used ({why}); nothing is answered until it can: restore it from a copy"
        )


def _line(content: bytes) -> bytes:
    return _check(content) + b" " + content + b"\n"


def _check(content: bytes) -> bytes:
    return b"%08x" % zlib.crc32(content)


def _end_of_last_line(file: int, size: int) -> int:
    """How long the file is up to its last line break."""
    held = os.pread(file, size, 0)
    return held.rfind(b"\n") + 1
