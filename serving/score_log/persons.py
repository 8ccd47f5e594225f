"""What a segment holds of a customer: told on request, blanked on erasure.

Blanking leaves every record where it stands and as long as it was, so that the ids of all other scores, and a process that
adds to the segment meanwhile, are not disturbed.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from features.durable import put
from serving.score_log.record import (
    BLANK,
    Block,
    LogFailed,
    LoggedModel,
    encoded,
    head_at,
    headed,
    record_at,
    score_in,
    sound,
)

__all__ = ["blanked", "scores_of"]

SKIP = 0x184D2A50  # a frame that whoever unpacks zstd passes over (RFC 8878, 3.1.2)
SKIPPED = np.dtype([("magic", "<u4"), ("length", "<u4")])


def scores_of(segment: Path, customer_id: str) -> Iterator[dict[str, Any]]:
    """One customer's scores in a segment, as they were told."""
    with segment.open("rb") as file:
        for at, block in sound(file.fileno()):
            if isinstance(block, Block) and customer_id in block.customer_ids:
                model = record_at(file.fileno(), block.model)
                assert isinstance(model, LoggedModel)
                for row in _of(block, [customer_id]):
                    one = score_in(f"{segment.stem}-{at:x}-{row:x}", block, model, row)
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
        for at, block in sound(file.fileno()):
            if not isinstance(block, Block) or not (mine := _of(block, persons)):
                continue
            length, *_ = head_at(file.fileno(), at)
            put(beside, at.to_bytes(8, "little") + _blank_frame(block, mine, length))
            _overwrite(file.fileno(), beside)
            found += len(mine)
    return found


def _of(block: Block, persons: Collection[str]) -> list[int]:
    return [row for row, customer in enumerate(block.customer_ids) if customer in persons]


def _overwrite(file: int, beside: Path) -> None:
    content = beside.read_bytes()
    os.pwrite(file, content[8:], int.from_bytes(content[:8], "little"))
    os.fdatasync(file)
    beside.unlink()


def _blank_frame(block: Block, rows: Sequence[int], length: int) -> bytes:
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
    content = encoded(
        msgspec.structs.replace(block, customer_ids=ids, reasons=reasons, grades=grades, **zeroed)
    )
    for level in (1, 3, 9, 19):
        packed = pa.Codec("zstd", compression_level=level).compress(content, asbytes=True)
        room = length - len(packed)
        if room == 0 or room >= SKIPPED.itemsize:
            padding = np.array([(SKIP, room - SKIPPED.itemsize)], SKIPPED).tobytes() if room else b""
            packed += padding.ljust(room, b"\0")
            return headed(packed, len(content))
    raise LogFailed("a record of the score log cannot be blanked in its place: remove its segment")


def _zeroed(packed: bytes, count: int, rows: Sequence[int], order: str) -> bytes:
    values = (
        np.frombuffer(packed, np.float64)
        .reshape((count, -1), order="F" if order == "F" else "C")
        .copy(order="K")
    )
    values[list(rows)] = 0.0
    return values.tobytes("F" if order == "F" else "C")
