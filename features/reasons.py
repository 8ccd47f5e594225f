"""Reasons: what moved one score, by group of features, in words a CRM user reads.

Contributions are exact tree SHAP values on the log-odds scale. Those of one concept are added up; the concept
speaks through its strongest feature, with the customer's own value. Scores and reports say it by this one definition,
for one row or for a block of them: the same numbers and the same words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isnan
from typing import Literal

import msgspec
import numpy as np

from features.feature import Feature
from features.matrix import Levels
from features.words import UNITS, UNSAID

__all__ = ["MOST_REASONS", "Direction", "Explainer", "Reason", "Strongest", "Words"]

MOST_REASONS = 3
DIGITS = 9  # of log-odds; the last bits of a sum are of the fifteenth
Direction = Literal["raises", "lowers"]
ROWS_WORTH_COLUMNS = 64
FEW = 64  # reasons: fewer are worded one by one


class Reason(msgspec.Struct, frozen=True):
    """A group of features and what it does to this score, in words."""

    concept: str
    direction: Direction
    en: str
    zh: str


@dataclass(frozen=True)
class Strongest:
    """The strongest reasons of a block of rows, one after the other, strongest first within a row. `row`, `concept` and `feature`
    are places; `contribution` is the concept's sum in log-odds; `value` what the row holds in the feature that speaks."""

    row: np.ndarray
    concept: np.ndarray
    feature: np.ndarray
    contribution: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True)
class Words:
    """Sentences in both languages, each once, and which of them each reason says."""

    place: np.ndarray
    en: list[str]
    zh: list[str]


