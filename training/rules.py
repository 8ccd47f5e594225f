"""Rules: what marketing does without a model. Every model must beat those of its task.

A rule orders customers; it gives no probability. Higher means the outcome is more likely.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Rule", "fading", "recency", "rfm"]


@dataclass(frozen=True)
class Rule:
    """`score` orders rows by the feature columns it names in `reads`."""

    name: str
    sentence: str
    reads: tuple[str, ...]
    score: Callable[[pd.DataFrame], np.ndarray]


def fading(rule: Rule) -> Rule:
    """The same rule turned round, for outcomes that are a silence."""
    return Rule(rule.name, rule.sentence, rule.reads, lambda rows: -rule.score(rows))


def _most_recent(rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(-rows["days_since_order"].fillna(np.inf), dtype=np.float64)


def _quintile(values: pd.Series) -> np.ndarray:
    """1 to 5 by rank within the list that is scored; equal values share a quintile."""
    ranks = values.rank(method="average", pct=True).fillna(0.0)
    return np.ceil(ranks.to_numpy(dtype=np.float64) * 5).clip(1, 5)


def _rfm(rows: pd.DataFrame) -> np.ndarray:
    recency_quintile = _quintile(-rows["days_since_order"].astype("float64"))
    frequency, value = _quintile(rows["order_days_ever"]), _quintile(rows["order_value_ever_cents"])
    return np.asarray(recency_quintile + frequency + value)


recency = Rule("recency", "who ordered last comes first", ("days_since_order",), _most_recent)
rfm = Rule(
    "rfm",
    "quintiles of recency, frequency and value, summed",
    ("days_since_order", "order_days_ever", "order_value_ever_cents"),
    _rfm,
)
