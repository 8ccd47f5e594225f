"""A feature: name, definition, meaning, unit and what its absence means, on one screen.

    Feature("days_since_order", lambda past: past.orders.days_since_last(), unit="days", nothing=None,
            concept="order recency", en="Days since the last order", zh="距上次下单的天数")

Units and windows are part of the name. `nothing` is the value of a customer without any rows; a law
compares it with what the definition computes in an empty world.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from features.planner import sources_of
from features.rows import Definition, needs_of

__all__ = ["Feature", "windowed"]

# Raise it when the meaning of past, within or a measure changes: every fingerprint then moves.
SEMANTICS = "1"


@dataclass(frozen=True)
class Feature:
    """One column that is computed for a moment, for training, batch and service alike.

    `en` and `zh` are what a CRM user reads in a reason. `concept` groups features that say the same
    kind of thing, so that a reason names the thing once. `window_days` is None for a whole life.
    """

    name: str
    definition: Definition
    unit: str
    nothing: float | None
    concept: str
    en: str
    zh: str
    window_days: int | None = None

    @property
    def sources(self) -> frozenset[str]:
        return sources_of(self.definition)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change when what is computed changes, and not when its words do."""
        value, needs = needs_of(self.definition)
        text = "\n".join([SEMANTICS, repr(value), *sorted(repr(need) for need in needs)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def windowed(
    name: str,
    measure: Callable[[Any, int | None], Any],
    windows_days: tuple[int | None, ...],
    *,
    unit: str,
    nothing: float | None,
    concept: str,
    en: str,
    zh: str,
) -> Iterator[Feature]:
    """The same measure over several windows: `{window}` in the name becomes `90d` or `ever`, in the sentences
    "in the last 90 days" or "ever"."""
    for days in windows_days:
        label, words, words_zh = (
            ("ever", "so far", "累计")
            if days is None
            else (f"{days}d", f"in the last {days} days", f"近{days}天")
        )
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


def _over(measure: Callable[[Any, int | None], Any], days: int | None, past: Any) -> Any:
    return measure(past, days)
