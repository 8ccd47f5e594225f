"""A handful of real moments of the test, to see the model at work: right, in the middle, and wrong.

Nobody is named: an example has a letter, a month, and the reasons that a CRM user would read.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import pandas as pd

from features.feature import Feature
from features.matrix import Levels
from features.reasons import Explainer, Reason
from training.model import Model
from training.words import Words

__all__ = ["Example", "examples_of"]

HIGH = Words("high, and it happened", "高分，且已发生")
MIDDLE = Words("in the middle", "居中")
LOW = Words("low, and it did not happen", "低分，且未发生")
FALSE_ALARM = Words("wrong: high, and it did not happen", "误判：高分却未发生")
MISSED = Words("wrong: low, and it happened", "误判：低分却发生")


class Example(msgspec.Struct, frozen=True):
    """One tested moment without its customer: why it is shown, what was promised and what came, and the reasons."""

    name: str
    shown_as: Words
    month: str
    probability: float
    happened: bool
    reasons: list[Reason]


def examples_of(
    model: Model,
    features: Sequence[Feature],
    levels: Levels,
    rows: np.ndarray,
    tested: pd.DataFrame,
    probability: np.ndarray,
) -> list[Example]:
    """Examples from the test: `rows` as the model reads them, `tested` with as_of and outcome."""
    chosen = _chosen(probability, tested["outcome"].to_numpy() == 1)
    places = list(chosen.values())
    said = Explainer(features, levels).reasons(rows[places], model.contributions(rows[places])[:, :-1])
    return [
        Example(
            name="ABCDE"[n],
            shown_as=shown_as,
            month=f"{tested['as_of'].iloc[place]:%Y-%m}",
            probability=float(probability[place]),
            happened=bool(tested["outcome"].iloc[place]),
            reasons=said[n],
        )
        for n, (shown_as, place) in enumerate(chosen.items())
    ]


def _chosen(probability: np.ndarray, happened: np.ndarray) -> dict[Words, int]:
    """The places of the examples; one that does not exist is left out, and no moment is shown twice."""
    by_rank = np.argsort(-probability, kind="stable")
    with_it, without = by_rank[happened[by_rank]], by_rank[~happened[by_rank]]
    wished = {
        HIGH: with_it[:1],
        MIDDLE: by_rank[len(by_rank) // 2 :][:1],
        LOW: without[-1:],
        FALSE_ALARM: without[:1],
        MISSED: with_it[-1:],
    }
    found: dict[Words, int] = {}
    for shown_as, places in wished.items():
        if len(places) and int(places[0]) not in found.values():
            found[shown_as] = int(places[0])
    return found
