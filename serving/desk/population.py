"""Everybody who was scored for a task on one night: where a score stands among them, and who comes first.

A percentile is the share of the scored customers whose probability is lower, in per cent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serving.contract.scores import Within
from serving.desk.segments import Grouped

__all__ = ["Population"]

FEWEST = 20


@dataclass(frozen=True)
class Population:
    """The scored customers of a task, best first: `place` is each one's row among the night's rows. Equal probabilities
    stand in the order of customers."""

    version: str
    probability: np.ndarray
    place: np.ndarray
    rising: np.ndarray
    within: Mapping[str, Mapping[str, np.ndarray]]

    @classmethod
    def of(
        cls, version: str, probability: np.ndarray, place: np.ndarray, segments: Mapping[str, Grouped]
    ) -> "Population":
        """`probability` of the rows at `place`, which rises."""
        order = np.argsort(-probability, kind="stable")
        probability, place = probability[order], place[order]
        rising = probability[::-1].copy()
        within = {name: _by_word(one, place[::-1], rising) for name, one in segments.items()}
        return cls(version, probability, place, rising, within)

    def percentiles(self, probability: np.ndarray) -> np.ndarray:
        """Overall, of any probabilities."""
        return _share_below(self.rising, probability)

    def standing(
        self, probability: np.ndarray, words: Mapping[str, Sequence[str | None]]
    ) -> list[list[Within]]:
        """Within segments: `words` tells each row's value by segment. Values that few were scored in are left out."""
        found: list[list[Within]] = [[] for _ in probability]
        for name, values in words.items():
            ranked = self.within.get(name, {})
            rows_of: dict[str, list[int]] = {}
            for row, word in enumerate(values):
                if word is not None:
                    rows_of.setdefault(word, []).append(row)
            for word, rows in rows_of.items():
                others = ranked.get(word)
                if others is None or len(others) < FEWEST:
                    continue
                shares = _share_below(others, probability[rows]).tolist()
                for row, share in zip(rows, shares, strict=True):
                    found[row].append(Within(name, word, share, len(others)))
        return found


def _share_below(rising: np.ndarray, probability: np.ndarray) -> np.ndarray:
    below = np.searchsorted(rising, probability, side="left")
    return np.asarray(100.0 * below / max(len(rising), 1))


def _by_word(one: Grouped, place: np.ndarray, rising: np.ndarray) -> dict[str, np.ndarray]:
    """The rising probabilities of each value's rows."""
    codes = one.codes[place]
    order = np.argsort(codes, kind="stable")
    begins = np.searchsorted(codes[order], np.arange(len(one.words) + 1))
    ranked = rising[order]
    return {
        word: ranked[begin:end]
        for word, begin, end in zip(one.words, begins[:-1], begins[1:], strict=True)
        if end > begin
    }
