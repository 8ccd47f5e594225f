"""Rules: what marketing does without a model. Every model must beat those of its task.

A rule orders customers; it gives no probability. Higher means the outcome is more likely.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

__all__ = [
    "Rule",
    "age_of_car",
    "dearness",
    "fading",
    "last_touch",
    "latest",
    "most",
    "newness",
    "past_discounts",
    "past_redemptions",
    "recency",
    "rfm",
    "silent_7d",
    "test_drive_30d",
    "touch_rfm",
]


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


def most(name: str, feature: str, sentence: str) -> Rule:
    """Who has most of something comes first; nothing counts as none."""
    return Rule(name, sentence, (feature,), partial(_most_first, feature))


def latest(name: str, feature: str, sentence: str) -> Rule:
    """Who did something last comes first; never counts as longest ago."""
    return Rule(name, sentence, (feature,), partial(_latest_first, feature))


def _most_first(feature: str, rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(rows[feature].astype("float64").fillna(0.0), dtype=np.float64)


def _latest_first(days_since: str, rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(-rows[days_since].fillna(np.inf), dtype=np.float64)


def _quintile(values: pd.Series) -> np.ndarray:
    """1 to 5 by rank within the list that is scored; equal values share a quintile."""
    ranks = values.rank(method="average", pct=True).fillna(0.0)
    return np.ceil(ranks.to_numpy(dtype=np.float64) * 5).clip(1, 5)


def _rfm(days_since: str, frequency: str, value: str, rows: pd.DataFrame) -> np.ndarray:
    recent = _quintile(-rows[days_since].astype("float64"))
    return np.asarray(recent + _quintile(rows[frequency]) + _quintile(rows[value]))


def _talked_this_week(rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(rows["touchpoints_7d"] > 0, dtype=np.float64)


def _warm(rows: pd.DataFrame) -> np.ndarray:
    """2 after a test drive of the last 30 days, 0 when the last one is older and no order came, 1 without any."""
    since = rows["days_since_test_drive_without_order"].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isnan(since), 1.0, np.where(since < 30, 2.0, 0.0))


def _old_car(rows: pd.DataFrame) -> np.ndarray:
    return np.asarray(rows["oldest_car_age_days"].fillna(-1), dtype=np.float64)


ORDER_RFM = ("days_since_order", "order_days_ever", "order_value_ever_cents")
TOUCH_RFM = ("days_since_touchpoint", "active_days_365d", "order_value_ever_cents")

recency = latest("recency", "days_since_order", "who ordered last comes first")
rfm = Rule("rfm", "quintiles of recency, frequency and value, summed", ORDER_RFM, partial(_rfm, *ORDER_RFM))
last_touch = latest("recency", "days_since_touchpoint", "who was in touch last comes first")
silent_7d = Rule(
    "silent_7d", "a touchpoint in the last 7 days, or none", ("touchpoints_7d",), _talked_this_week
)
test_drive_30d = Rule(
    "test_drive_30d",
    "hot after a test drive within 30 days, cold when one is older and no order came",
    ("days_since_test_drive_without_order",),
    _warm,
)
age_of_car = Rule("age_of_car", "who holds the oldest car comes first", ("oldest_car_age_days",), _old_car)
touch_rfm = Rule(
    "rfm",
    "quintiles of recency and frequency of touchpoints and of value of orders, summed",
    TOUCH_RFM,
    partial(_rfm, *TOUCH_RFM),
)
past_redemptions = most(
    "past_redemptions", "coupon_redemptions_ever", "who redeemed most coupons so far comes first"
)
past_discounts = most(
    "past_discounts",
    "order_discount_365d_cents",
    "who had most taken off orders in the last 365 days comes first",
)
newness = Rule(
    "newness",
    "who came last leaves first",
    ("days_since_first_known",),
    lambda rows: -rows["days_since_first_known"].to_numpy(dtype=np.float64),
)
dearness = most("dearness", "last_order_value_cents", "who pays most leaves first")
