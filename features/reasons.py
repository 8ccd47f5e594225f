"""Reasons: what moved one score, by group of features, in words a CRM user reads.

Contributions are exact tree SHAP values on the log-odds scale. Those of one concept are added up; the concept
speaks through its strongest feature, with the customer's own value. Scores and reports say it by this one definition.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from features.feature import Feature
from features.matrix import Levels
from features.words import UNITS, UNSAID

__all__ = ["Direction", "Explainer", "Reason"]

MOST_REASONS = 3
Direction = Literal["raises", "lowers"]


class Reason(msgspec.Struct, frozen=True):
    """A group of features and what it does to this score, in words."""

    concept: str
    direction: Direction
    en: str
    zh: str


class Explainer:
    """Groups a model's columns by concept once, and words the strongest groups of any row."""

    def __init__(self, features: Sequence[Feature], levels: Levels | None = None) -> None:
        self.features, self.levels = list(features), levels or {}
        self.concepts = sorted({feature.concept for feature in features})
        self.group = np.array([self.concepts.index(feature.concept) for feature in features])

    def by_concept(self, contributions: np.ndarray) -> np.ndarray:
        """(rows x concepts) sums of (rows x features) contributions."""
        sums = np.zeros((len(contributions), len(self.concepts)))
        np.add.at(sums.T, self.group, contributions.T)
        return sums

    def reasons(self, row: np.ndarray, contributions: np.ndarray, most: int = MOST_REASONS) -> list[Reason]:
        """The strongest reasons for one row, strongest first; groups that contribute nothing are left out."""
        sums = self.by_concept(contributions[None, :])[0]
        strongest = [int(n) for n in np.argsort(-np.abs(sums), kind="stable")[:most] if sums[n]]
        return [self._reason(concept, sums[concept], row, contributions) for concept in strongest]

    def _reason(self, concept: int, total: float, row: np.ndarray, contributions: np.ndarray) -> Reason:
        members = np.flatnonzero(self.group == concept)
        along = contributions[members] * np.sign(total)
        place = int(members[int(np.argmax(along))])
        feature, direction = self.features[place], _direction(total)
        said_en, said_zh = (self._said(row[place], feature, language) for language in ("en", "zh"))
        makes_en, makes_zh = ("more", "提高") if direction == "raises" else ("less", "降低")
        return Reason(
            concept=self.concepts[concept],
            direction=direction,
            en=f"{feature.en}: {said_en}, which makes it {makes_en} likely",
            zh=f"{feature.zh}：{said_zh}，{makes_zh}可能性",
        )

    def _said(self, value: float, feature: Feature, language: str) -> str:
        known = self.levels.get(feature.name)
        if known is not None and not np.isnan(value):
            return known[int(value)]
        return _value(value, feature.unit, language)


def _direction(total: float) -> Direction:
    return "raises" if total > 0 else "lowers"


def _value(value: float, unit: str, language: str) -> str:
    if np.isnan(value):
        return "none" if language == "en" else "无"
    if unit == "cents":
        return f"{value / 100:,.2f}"
    number = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
    if unit in UNSAID:
        return number
    if language == "zh":
        return f"{number}{UNITS.get(unit, unit)}"
    return f"{number} {unit.removesuffix('s') if number == '1' and unit in ('days', 'orders') else unit}"
