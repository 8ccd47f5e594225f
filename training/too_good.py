"""Too good to be true: a figure beyond belief is not admired but explained, before anybody may be served by it.

    suspected     ROC AUC above .90, unless a rule comes near; or, above .80 beyond chance, three times as far apart as the
                  best rule
    peeled        the group of columns that carries most is taken away and the model fitted again, until the figure is
                  credible; what carried it is accused, and a model with an accused column is never promoted

A leak need not show in a column alone: how long a contract will have lasted tells little, and next to the day it began
nearly everything. How far apart is d' (see `features.foresight`). Honest models of five worlds stay below both lines: they
reach .84, and twice the best rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.certificate import Accusation, Hunt
from features.errors import NotTrainable
from features.foresight import auc_alone, separation
from training.dataset import Dataset, Parts
from training.findings import Report
from training.grow import FIXED, fit, numbers
from training.metrics import auc
from training.model import Answers
from training.resampling import Estimate

__all__ = ["Doubt", "doubted", "too_good"]

NAME = "too good to be true"
BEYOND_BELIEF = 0.90
HIGH = 0.80
TIMES_THE_RULES = 3.0
# A rule is a sentence anybody can check: where it does nearly as well, the outcome is that easy to foresee.
NEAR_A_RULE = 1.25
MOST_PEELED = 6
# What an honest group carries by itself is carried by others too once it is gone.
TELLING_SHARE = 0.2
SHARE_OF_GROUP = 0.2
MOST_ROWS = 100_000


@dataclass(frozen=True)
class Doubt:
    """A scorer's ROC AUC beside that of the best rule."""

    model: float
    low: float
    rule: float

    @property
    def high(self) -> bool:
        """Whether the figure is beyond belief, and no rule is near it."""
        return self.model > BEYOND_BELIEF and separation(self.model) > NEAR_A_RULE * separation(self.rule)

    @property
    def far(self) -> bool:
        """Whether it is high and many times as far apart as the best rule, even at the lower end of its interval."""
        return self.low > HIGH and separation(self.low) > TIMES_THE_RULES * separation(self.rule)

    @property
    def words(self) -> str:
        """Why the figure is not believed; nothing where it is."""
        if not (self.high or self.far):
            return ""
        bound = (
            f"above {BEYOND_BELIEF:.2f}"
            if self.high
            else f"{TIMES_THE_RULES:g} times as far apart as the rules"
        )
        return f"ROC AUC {self.model:.3f} is too good to be true: {bound} (best rule {self.rule:.3f})"


def doubted(report: Report, rules: Sequence[str]) -> Doubt:
    """How a report's figure stands to what is credible."""
    model: Estimate = report.scorers["model"]["auc"]
    return Doubt(
        model.value, model.low, max((report.scorers[rule]["auc"].value for rule in rules), default=0.5)
    )


def too_good(doubt: Doubt, data: Dataset, parts: Parts, answers: Answers) -> Hunt:
    """The hunt that a figure beyond belief sets off; it accuses nobody where the figure is credible.

    Where nothing explains a figure above .90, all columns stand accused: whoever knows why the outcome is so easy to foresee
    can say so with `--force`.
    """
    if not doubt.words:
        return Hunt(NAME, len(data.names))
    concepts = {feature.name: feature.concept for feature in data.features}
    parts = Parts(_some(parts.fit), _some(parts.calibrate), _some(parts.test), parts.levels)
    left, figure = list(data.names), doubt.model
    accused: list[Accusation] = []
    excess = separation(doubt.model) - separation(doubt.rule)
    gains = _fitted(left, parts, answers)[1]
    for _ in range(MOST_PEELED):
        group = _heaviest(gains, concepts)
        left = [name for name in left if concepts[name] != group]
        without, next_gains = _without(left, parts, answers)
        if separation(figure) - separation(without) > TELLING_SHARE * excess:
            accused += _accused(group, gains, concepts, parts.test, figure, without)
        figure, gains = without, next_gains
        if not Doubt(figure, figure, doubt.rule).words:
            break
    if not accused and doubt.high:
        accused = [Accusation("", "*", f"{doubt.words}, and no group of columns explains it")]
    return Hunt(NAME, len(data.names), accused)


def _fitted(names: list[str], parts: Parts, answers: Answers) -> tuple[float, dict[str, float]]:
    """ROC AUC on the test of the small fixed model on these columns, and what each brought to it."""
    categories = [name for name in names if name in parts.levels]
    model = fit(parts.fit, parts.calibrate, names, answers, categories=categories, rounds=FIXED.rounds)
    outcome = parts.test["outcome"].to_numpy(dtype=np.float64)
    figure = auc(outcome, model.probabilities(numbers(parts.test, names)), np.ones(len(outcome)))
    gains = model.booster.feature_importance("gain").tolist()
    return figure, dict(zip(names, gains, strict=True))


def _without(left: list[str], parts: Parts, answers: Answers) -> tuple[float, dict[str, float]]:
    """The same of what is left; where nothing is left to learn from, the figure of chance."""
    try:
        return _fitted(left, parts, answers)
    except NotTrainable:
        return 0.5, {}


def _heaviest(gains: Mapping[str, float], concepts: Mapping[str, str]) -> str:
    by_group: dict[str, float] = {}
    for name, gain in gains.items():
        by_group[concepts[name]] = by_group.get(concepts[name], 0.0) + gain
    return max(by_group, key=by_group.__getitem__)


def _accused(
    group: str,
    gains: Mapping[str, float],
    concepts: Mapping[str, str],
    test: pd.DataFrame,
    figure: float,
    without: float,
) -> list[Accusation]:
    """The columns of a group that carry it, with what each tells alone and the model without them all."""
    inside = {name: gain for name, gain in gains.items() if concepts[name] == group}
    carrying = [name for name, gain in inside.items() if gain >= SHARE_OF_GROUP * max(inside.values())]
    outcome = test["outcome"].to_numpy(dtype=np.int64)
    return [
        Accusation(
            "",
            name,
            f"ROC AUC falls from {figure:.3f} to {without:.3f} without {group}; this column alone has "
            f"{auc_alone(test[name].to_numpy(dtype=np.float64, na_value=np.nan), outcome):.3f}",
        )
        for name in sorted(carrying, key=inside.__getitem__, reverse=True)
    ]


def _some(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sample(min(len(rows), MOST_ROWS), random_state=7).sort_index()
