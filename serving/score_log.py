"""The log of scores given: what each was made of, so that any of them can be explained when its model is long gone.

    score-log/3f2a9c4d5e6f7a8b.log       a segment: one writer's records, only ever added to

A record is a frame (length, length unpacked, CRC-32) and packed content: a model as it described itself, or up to a
thousand scores of it with their inputs, contributions and the reasons in the words that were told. A score's id is the
place of its record, so that finding one reads one record. A writer begins a segment of its own: whatever a crash left
half-written stands at the end of a segment that nobody adds to, and takes nothing with it.

A record is handed to the operating system before the answer is given, so that it survives the death of the process; it
is on disk within a second, or with `sync` before the answer too, at the price of the disk's own pace.
"""

import os
import threading
import time
import zlib
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa

from features.durable import put
from features.errors import PropensityError
from features.reasons import Reason

__all__ = [
    "SUFFIX",
    "Column",
    "LogFailed",
    "LoggedModel",
    "LoggedScore",
    "Origin",
    "ScoreLog",
    "Scores",
    "blanked",
    "contents",
    "records",
    "scores_of",
]

Origin = Literal["rows", "events"]
SUFFIX = ".log"
FRAME = np.dtype([("length", "<u4"), ("unpacked", "<u4"), ("crc", "<u4")])
PACKED = pa.Codec("zstd", compression_level=1)
MOST_BYTES = 256 << 20  # of a segment
MOST_SCORES = 1_000  # of a record
FLUSH_S = 1.0
BLANK = "~"  # no customer's id begins with it
SKIP = 0x184D2A50  # a frame that whoever unpacks zstd passes over (RFC 8878, 3.1.2)
SKIPPED = np.dtype([("magic", "<u4"), ("length", "<u4")])


class LogFailed(PropensityError):
    """A score cannot be written down, so it must not be given."""


class Column(msgspec.Struct, frozen=True, array_like=True):
    """A column that a model reads, as it was described when the model served."""

    name: str
    concept: str
    unit: str
    en: str
    zh: str
    levels: tuple[str, ...] | None = None


class LoggedModel(msgspec.Struct, frozen=True, array_like=True, tag="model"):
    """A model as it described itself: enough to read its scores by."""

    task: str
    version: str
    digest: str
    kinds: tuple[str, ...]
    horizons_days: tuple[int, ...]
    columns: tuple[Column, ...]
    concepts: tuple[str, ...]
    concepts_zh: tuple[str, ...]
    purpose: str = ""


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of one model at one moment. Arrays of doubles: `probability` (n), `outlook` (n x horizons x kinds), `inputs`
    (n x the model's columns; a category is its place among the levels), `base` (n), `contributions` (n x concepts)."""

    as_of: datetime
    origin: Origin
    customer_ids: Sequence[str]
    grades: Sequence[str]
    reasons: Sequence[Sequence[Reason]]
    probability: np.ndarray
    outlook: np.ndarray
    inputs: np.ndarray
    base: np.ndarray
    contributions: np.ndarray


class LoggedScore(msgspec.Struct, frozen=True, kw_only=True):
    """One score, read back: arrays are this customer's."""

    score_id: str
    customer_id: str
    model: LoggedModel
    scored_at: datetime
    as_of: datetime
    origin: Origin
    grade: str
    reasons: list[Reason]
    probability: float
    outlook: np.ndarray
    inputs: np.ndarray
    base: float
    contributions: np.ndarray


class _Told(msgspec.Struct, frozen=True, array_like=True):
    concept: str
    direction: Literal["raises", "lowers"]
    en: str
    zh: str


class _Block(msgspec.Struct, frozen=True, array_like=True, tag="scores"):
    """Scores as they lie in a record; `model` is where that model's record begins, in the same segment."""

    model: int
    scored_at: datetime
    as_of: datetime
    origin: Origin
    customer_ids: list[str]
    grades: str
    reasons: list[list[_Told]]
    probability: bytes
    outlook: bytes
    inputs: bytes
    base: bytes
    contributions: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Block | LoggedModel)


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
        with self._lock:
            try:
                at = self._place_of(model)
                frames = [_frame(_block(at, scores, some, now)) for some in _slices(len(scores.customer_ids))]
                begin = self._append(b"".join(frames))
            except OSError as error:
                self._file = -1  # whatever was begun stays the end of its segment
                raise LogFailed(
                    f"the score could not be written to the log in {self.folder} ({error.strerror}); nothing was answered"
                ) from error
            for frame, some in zip(frames, _slices(len(scores.customer_ids)), strict=True):
                found += [f"{self._name}-{begin:x}-{row:x}" for row in range(some.stop - some.start)]
                begin += len(frame)
        return found

    def read(self, score_id: str) -> LoggedScore:
        """A score by its id. Raises `KeyError` when there is none, `LogFailed` when its record is not as it was written."""
        name, _, place = score_id.partition("-")
        at, _, row = place.partition("-")
        try:
            with (self.folder / f"{name}{SUFFIX}").open("rb") as segment:
                block = _read(segment.fileno(), int(at, 16))
                number = int(row, 16)
                if not isinstance(block, _Block) or block.customer_ids[number : number + 1] in ([], [BLANK]):
                    raise KeyError(score_id)
                model = _read(segment.fileno(), block.model)
        except (FileNotFoundError, ValueError, EOFError) as error:
            raise KeyError(score_id) from error
        assert isinstance(model, LoggedModel)
        return _score(score_id, block, model, number)

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
            self._models[key] = self._append(_frame(_ENCODER.encode(model)))
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


