"""Why scores moved: today's rows beside those of the run before, by one model, group of features by group.

The model of today is asked about both, so that no difference is the model's doing. Contributions add up to the log-odds, their differences
to the move: no part of it is left unexplained. It is asked only of those whose score moved.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.nightly import NightlyRows
from features.reasons import Strongest
from serving.scorer import Scored, Scorer

__all__ = ["LEAST_MOVED", "MOST_MOVED", "Before", "Moves", "Then", "moves"]

MOST_MOVED = 2
LEAST_MOVED = 0.1  # log-odds: a score that moved less, within its grade, did not move
LEAST_PART = 0.01


@dataclass(frozen=True)
class Then:
    """Feature rows of another moment, sorted by customer."""

    rows: pa.Table
    as_of: datetime

    def places(self, ids: pa.Array) -> np.ndarray:
        """Where each customer's row is; -1 for those who had none."""
        found = pc.index_in(ids, self.rows["customer_id"].combine_chunks())
        return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


@dataclass(frozen=True)
class Before:
    """The rows of the run before, in a file; `columns` are read of them."""

    night: NightlyRows
    columns: tuple[str, ...]

    def beside(self, ids: pa.Array) -> Then:
        """Those of these customers, who are in order."""
        begin, end = (max(bisect_right(self.night.first_ids, ids[n].as_py()) - 1, 0) for n in (0, -1))
        blocks = [self.night.read(number).select(list(self.columns)) for number in range(begin, end + 1)]
        rows = pa.concat_tables(blocks)
        return Then(rows.filter(pc.is_in(rows["customer_id"], ids)).combine_chunks(), self.night.as_of)


@dataclass(frozen=True)
class Moves:
    """Of scored rows: the probability then (NaN: not scored then) and grade (None), and what moved, as `features.reasons` has what speaks,
    with the value that was there `before`."""

    since: datetime
    probabilities: np.ndarray
    grades: np.ndarray
    told: Strongest
    before: np.ndarray


def moves(
    scorer: Scorer, ids: pa.Array, scored: Scored, parts: np.ndarray, sums: np.ndarray, then: Then
) -> Moves:
    """What moved of scored rows (`ids` whose), given their contributions by feature and by concept."""
    place = then.places(ids)
    there = np.flatnonzero(place >= 0)
    was = scorer.score(then.rows.take(pa.array(place[there])), warn=False)
    held = there[was.eligible]
    probabilities, grades = np.full(len(ids), np.nan), np.full(len(ids), None, dtype=object)
    probabilities[held], grades[held] = was.probabilities, was.grades
    apart = np.abs(_log_odds(scored.probabilities[held]) - _log_odds(was.probabilities))
    moved = np.flatnonzero((apart >= LEAST_MOVED) | (scored.grades[held] != was.grades))
    now, old = held[moved], was.rows[moved]
    change, change_sums = np.empty((0, parts.shape[1])), np.empty((0, sums.shape[1]))
    if len(now):
        change = parts[now] - scorer.parts(old)
        change_sums = np.where(np.abs(total := scorer.explainer.by_concept(change)) >= LEAST_PART, total, 0.0)
    told = scorer.explainer.speaking(scored.rows[now], change, change_sums, MOST_MOVED)
    before = old[told.row, told.feature]
    told = Strongest(now[told.row], told.concept, told.feature, np.round(told.contribution, 6), told.value)
    return Moves(then.as_of, probabilities, grades, told, before)


def _log_odds(p: np.ndarray) -> np.ndarray:
    held = np.clip(p, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(held / (1 - held)))
