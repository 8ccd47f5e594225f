"""Feature rows as the numbers a model reads: float64, null is NaN, a category the place among its levels."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Levels", "codes", "matrix", "unseen"]

Levels = Mapping[str, Sequence[str]]


def matrix(rows: pa.Table, names: Sequence[str], levels: Levels | None = None) -> np.ndarray:
    """A (rows x names) array; the columns of `names`, in that order. `levels` holds the categories among them. In memory it lies
    column by column, as the rows do: writing it, and reading columns of it, takes half the time."""
    numbers = np.empty((len(names), rows.num_rows), dtype=np.float64)
    for place, name in enumerate(names):
        known = (levels or {}).get(name)
        chunks = rows[name]
        column = chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()
        numbers[place] = _numbers(column) if known is None else codes(column, known)
    return numbers.T


def codes(column: pa.Array, levels: Sequence[str]) -> np.ndarray:
    """Each value's place among the levels; NaN for null and for a value that is none of them."""
    return _numbers(pc.index_in(column, pa.array(levels, column.type), skip_nulls=True))


def unseen(rows: pa.Table, levels: Levels) -> dict[str, int]:
    """How many rows hold a category that is none of its levels, by column; columns without any are left out."""
    counts = {
        name: rows.num_rows
        - rows[name].null_count
        - pc.sum(pc.is_in(rows[name], pa.array(known, rows[name].type))).as_py()
        for name, known in levels.items()
        if rows.num_rows
    }
    return {name: count for name, count in counts.items() if count}


def _numbers(column: pa.Array) -> np.ndarray:
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))
