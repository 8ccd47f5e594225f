"""Some customers' feature rows, column by column, straight from the memory that holds everybody's.

An Arrow table of a few rows pays for each of its hundreds of columns as much as one of thousands. Here a value is read where
it lies, and only where it is asked for; the numbers are those of `features.matrix`, to the bit.
"""

import math
from collections.abc import Container, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from features.errors import BadData
from features.matrix import Levels

__all__ = ["Picked", "Sheet"]

BITS = np.uint8(7)


class Sheet:
    """Feature rows in blocks, sorted by customer over all of them, each customer once. Threads may share one."""

    def __init__(self, batches: Sequence[pa.RecordBatch]) -> None:
        self.batches = [batch for batch in batches if batch.num_rows]
        self.names = frozenset(self.batches[0].schema.names) if self.batches else frozenset[str]()
        self._begins = np.cumsum([0, *(batch.num_rows for batch in self.batches)])
        self._columns: list[dict[str, _Column]] = [{} for _ in self.batches]

    @cached_property
    def _ids(self) -> np.ndarray:
        """Everybody's id as bytes of one width, to be searched; some twelve bytes each."""
        held = [np.array(batch.column("customer_id").cast(pa.binary()).to_pylist()) for batch in self.batches]
        return np.concatenate(held) if held else np.empty(0, "S1")

    def __len__(self) -> int:
        return int(self._begins[-1])

    def find(self, customer_ids: Sequence[str]) -> "Picked":
        """The rows of those customers that are there, in the order asked for."""
        asked = np.array([one.encode() for one in customer_ids] or [b""])
        places = np.searchsorted(self._ids, asked)
        there = np.zeros(len(asked), dtype=bool)
        inside = places < len(self._ids)
        there[inside] = self._ids[places[inside]] == asked[inside]
        known = [one for one, is_there in zip(customer_ids, there.tolist(), strict=False) if is_there]
        return Picked(self, known, places[there])

    def all(self) -> "Picked":
        """Every row: of a sheet that holds few."""
        ids = [one.decode() for one in self._ids.tolist()]
        return Picked(self, ids, np.arange(len(self)))

    def ids_at(self, places: np.ndarray) -> list[str]:
        """Whose the rows at these places are."""
        return [one.decode() for one in self._ids[places].tolist()]

    def blocks_of(self, places: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """The blocks that places lie in: (block, which of the places, where in the block)."""
        if len(self.batches) == 1:
            return [(0, np.arange(len(places)), places)] if len(places) else []
        block = np.searchsorted(self._begins, places, side="right") - 1
        return [
            (number, which := np.flatnonzero(block == number), places[which] - self._begins[number])
            for number in np.unique(block).tolist()
        ]

    def column(self, block: int, name: str) -> "_Column":
        held = self._columns[block]
        if name not in held:
            held[name] = _Column(self.batches[block].column(name))
        return held[name]


class Picked:
    """Rows of a sheet, in some order. Columns are read once."""

    def __init__(self, sheet: Sheet, customer_ids: list[str], places: np.ndarray) -> None:
        self.sheet, self.customer_ids, self.places = sheet, customer_ids, places
        self._blocks = sheet.blocks_of(places)
        self._numbers: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.customer_ids)

    def has(self, name: str) -> bool:
        return name in self.sheet.names

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers as doubles; nothing is NaN. A column that is not there is nothing throughout."""
        if name not in self._numbers:
            found = np.full(len(self), np.nan)
            for block, which, at in self._blocks if self.has(name) else ():
                found[which] = self.sheet.column(block, name).numbers(at)
            self._numbers[name] = found
        return self._numbers[name]

    def words(self, name: str) -> list[str | None]:
        """A column of words."""
        found: list[str | None] = [None] * len(self)
        for block, which, at in self._blocks if self.has(name) else ():
            for row, word in zip(which.tolist(), self.sheet.column(block, name).words(at), strict=True):
                found[row] = word
        return found

    def reasons(self, columns: Sequence[str]) -> list[str | None]:
        """Per row the first reason that one of the columns holds. Raises `BadData` for rows that lack one of them."""
        if missing := [name for name in columns if len(self) and not self.has(name)]:
            raise BadData(
                f"the feature rows do not say {missing[0]!r}: run `python -m features.nightly` again"
            )
        found: list[str | None] = [None] * len(self)
        for name in columns:
            found = [held or said for held, said in zip(found, self.words(name), strict=True)]
        return found

    def matrix(self, names: Sequence[str], levels: Levels, read: Iterable[int]) -> np.ndarray:
        """(rows x names) doubles as a model reads them; columns that it does not read, `read` tells which, are NaN."""
        found = np.full((len(self), len(names)), np.nan)
        if len(self) == 1:
            places = list(read)
            found[0, places] = self._row([names[place] for place in places], levels)
            return found
        for place in read:
            name = names[place]
            if name in levels:
                known = {word: float(n) for n, word in enumerate(levels[name])}
                found[:, place] = [known.get(word, np.nan) for word in self.words(name)]  # type: ignore[arg-type]
            else:
                found[:, place] = self.numbers(name)
        return found

    def _row(self, names: Sequence[str], levels: Levels) -> list[float]:
        """The one row that there is, for a tenth of the time."""
        block, _, (at, *_) = self._blocks[0]
        place, column, told = int(at), self.sheet.column, list[float]()
        for name in names:
            if not self.has(name):
                told.append(math.nan)
            elif name in levels:
                word = column(block, name).word(place)
                told.append(float(levels[name].index(word)) if word in levels[name] else math.nan)
            else:
                told.append(column(block, name).number(place))
        return told

    def batch(self) -> pa.RecordBatch:
        """One row, whole, or none."""
        if not self._blocks:
            return self.sheet.batches[0].slice(0, 0)
        block, _, at = self._blocks[0]
        return self.sheet.batches[block].slice(int(at[0]), 1)

    def without(self, customer_ids: Container[str]) -> "Picked":
        """The rows of the others."""
        return self.some(np.array([one not in customer_ids for one in self.customer_ids], dtype=bool))

    def some(self, which: np.ndarray) -> "Picked":
        """Those of the rows for which `which` is true."""
        if which.all():
            return self
        kept = np.flatnonzero(which)
        return Picked(self.sheet, [self.customer_ids[n] for n in kept.tolist()], self.places[kept])


class _Column:
    """One column of a block: its values and which of them are there, as they lie in memory."""

    def __init__(self, array: pa.Array) -> None:
        self.array, self.offset = array, array.offset
        self.values: np.ndarray | None = None
        self.there: np.ndarray | None = None
        self._value: memoryview | None = None
        self._bits: memoryview | None = None
        kind = _kind(array.type)
        if kind is not None:
            there, values = array.buffers()
            self.values = np.frombuffer(values, kind)[self.offset :]
            self.there = None if there is None or not array.null_count else np.frombuffer(there, np.uint8)
            self._value = None if kind == np.float16 else self.values.data
            self._bits = None if self.there is None else self.there.data

    def numbers(self, at: np.ndarray) -> np.ndarray:
        if self.values is None:
            taken = self.array.take(pa.array(at)).cast(pa.float64())
            return np.asarray(taken.to_numpy(zero_copy_only=False))
        found: np.ndarray = self.values[at].astype(np.float64)
        if self.there is not None:
            bit = at + self.offset
            found[(self.there[bit >> 3] >> (bit & 7).astype(np.uint8) & 1) == 0] = np.nan
        return found

    def number(self, at: int) -> float:
        """One value, as `numbers` has it."""
        if self._value is None:
            return float(self.numbers(np.array([at]))[0])
        bit = at + self.offset
        if self._bits is not None and not self._bits[bit >> 3] >> (bit & 7) & 1:
            return math.nan
        return float(self._value[at])

    def word(self, at: int) -> str | None:
        found: str | None = self.array[at].as_py()
        return found

    def words(self, at: np.ndarray) -> list[str | None]:
        if len(at) == 1:
            return [self.word(int(at[0]))]
        found: list[str | None] = self.array.take(pa.array(at)).to_pylist()
        return found


def _kind(type_: pa.DataType) -> np.dtype[Any] | None:
    """What plain numbers are in NumPy; pyarrow asks pandas for that."""
    letter = "f" if pa.types.is_floating(type_) else "u" if pa.types.is_unsigned_integer(type_) else "i"
    plain = pa.types.is_integer(type_) or pa.types.is_floating(type_)
    return np.dtype(f"{letter}{type_.bit_width // 8}") if plain else None
