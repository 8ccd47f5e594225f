"""How scores and models lie in a segment, a file that is only ever added to.

A record is a frame (length, length unpacked, CRC-32) and packed content: a model as it described itself, or up to a
thousand scores of it with their inputs, contributions and the reasons in the words that were told. A score's id is the
place of its record, so that finding one reads one record.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

from features.errors import PropensityError
from features.reasons import Reason

__all__ = [
    "BLANK",
    "SUFFIX",
    "Block",
    "Column",
    "LogFailed",
    "LoggedModel",
    "LoggedScore",
    "Origin",
    "Scores",
    "block_of",
    "contents",
    "encoded",
    "framed",
    "head_at",
    "headed",
    "record_at",
    "records",
    "score_in",
    "sound",
]

Origin = Literal["rows", "events"]
SUFFIX = ".log"
FRAME = np.dtype([("length", "<u4"), ("unpacked", "<u4"), ("crc", "<u4")])
BLANK = "~"  # in place of an id that was blanked; no customer's begins with it
PACKED = pa.Codec("zstd", compression_level=1)


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


class Block(msgspec.Struct, frozen=True, array_like=True, tag="scores"):
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
_DECODER = msgspec.msgpack.Decoder(Block | LoggedModel)


def block_of(model: int, scores: Scores, some: slice, now: datetime) -> Block:
    """Some of the scores, of the model whose record begins at `model`. Columns lie one after the other: what is alike stands together,
    and packs."""
    return Block(
        model=model,
        scored_at=now,
        as_of=scores.as_of,
        origin=scores.origin,
        customer_ids=list(scores.customer_ids[some]),
        grades="".join(scores.grades[some]),
        reasons=[[_Told(r.concept, r.direction, r.en, r.zh) for r in row] for row in scores.reasons[some]],
        probability=scores.probability[some].tobytes(),
        outlook=scores.outlook[some].tobytes(),
        inputs=scores.inputs[some].tobytes("F"),
        base=scores.base[some].tobytes(),
        contributions=scores.contributions[some].tobytes("F"),
    )


def encoded(record: Block | LoggedModel) -> bytes:
    """A record's content, not yet packed."""
    return _ENCODER.encode(record)


def framed(record: Block | LoggedModel) -> bytes:
    """A record as it lies in a segment."""
    content = encoded(record)
    return headed(PACKED.compress(content, asbytes=True), len(content))


def headed(packed: bytes, unpacked: int) -> bytes:
    """Packed content behind its frame; `unpacked` is its length before."""
    return np.array([(len(packed), unpacked, zlib.crc32(packed, unpacked))], FRAME).tobytes() + packed


def head_at(file: int, at: int) -> tuple[int, int, int]:
    """A record's length as packed, as unpacked, and its CRC-32. Raises `EOFError` beyond the segment's end."""
    head = os.pread(file, FRAME.itemsize, at)
    if len(head) < FRAME.itemsize:
        raise EOFError
    length, unpacked, crc = (int(n) for n in np.frombuffer(head, FRAME)[0])
    return length, unpacked, crc


def record_at(file: int, at: int) -> Block | LoggedModel:
    """The record that begins at a place of a segment. Raises `EOFError` beyond its end, `LogFailed` when it is not whole."""
    length, unpacked, crc = head_at(file, at)
    packed = os.pread(file, length, at + FRAME.itemsize)
    if len(packed) < length or zlib.crc32(packed, unpacked) != crc:
        raise LogFailed(f"the record at {at} of a score log is not whole: it was cut off or changed")
    found: Block | LoggedModel = _DECODER.decode(PACKED.decompress(packed, unpacked, asbytes=True))
    return found


def score_in(score_id: str, block: Block, model: LoggedModel, row: int) -> LoggedScore:
    """One row of a block."""
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


def sound(file: int) -> Iterator[tuple[int, Block | LoggedModel]]:
    """Each sound record of a segment with where it begins, up to the first that is not: what a crash left unfinished."""
    at = 0
    while True:
        try:
            found = record_at(file, at)
        except (EOFError, LogFailed, ValueError):
            return
        yield at, found
        at += FRAME.itemsize + head_at(file, at)[0]


def records(segment: Path) -> Iterator[int]:
    """Where each sound record of a segment begins."""
    with segment.open("rb") as file:
        for at, _ in sound(file.fileno()):
            yield at


def contents(segment: Path) -> Iterator[bytes]:
    """What is packed in each sound record of a segment."""
    with segment.open("rb") as file:
        for _, record in sound(file.fileno()):
            yield encoded(record)
