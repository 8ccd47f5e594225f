"""Whether a ranking serves groups alike: how many of a group a list takes, and how many of those who will act it finds.

    listed     the share of a group's moments that are in the top tenth
    found      of a group's moments with the outcome, the share that are ("equality of opportunity": Hardt, Price and Srebro 2016)
    off        what a group is promised on average, less what came

Groups differ in what they do, so their lists may; `found` and `off` compare those who act with those who act, promises with deeds. A
task that declares limits (`training.assessment.Fairness`) is held to them by a gate of promotion; all tasks' reports show the figures. Groups by a
sensitive column can be named only where the task says why it reads that column.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.resampling import Estimate, draws_of, estimate
from training.segments import enough, groups_of

__all__ = ["Treated", "shares", "top_tenth", "treated"]


@dataclass(frozen=True)
class Treated:
    """One group: its shares, and how much more of those who act it finds than of everybody's, customers drawn again."""

    segment: str
    value: str
    listed: float
    found: float
    ahead: Estimate
    off: Estimate


def treated(rows: pd.DataFrame, probability: np.ndarray, segments: Sequence[str]) -> Iterator[Treated]:
    """Every group of these segments that is large enough to judge. `rows` (customer_id, outcome) hold the features, categories as
    text."""
    came, top = rows["outcome"].to_numpy(dtype=np.float64), top_tenth(probability)
    draws = draws_of(rows["customer_id"])
    of_all = draws.sums(np.stack([came, came * top], axis=1))
    for segment, value, inside in groups_of(rows):
        if segment.name in segments and enough(int(inside.sum()), int(came[inside].sum())):
            here = inside.astype(np.float64)
            columns = (here, here * came, here * came * top, here * probability)
            size, acted, hits, promised = draws.sums(np.stack(columns, axis=1)).T
            with np.errstate(invalid="ignore", divide="ignore"):  # a draw may hold nobody who acts
                ahead = estimate(hits / acted - of_all[:, 1] / of_all[:, 0])
                off = estimate((promised - acted) / size)
            yield Treated(segment.name, value, *shares(top[inside], came[inside]), ahead, off)


def shares(top: np.ndarray, came: np.ndarray) -> tuple[float, float]:
    """Of a group's rows, given which are at the top and which have the outcome (0/1): the shares `listed` and `found`, the latter nought
    where none has it."""
    return float(top.mean()), float(top @ came / max(came.sum(), 1.0))


def top_tenth(probability: np.ndarray) -> np.ndarray:
    """Which rows are in the first tenth of the ranking, one at least."""
    top = np.zeros(len(probability), dtype=bool)
    top[np.argsort(-probability, kind="stable")[: max(len(probability) // 10, 1)]] = True
    return top
