"""The audit trail: chains of hashed records, and anchors of them that lie elsewhere.

    audit/3f2a9c4d5e6f7a8b.chain        one writer's records, only ever added to
    anchors/3f2a9c4d5e6f7a8b.anchor     how far that chain had come, and with what hash, after every addition

A line of a chain is a SHA-256 and a record as JSON; the hash is that of the line before's hash and the record, so that no
record can be changed, dropped, put in or moved without every later hash being another. The end of a chain is held by its
anchors: keep their folder (`AUDIT_ANCHORS_URL`) where whoever may write the trail may not, a write-once store, say.

An action is acknowledged only after its record and its anchor were handed to the operating system: the death of the
process takes none. With `sync` they are on the disk too, and the death of the machine takes none.
"""

import getpass
import hashlib
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from features.errors import NotAudited
from features.home import anchors_folder, audit_folder

__all__ = [
    "ANCHOR",
    "CHAIN",
    "Action",
    "Entry",
    "Record",
    "Trail",
    "chained",
    "first_hash",
    "noted",
    "whoever",
]

Action = Literal[
    "score", "score-run", "list", "what-if", "explanation", "history", "export", "consent", "decision", "erasure", "promotion", "rollback",
    "configuration", "login-failed", "retention", "alarm",
]  # fmt: skip
CHAIN, ANCHOR = ".chain", ".anchor"
MOST_BYTES = 256 << 20  # of a chain


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be recorded. `subjects` are pseudonyms, never ids; where there are too many to name, `subjects_digest` is the
    SHA-256 of them in order, and `count` how many. `models` are versions by task."""

    who: str
    action: Action
    purpose: str
    result: str
    subjects: Sequence[str] = ()
    subjects_digest: str = ""
    count: int = 0
    models: dict[str, str] = {}
    told: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An entry in its place: the number in its chain, from 0, and when it was written."""

    number: int
    at: datetime
    entry: Entry


class Trail:
    """The folders of chains and of anchors, and one chain of our own. Threads may share it; every process has its own.

    A writer begins a new chain: whatever a crash left half-written stands at the end of one that nobody adds to.
    """

    def __init__(
        self, folder: Path, anchors: Path, *, sync: bool = False, most_bytes: int = MOST_BYTES
    ) -> None:
        self.folder, self.anchors, self.sync, self.most_bytes = folder, anchors, sync, most_bytes
        self._lock = threading.Lock()
        self._chain = self._anchor = -1
        self._written = self._number = 0
        self._hash = b""
        self._name = ""

    def note(self, *entries: Entry) -> None:
        """Record entries, in order. Raises `NotAudited` when one cannot be recorded: then do not answer, do not act."""
        with self._lock:
            try:
                self._note(entries)
            except OSError as error:
                self.close()  # what may be half-written stays the end of its chain
                raise NotAudited(
                    f"nothing can be recorded in {self.folder} or {self.anchors} ({error.strerror}); nothing was done: make "
                    "room or give the process the right to write there"
                ) from error

    def close(self) -> None:
        """End the chain; the next entry begins another."""
        for file in (self._chain, self._anchor):
            if file >= 0:
                os.close(file)
        self._chain = self._anchor = -1

    def _note(self, entries: Sequence[Entry]) -> None:
        if self._chain < 0 or self._written >= self.most_bytes:
            self._begin()
        now, lines, number, held = datetime.now(UTC), [], self._number, self._hash
        for entry in entries:
            content = msgspec.json.encode(Record(number=number, at=now, entry=entry))
            held = chained(held, content)
            lines.append(held + b" " + content + b"\n")
            number += 1
        self._written += self._add(self._chain, b"".join(lines))
        self._add(self._anchor, b"%d %s\n" % (number, held))
        self._number, self._hash = number, held

    def _begin(self) -> None:
        self.close()
        for folder in (self.folder, self.anchors):
            folder.mkdir(parents=True, exist_ok=True)
        self._name = os.urandom(8).hex()
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._chain = os.open(self.folder / f"{self._name}{CHAIN}", flags, 0o640)
        self._anchor = os.open(self.anchors / f"{self._name}{ANCHOR}", flags, 0o640)
        self._written = self._number = 0
        self._hash = first_hash(self._name)

    def _add(self, file: int, content: bytes) -> int:
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]
        if self.sync:
            os.fdatasync(file)
        return len(content)


def first_hash(name: str) -> bytes:
    """What the first record of a chain is chained to: a chain cannot pass for another."""
    return hashlib.sha256(name.encode()).hexdigest().encode()


def chained(before: bytes, content: bytes) -> bytes:
    """The hash of a record that follows the one with hash `before`, as 64 hexadecimal digits."""
    return hashlib.sha256(before + content).hexdigest().encode()


def noted(*entries: Entry) -> None:
    """Record what a command does, in a chain of its own, on the disk before it is done. Raises `NotAudited`."""
    trail = Trail(audit_folder(), anchors_folder(), sync=True)
    try:
        trail.note(*entries)
    finally:
        trail.close()


def whoever() -> str:
    """The account a command runs under."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