class Explainer:
    """Groups a model's columns by concept once, and words the strongest groups of any row."""

    def __init__(self, features: Sequence[Feature], levels: Levels | None = None) -> None:
        self.features, self.levels = list(features), levels or {}
        self.concepts = sorted({feature.concept for feature in features})
        self.group = np.array([self.concepts.index(feature.concept) for feature in features])

    def by_concept(self, contributions: np.ndarray) -> np.ndarray:
        """(rows x concepts) sums of (rows x features) contributions."""
        sums = np.zeros((len(self.concepts), len(contributions)))
        if len(contributions) < ROWS_WORTH_COLUMNS:
            np.add.at(sums, self.group, contributions.T)
        else:  # the same additions in the same order, a column at a time
            for concept, column in zip(self.group, contributions.T, strict=True):
                sums[concept] += column
        return sums.T

    def strongest(self, rows: np.ndarray, contributions: np.ndarray, most: int = MOST_REASONS) -> Strongest:
        """The strongest concepts of each row; those that contribute nothing are left out."""
        return self.speaking(rows, contributions, self.by_concept(contributions), most)

    def speaking(self, rows: np.ndarray, parts: np.ndarray, sums: np.ndarray, most: int) -> Strongest:
        """The concepts of the largest `sums` (rows x concepts), each with the feature whose part goes furthest along. Those that
        differ by no more than the last bits of a sum, which hang on how it was made, rank by their places."""
        told = np.round(sums, DIGITS)
        order = np.argsort(-np.abs(told), axis=1, kind="stable")[:, :most]
        row, rank = np.nonzero(np.take_along_axis(told, order, axis=1))
        concept = order[row, rank]
        total = sums[row, concept]
        if len(row) < FEW:
            heard = np.round(parts[row], DIGITS) * np.sign(total)[:, None]
            along = np.where(self.group == concept[:, None], heard, -np.inf)
            feature = np.argmax(along, axis=1)
            return Strongest(row, concept, feature, total, rows[row, feature])
        feature = np.empty(len(row), dtype=np.int64)
        for group in np.unique(concept):
            said, members = np.flatnonzero(concept == group), np.flatnonzero(self.group == group)
            along = np.round(parts[np.ix_(row[said], members)], DIGITS) * np.sign(total[said])[:, None]
            feature[said] = members[np.argmax(along, axis=1)]
        return Strongest(row, concept, feature, total, rows[row, feature])

    def words(self, found: Strongest) -> Words:
        """What the reasons say; equal ones are worded once where there are many."""
        raises = found.contribution > 0
        if len(found) < FEW:
            return _each(self._sentence, found.feature, found.value, raises)
        place, en, zh = np.empty(len(found), dtype=np.int64), list[str](), list[str]()
        for number in np.unique(found.feature):
            for direction in (False, True):
                said = np.flatnonzero((found.feature == number) & (raises == direction))
                values, which = np.unique(found.value[said], return_inverse=True)
                place[said] = which + len(en)
                for value in values.tolist():
                    for language, into in (("en", en), ("zh", zh)):
                        into.append(self._sentence(int(number), value, direction, language))
        return Words(place, en, zh)

    def moves(self, found: Strongest, before: np.ndarray) -> Words:
        """What is said of features whose value was `before` another one, or makes another difference; equal ones are worded once
        where there are many."""
        raises = found.contribution > 0
        if len(found) < FEW:
            return _each(self._move, found.feature, before, found.value, raises)
        place, en, zh = np.empty(len(found), dtype=np.int64), list[str](), list[str]()
        for number in np.unique(found.feature):
            for direction in (False, True):
                said = np.flatnonzero((found.feature == number) & (raises == direction))
                values, now = np.unique(np.append(found.value[said], before[said]), return_inverse=True)
                pairs, which = np.unique(
                    now[: len(said)] * len(values) + now[len(said) :], return_inverse=True
                )
                place[said] = which + len(en)
                for pair in pairs.tolist():
                    is_, was = (values[place] for place in divmod(pair, len(values)))
                    for language, into in (("en", en), ("zh", zh)):
                        into.append(self._move(int(number), was, is_, direction, language))
        return Words(place, en, zh)

    def reasons(
        self, rows: np.ndarray, contributions: np.ndarray, most: int = MOST_REASONS
    ) -> list[list[Reason]]:
        """The strongest reasons for each of the rows, strongest first."""
        return self.worded(self.strongest(rows, contributions, most), len(rows))

    def worded(self, found: Strongest, rows: int) -> list[list[Reason]]:
        """The reasons of each of so many rows."""
        said = self.words(found)
        made: list[list[Reason]] = [[] for _ in range(rows)]
        columns = (found.row, found.concept, found.contribution, said.place)
        for row, concept, total, at in zip(*(column.tolist() for column in columns), strict=True):
            direction: Direction = "raises" if total > 0 else "lowers"
            made[row].append(Reason(self.concepts[concept], direction, said.en[at], said.zh[at]))
        return made

    def said(self, value: float, feature: int, language: str) -> str:
        """A value of the feature at that place, as a person writes it."""
        spoken = self.features[feature]
        known = self.levels.get(spoken.name)
        if known is not None and not isnan(value):
            return known[int(value)]
        return _value(value + 0.0, spoken.unit, language)  # which makes -0 a 0

    def _sentence(self, number: int, value: float, raises: bool, language: str) -> str:
        feature, said = self.features[number], self.said(value, number, language)
        if language == "en":
            return f"{feature.en}: {said}, which makes it {'more' if raises else 'less'} likely"
        return f"{feature.zh}：{said}，{'提高' if raises else '降低'}可能性"

    def _move(self, number: int, was: float, now: float, raises: bool, language: str) -> str:
        feature = self.features[number]
        then, said = (self.said(value, number, language) for value in (was, now))
        if language == "en":
            told = f"still {said}" if then == said else f"{then}, now {said}"
            return f"{feature.en}: {told}, which makes it {'more' if raises else 'less'} likely"
        told = f"仍为{said}" if then == said else f"由{then}变为{said}"
        return f"{feature.zh}：{told}，{'提高' if raises else '降低'}可能性"


def _each(say: Callable[..., str], *columns: np.ndarray) -> Words:
    """Every reason worded by itself, from what the columns hold of it."""
    told = list(zip(*(column.tolist() for column in columns), strict=True))
    en, zh = ([say(*one, language) for one in told] for language in ("en", "zh"))
    return Words(np.arange(len(told)), en, zh)


@lru_cache(maxsize=50_000)
def _value(value: float, unit: str, language: str) -> str:
    if isnan(value):
        return "none" if language == "en" else "无"
    if unit == "cents":
        return f"{value / 100:,.2f}"
    number = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
    if unit in UNSAID:
        return number
    if language == "zh":
        return f"{number}{UNITS.get(unit, unit)}"
    return f"{number} {unit.removesuffix('s') if number == '1' and unit in ('days', 'orders') else unit}"