def records(segment: Path) -> Iterator[int]:
    """Where each sound record of a segment begins, up to the first that is not: what a crash left unfinished."""
    with segment.open("rb") as file:
        at = 0
        while True:
            try:
                _read(file.fileno(), at)
            except (EOFError, LogFailed, ValueError):
                return
            yield at
            frame = np.frombuffer(os.pread(file.fileno(), FRAME.itemsize, at), FRAME)[0]
            at += FRAME.itemsize + int(frame["length"])


def contents(segment: Path) -> Iterator[bytes]:
    """What is packed in each sound record of a segment."""
    with segment.open("rb") as file:
        for at in records(segment):
            yield _ENCODER.encode(_read(file.fileno(), at))


def scores_of(segment: Path, customer_id: str) -> Iterator[dict[str, Any]]:
    """One customer's scores in a segment, as they were told."""
    with segment.open("rb") as file:
        for at in records(segment):
            block = _read(file.fileno(), at)
            if isinstance(block, _Block) and customer_id in block.customer_ids:
                model = _read(file.fileno(), block.model)
                assert isinstance(model, LoggedModel)
                for row in _of(block, [customer_id]):
                    one = _score(f"{segment.stem}-{at:x}-{row:x}", block, model, row)
                    yield {
                        "score_id": one.score_id, "task": model.task, "model_version": model.version,
                        "scored_at": one.scored_at, "as_of": one.as_of, "probability": one.probability,
                        "grade": one.grade, "reasons": [msgspec.structs.asdict(reason) for reason in one.reasons],
                        "inputs": dict(zip((c.name for c in model.columns), one.inputs.tolist(), strict=True)),
                    }  # fmt: skip


def blanked(segment: Path, persons: Collection[str]) -> int:
    """Blank the scores of these customers in a segment, each record where it stands and as long as it was; returns how many. A process
    that adds to the segment meanwhile is not disturbed. What was to be written is written down first, so that a kill leaves either."""
    beside, found = segment.with_suffix(".blanking"), 0
    with segment.open("r+b") as file:
        if beside.exists():
            _overwrite(file.fileno(), beside)
        for at in list(records(segment)):
            block = _read(file.fileno(), at)
            if not isinstance(block, _Block) or not (mine := _of(block, persons)):
                continue
            length = int(np.frombuffer(os.pread(file.fileno(), FRAME.itemsize, at), FRAME)[0]["length"])
            put(beside, at.to_bytes(8, "little") + _blank_frame(block, mine, length))
            _overwrite(file.fileno(), beside)
            found += len(mine)
    return found


def _of(block: _Block, persons: Collection[str]) -> list[int]:
    return [row for row, customer in enumerate(block.customer_ids) if customer in persons]


def _overwrite(file: int, beside: Path) -> None:
    content = beside.read_bytes()
    os.pwrite(file, content[8:], int.from_bytes(content[:8], "little"))
    os.fdatasync(file)
    beside.unlink()


