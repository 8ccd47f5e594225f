"""A single row's contributions from the same tables: every tree at once, where a block of rows goes tree by tree.

What a live question costs is mostly the explanation of one row. The additions are those of a block, in the same order: the same bits.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["OneRow"]


class OneRow:
    """Of every tree: its `questions`, whose answers make a number; and `told`, for each of its features, which sum it adds to and
    where its table, looked up by that number, begins in `worth`."""

    def __init__(
        self, questions: Sequence[Sequence[int]], told: Sequence[Sequence[tuple[int, int]]], worth: np.ndarray
    ) -> None:
        widest = max(map(len, questions), default=0)
        self._asked = np.zeros((len(questions), widest), dtype=np.intp)
        self._weight = np.zeros((len(questions), widest), dtype=np.int64)
        for tree, some in enumerate(questions):
            self._asked[tree, : len(some)] = some
            self._weight[tree, : len(some)] = 1 << np.arange(len(some))
        flat = [(tree, into, begin) for tree, some in enumerate(told) for into, begin in some]
        self._tree, self._into, self._begin = np.array(flat, dtype=np.intp).reshape(-1, 3).T.copy()
        self._worth = worth

    def sums(self, answers: np.ndarray, length: int) -> np.ndarray:
        """What the answers (0 or 1 for each question) are worth, added up in the order of the trees into so many sums."""
        pattern = (answers[self._asked] * self._weight).sum(axis=1)
        return np.bincount(self._into, self._worth[self._begin + pattern[self._tree]], minlength=length)
