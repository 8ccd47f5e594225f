"""The segments that customers are told apart by: where a score stands within one, and what lists are filtered by.

Each reads the first of its features that a deployment's rows hold. Nothing sensitive is among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from serving.desk.picked import Picked

__all__ = ["SEGMENTS", "Grouped", "Segment", "grouped", "words_of"]


@dataclass(frozen=True)
class Segment:
    """`reads` names features: a customer's value is that of the first that holds one."""

    name: str
    reads: tuple[str, ...]


SEGMENTS: tuple[Segment, ...] = (
    Segment("region", ("region",)),
    Segment("city_tier", ("city_tier",)),
    Segment("dealer", ("workshop_dealer", "order_dealer")),
    Segment("model", ("newest_car_model",)),
    Segment("power_type", ("newest_car_power_type", "preferred_power_type")),
    Segment("stage", ("lifecycle_stage_name",)),
)


@dataclass(frozen=True)
class Grouped:
    """Rows by their value in a segment: `codes` are places among `words`, -1 where nothing is known."""

    codes: np.ndarray
    words: tuple[str, ...]

    @classmethod
    def of(cls, values: pa.ChunkedArray) -> "Grouped":
        coded = values.combine_chunks().dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        return cls(codes, tuple(coded.dictionary.to_pylist()))

    def places(self, words: list[str]) -> np.ndarray:
        """Which rows hold one of the words."""
        wanted = np.array([word in words for word in self.words] + [False])
        return np.asarray(wanted[self.codes])


def grouped(rows: pa.Table) -> Mapping[str, Grouped]:
    """The segments that feature rows tell, by name."""
    return {
        segment.name: Grouped.of(found)
        for segment in SEGMENTS
        if (found := _values(segment, rows)) is not None
    }


def words_of(rows: Picked) -> Mapping[str, list[str | None]]:
    """Each row's value by segment."""
    found: dict[str, list[str | None]] = {}
    for segment in SEGMENTS:
        for name in segment.reads:
            if not rows.has(name):
                continue
            said = rows.words(name) if name != "city_tier" else _tiers(rows.numbers(name))
            held = found.get(segment.name, said)
            found[segment.name] = [
                other if word is None else word for word, other in zip(held, said, strict=True)
            ]
    return found


def _tiers(numbers: np.ndarray) -> list[str | None]:
    return [None if np.isnan(number) else f"{number:.0f}" for number in numbers]


def _values(segment: Segment, rows: pa.Table) -> pa.ChunkedArray | None:
    held = [pc.cast(rows[name], pa.string()) for name in segment.reads if name in rows.column_names]
    if not held:
        return None
    return pc.coalesce(*held) if len(held) > 1 else held[0]
