"""How the customers a model learned from were spread: kept beside it, so that others can be compared with them (`training.drift`)."""

import msgspec

from training.spread import Spread

__all__ = ["Baseline"]


class Baseline(msgspec.Struct, frozen=True):
    """How the learned customers were spread, per column of the model, by plain numbers and nobody's values. `tested` is
    the index between fit and test, `quietest` the largest share of a date that held nothing, `weights` each column's share of what the trees gained, `scores` the spread of
    probabilities not learned from, `expected_auc` what the test's probabilities promised (see `training.expected`),
    `per_date` how many were asked about at a date of the test, `usual_per_date` how few and how many are no surprise."""

    customers: int
    features: dict[str, Spread]
    tested: dict[str, float]
    quietest: dict[str, float]
    weights: dict[str, float]
    scores: Spread
    tested_scores: float
    expected_auc: tuple[float, float, float]
    per_date: float
    usual_per_date: tuple[float, float]
