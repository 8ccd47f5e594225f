"""The same request, repeated: one answer, however often and whichever worker is asked.

    idempotency/2026-06-30/3f/3f2a9c...        the answer given under a key, for the rest of that day and the next

A key belongs to who asks. Repeats that come at the same time wait for the first; the lock goes with the process that holds it.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from serving.contract.refusals import Refused

__all__ = ["Repeats"]

Answer = TypeVar("Answer", bound=msgspec.Struct)


class _Given(msgspec.Struct, frozen=True, array_like=True):
    asked: bytes
    answer: bytes


class Repeats(Generic[Answer]):
    """Answers of one type, kept in a folder under their keys for 24 to 48 hours."""

    def __init__(self, folder: Path, kind: type[Answer]) -> None:
        self.folder, self.kind = folder, kind

    def once(
        self,
        asker: str,
        key: str,
        asked: msgspec.Struct,
        now: datetime,
        answer: Callable[[], Answer],
        *,
        keep: bool = True,
    ) -> Answer:
        """What `answer` says, or said when the same was asked under this key; not to `keep` it lets a repeat make it anew. Raises
        `Refused` (422) when something else was asked."""
        body = hashlib.sha256(msgspec.msgpack.encode(asked)).digest()
        name = hashlib.sha256(f"{asker}\n{key}".encode()).hexdigest()
        today = now.date()
        place = self._place(today, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(place.parent / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for day in (today, today - timedelta(days=1)):
                if (given := self._given(self._place(day, name))) is not None:
                    if given.asked != body:
                        raise Refused(
                            422, "another request was sent under this idempotency key; take a new one"
                        )
                    return msgspec.msgpack.decode(given.answer, type=self.kind)
            found = answer()
            if not keep:
                return found
            beside = place.with_name(f".{name}")
            beside.write_bytes(msgspec.msgpack.encode(_Given(body, msgspec.msgpack.encode(found))))
            beside.replace(place)
        finally:
            os.close(lock)
        self._forget(today)
        return found

    def _place(self, day: date, name: str) -> Path:
        return self.folder / f"{day:%Y-%m-%d}" / name[:2] / name

    def _given(self, place: Path) -> _Given | None:
        try:
            return msgspec.msgpack.decode(place.read_bytes(), type=_Given)
        except FileNotFoundError:
            return None

    def _forget(self, today: date) -> None:
        kept = {f"{today:%Y-%m-%d}", f"{today - timedelta(days=1):%Y-%m-%d}"}
        for old in self.folder.iterdir():
            if old.name not in kept:
                shutil.rmtree(old, ignore_errors=True)
