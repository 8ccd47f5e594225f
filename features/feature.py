"""A feature: name, definition, meaning, unit and what its absence means, on one screen.

    Feature("days_since_order", lambda past: past.orders.days_since_last(), unit="days", nothing=None,
            concept="order recency", en="Days since the last order", zh="距上次下单的天数")

Units and windows are part of the name. `nothing` is the value of a customer without any rows; a law
compares it with what the definition computes in an empty world.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from features.planner import sources_of
from features.rows import Definition, needs_of
from features.sources import CANONICAL

__all__ = ["Feature", "changed", "windowed"]

# Raise it when the meaning of past, within or a measure changes: every fingerprint then moves.
SEMANTICS = "2"

Measure = Callable[[Any, int | None], Any]


@dataclass(frozen=True)
class Feature:
    """One column that is computed for a moment, for training, batch and service alike.

    `en` and `zh` are what a CRM user reads in a reason. `concept` groups features that say the same
    kind of thing, so that a reason names the thing once. `window_days` is None for a whole life. A `category`
    is a string; only numbers go into a model's matrix as they are.
    """

    name: str
    definition: Definition
    unit: str
    nothing: float | str | None
    concept: str
    en: str
    zh: str
    window_days: int | None = None
    kind: Literal["number", "category"] = "number"

    @property
    def sources(self) -> frozenset[str]:
        return sources_of(self.definition)

    @property
    def purposes(self) -> frozenset[str]:
        """The consent purposes under which it may be computed: those of its sources."""
        return frozenset(CANONICAL[source].purpose for source in self.sources)

    @property
    def sensitive(self) -> bool:
        """Whether it reads a sensitive column; such features take part only where a task names them."""
        return any(
            CANONICAL[need.source][column].sensitive
            for need in needs_of(self.definition)[1]
            for column in need.columns
        )

    @property
    def window_text(self) -> str:
        """How far back it looks, in words."""
        if not self.sources:
            return "the day"
        return "whole life" if self.window_days is None else f"{self.window_days} d"

    @property
    def nothing_text(self) -> str:
        """What a customer without rows has, in words; a feature of the date alone always has a value."""
        if not self.sources:
            return "always there"
        match self.nothing:
            case None:
                return "null"
            case str():
                return self.nothing
            case number:
                return f"{number:g}"

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change when what is computed changes, and not when its words do."""
        value, needs = needs_of(self.definition)
        text = "\n".join([SEMANTICS, repr(value), *sorted(repr(need) for need in needs)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def windowed(
    name: str,
    measure: Measure,
    windows_days: Iterable[int | None],
    *,
    unit: str,
    nothing: float | None,
    concept: str,
    en: str,
    zh: str,
) -> Iterator[Feature]:
    """The same measure over several windows: `{window}` in the name becomes `90d` or `ever`, in the sentences
    "in the last 90 days" or "so far"."""
    for days in windows_days:
        label, words, words_zh = ("ever", "so far", "累计") if days is None else _words(days)
        yield Feature(
            name.format(window=label),
            partial(_over, measure, days),
            unit=unit,
            nothing=nothing,
            concept=concept,
            en=en.format(window=words),
            zh=zh.format(window=words_zh),
            window_days=days,
        )


def changed(
    name: str, measure: Measure, windows_days: Iterable[int], *, unit: str, concept: str, en: str, zh: str
) -> Iterator[Feature]:
    """How much more of a count or sum there is in the last days than in as many days before; it reads twice
    its window."""
    for days in windows_days:
        label, words, words_zh = _words(days)
        yield Feature(
            name.format(window=label),
            partial(_beyond_before, measure, days),
            unit=unit,
            nothing=0,
            concept=concept,
            en=f"{en} {words} beyond the {days} days before",
            zh=f"{words_zh}{zh}较此前{days}天的变化",
            window_days=2 * days,
        )


def _words(days: int) -> tuple[str, str, str]:
    return f"{days}d", f"in the last {days} days", f"近{days}天"


def _over(measure: Measure, days: int | None, past: Any) -> Any:
    return measure(past, days)


def _beyond_before(measure: Measure, days: int, past: Any) -> Any:
    latest, both = measure(past, days), measure(past, 2 * days)
    return latest - (both - latest)
