"""Feature rows as the numbers a model reads: float64, null is NaN."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["matrix"]


def matrix(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    """A (rows x names) array; the columns of `names`, in that order."""
    numbers = np.empty((rows.num_rows, len(names)), dtype=np.float64)
    for place, name in enumerate(names):
        numbers[:, place] = pc.cast(rows[name], pa.float64()).combine_chunks().to_numpy(zero_copy_only=False)
    return numbers
