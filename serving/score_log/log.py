"""Adding scores to a segment of one's own, and finding one by its id.

    score-log/3f2a9c4d5e6f7a8b.log       a segment: one writer's records, only ever added to

A writer begins a segment of its own: whatever a crash left half-written stands at the end of a segment that nobody adds to,
and takes nothing with it. A record is handed to the operating system before the answer is given, so that it survives the
death of the process; it is on disk within a second, or with `sync` before the answer too, at the price of the disk's own pace.
"""

import os
import threading
import time
from datetime import datetime
from pathlib import Path

from serving.score_log.record import (
    BLANK,
    SUFFIX,
    Block,
    LogFailed,
    LoggedModel,
    LoggedScore,
    Scores,
    block_of,
    framed,
    record_at,
    score_in,
)

__all__ = ["ScoreLog"]

MOST_BYTES = 256 << 20  # of a segment
MOST_SCORES = 1_000  # of a record
FLUSH_S = 1.0


class ScoreLog:
    """The segments in a folder, and one of our own to add to. Threads may share it; every process opens its own."""

    def __init__(self, folder: Path, *, sync: bool = False, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self.sync, self.most_bytes = folder, sync, most_bytes
        self._lock = threading.Lock()
        self._file = -1
        self._name = ""
        self._models: dict[tuple[str, str], int] = {}
        self._unflushed = threading.Event()
        self._flusher: threading.Thread | None = None

    def write(self, model: LoggedModel, scores: Scores, now: datetime) -> list[str]:
        """Add scores of a model; returns their ids, in order, once they are written. Raises `LogFailed` when they cannot be,
        a full disk, say; then none of them is in the log."""
        found: list[str] = []
        parts = _slices(len(scores.customer_ids))
        with self._lock:
            try:
                at = self._place_of(model)
                frames = [framed(block_of(at, scores, some, now)) for some in parts]
                begin = self._append(b"".join(frames))
            except OSError as error:
                self._file = -1  # whatever was begun stays the end of its segment
                raise LogFailed(
                    f"the score could not be written to the log in {self.folder} ({error.strerror}); nothing was answered"
                ) from error
            for frame, some in zip(frames, parts, strict=True):
                found += [f"{self._name}-{begin:x}-{row:x}" for row in range(some.stop - some.start)]
                begin += len(frame)
        return found

    def read(self, score_id: str) -> LoggedScore:
        """A score by its id. Raises `KeyError` when there is none, `LogFailed` when its record is not as it was written."""
        name, _, place = score_id.partition("-")
        at, _, row = place.partition("-")
        try:
            with (self.folder / f"{name}{SUFFIX}").open("rb") as segment:
                block = record_at(segment.fileno(), int(at, 16))
                number = int(row, 16)
                if not isinstance(block, Block) or block.customer_ids[number : number + 1] in ([], [BLANK]):
                    raise KeyError(score_id)
                model = record_at(segment.fileno(), block.model)
        except (FileNotFoundError, ValueError, EOFError) as error:
            raise KeyError(score_id) from error
        assert isinstance(model, LoggedModel)
        return score_in(score_id, block, model, number)

    def flush(self) -> None:
        """Have everything written so far on disk."""
        with self._lock:
            if self._file >= 0:
                os.fdatasync(self._file)

    def _place_of(self, model: LoggedModel) -> int:
        """Where the model's record begins in this segment; it is written before the model's first score."""
        if self._file < 0 or os.fstat(self._file).st_size > self.most_bytes:
            self._begin()
        key = (model.task, model.digest)
        if key not in self._models:
            self._models[key] = self._append(framed(model))
        return self._models[key]

    def _begin(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._name, self._models = os.urandom(8).hex(), {}
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.folder / f"{self._name}{SUFFIX}", flags, 0o640)

    def _append(self, content: bytes) -> int:
        """Add bytes at the end, all or none; returns where they begin."""
        begin = os.fstat(self._file).st_size
        left = memoryview(content)
        while left:
            left = left[os.write(self._file, left) :]
        if self.sync:
            os.fdatasync(self._file)
        else:
            self._soon()
        return begin

    def _soon(self) -> None:
        self._unflushed.set()
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush_often, name="score-log", daemon=True)
            self._flusher.start()

    def _flush_often(self) -> None:
        while self._unflushed.wait():
            self._unflushed.clear()
            with self._lock:
                file = os.dup(self._file) if self._file >= 0 else -1
            if file >= 0:  # outside the lock: the disk is slow, and writers need not wait for it
                try:
                    os.fdatasync(file)
                finally:
                    os.close(file)
            time.sleep(FLUSH_S)


def _slices(count: int) -> list[slice]:
    return [slice(at, min(at + MOST_SCORES, count)) for at in range(0, count, MOST_SCORES)]