def _blank_frame(block: _Block, rows: Sequence[int], length: int) -> bytes:
    """The block without anything of these rows, packed into just so many bytes: what is left is a frame that unpacking skips."""
    count = len(block.customer_ids)
    ids, reasons = list(block.customer_ids), list(block.reasons)
    for row in rows:
        ids[row], reasons[row] = BLANK, []
    zeroed = {
        name: _zeroed(getattr(block, name), count, rows, order)
        for name, order in (("probability", "C"), ("outlook", "C"), ("inputs", "F"), ("base", "C"), ("contributions", "F"))
    }  # fmt: skip
    grades = "".join("-" if row in rows else grade for row, grade in enumerate(block.grades))
    content = _ENCODER.encode(
        msgspec.structs.replace(block, customer_ids=ids, reasons=reasons, grades=grades, **zeroed)
    )
    for level in (1, 3, 9, 19):
        packed = pa.Codec("zstd", compression_level=level).compress(content, asbytes=True)
        room = length - len(packed)
        if room == 0 or room >= SKIPPED.itemsize:
            padding = np.array([(SKIP, room - SKIPPED.itemsize)], SKIPPED).tobytes() if room else b""
            packed += padding.ljust(room, b"\0")
            head = np.array([(len(packed), len(content), zlib.crc32(packed, len(content)))], FRAME)
            return bytes(head.tobytes() + packed)
    raise LogFailed("a record of the score log cannot be blanked in its place: remove its segment")


def _zeroed(packed: bytes, count: int, rows: Sequence[int], order: str) -> bytes:
    values = (
        np.frombuffer(packed, np.float64)
        .reshape((count, -1), order="F" if order == "F" else "C")
        .copy(order="K")
    )
    values[list(rows)] = 0.0
    return values.tobytes("F" if order == "F" else "C")


def _slices(count: int) -> list[slice]:
    return [slice(at, min(at + MOST_SCORES, count)) for at in range(0, count, MOST_SCORES)]


def _block(model: int, scores: Scores, some: slice, now: datetime) -> bytes:
    """Columns lie one after the other: what is alike stands together, and packs."""
    return _ENCODER.encode(
        _Block(
            model=model,
            scored_at=now,
            as_of=scores.as_of,
            origin=scores.origin,
            customer_ids=list(scores.customer_ids[some]),
            grades="".join(scores.grades[some]),
            reasons=[
                [_Told(r.concept, r.direction, r.en, r.zh) for r in row] for row in scores.reasons[some]
            ],
            probability=scores.probability[some].tobytes(),
            outlook=scores.outlook[some].tobytes(),
            inputs=scores.inputs[some].tobytes("F"),
            base=scores.base[some].tobytes(),
            contributions=scores.contributions[some].tobytes("F"),
        )
    )


def _frame(content: bytes) -> bytes:
    packed = PACKED.compress(content, asbytes=True)
    head = np.array([(len(packed), len(content), zlib.crc32(packed, len(content)))], FRAME)
    return bytes(head.tobytes() + packed)


def _read(file: int, at: int) -> "_Block | LoggedModel":
    head = os.pread(file, FRAME.itemsize, at)
    if len(head) < FRAME.itemsize:
        raise EOFError
    length, unpacked, crc = (int(n) for n in np.frombuffer(head, FRAME)[0])
    packed = os.pread(file, length, at + FRAME.itemsize)
    if len(packed) < length or zlib.crc32(packed, unpacked) != crc:
        raise LogFailed(f"the record at {at} of a score log is not whole: it was cut off or changed")
    found: _Block | LoggedModel = _DECODER.decode(PACKED.decompress(packed, unpacked, asbytes=True))
    return found


def _score(score_id: str, block: _Block, model: LoggedModel, row: int) -> LoggedScore:
    count = len(block.customer_ids)

    def doubles(packed: bytes) -> np.ndarray:
        return np.frombuffer(packed, np.float64)

    shape = (count, len(model.horizons_days), len(model.kinds))
    return LoggedScore(
        score_id=score_id,
        customer_id=block.customer_ids[row],
        model=model,
        scored_at=block.scored_at,
        as_of=block.as_of,
        origin=block.origin,
        grade=block.grades[row],
        reasons=[Reason(r.concept, r.direction, r.en, r.zh) for r in block.reasons[row]],
        probability=float(doubles(block.probability)[row]),
        outlook=doubles(block.outlook).reshape(shape)[row],
        inputs=doubles(block.inputs).reshape((count, len(model.columns)), order="F")[row],
        base=float(doubles(block.base)[row]),
        contributions=doubles(block.contributions).reshape((count, len(model.concepts)), order="F")[row],
    )
