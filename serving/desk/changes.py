"""What has changed since the last score: the customer then and now, by the same model, group of features by group.

Contributions add up to the log-odds, so their differences add up to the move: no part of it is left unexplained, and none
is the model's doing.
"""

from datetime import datetime
from typing import cast

import numpy as np

from serving.contract.scores import Change, Moved
from serving.contract.words import Grade
from serving.desk.scoring import Seen
from serving.scorer import Scorer

__all__ = ["changes"]

MOST = 3


def changes(now: Seen, then: Seen, since: datetime) -> list[Change | None]:
    """Per row scored now what moved since, strongest first; None for who was not scored then. Both by one model."""
    place = {customer: n for n, customer in enumerate(then.mine.customer_ids)}
    pairs = [(n, place[one]) for n, one in enumerate(now.mine.customer_ids) if one in place]
    found: list[Change | None] = [None] * len(now.grades)
    if not pairs:
        return found
    rows, olds = (np.array(side) for side in zip(*pairs, strict=True))
    why = _said(
        now.scorer,
        now.values[rows],
        then.values[olds],
        now.parts[rows] - then.parts[olds],
        now.sums[rows] - then.sums[olds],
    )
    was, is_ = then.probabilities[olds].tolist(), now.probabilities[rows].tolist()
    for n, (row, old) in enumerate(pairs):
        found[row] = Change(since, was[n], cast(Grade, then.grades[old]), is_[n] - was[n], why[n])
    return found


def _said(
    scorer: Scorer, now: np.ndarray, then: np.ndarray, parts: np.ndarray, sums: np.ndarray
) -> list[list[Moved]]:
    explainer = scorer.explainer
    told = explainer.speaking(now, parts, sums, MOST)
    words = explainer.moves(told, then[told.row, told.feature])
    found: list[list[Moved]] = [[] for _ in now]
    for row, concept, total, place in zip(
        told.row.tolist(),
        told.concept.tolist(),
        told.contribution.tolist(),
        words.place.tolist(),
        strict=True,
    ):
        found[row].append(Moved(explainer.concepts[concept], total, words.en[place], words.zh[place]))
    return found
