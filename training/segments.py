"""The segments that figures are given for, declared once: the report shows them, the promotion gate judges by them.

A segment is made of a feature that a deployment has; one that says the same about everybody is left out. Sex and age are looked at
only where a task says why it reads them. Groups of too few rows or outcomes are named and not judged.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.words import Words

__all__ = ["FEWEST_OUTCOMES", "FEWEST_ROWS", "SEGMENTS", "Segment", "enough", "groups_of", "months_of"]

FEWEST_ROWS = 300
FEWEST_OUTCOMES = 20
MOST_VALUES = 12
NOT_KNOWN, OTHERS = "not known", "others"
NEW_OWNER_DAYS = 365


@dataclass(frozen=True)
class Segment:
    """`reads` names features, of which the first that says anything is taken; `value` makes groups of its values."""

    name: str
    reads: tuple[str, ...]
    title: Words
    value: Callable[[pd.Series], pd.Series]


def _as_said(values: pd.Series) -> pd.Series:
    return values.astype("string")


def _whole(values: pd.Series) -> pd.Series:
    return values.astype("Int64").astype("string")


def _decade(years: pd.Series) -> pd.Series:
    return _whole(years // 10 * 10) + "s"


def _new_or_old(days: pd.Series) -> pd.Series:
    found = (days <= NEW_OWNER_DAYS).map({True: "new (up to a year)", False: "old (more than a year)"})
    return found.astype("string").where(days.notna())


def _one_or_several(orders: pd.Series) -> pd.Series:
    named = np.select([orders == 0, orders == 1], ["none", "one"], "several")
    return pd.Series(named, orders.index, dtype="string").where(orders.notna())


SEGMENTS: tuple[Segment, ...] = (
    Segment("city_tier", ("city_tier",), Words("city tier", "城市级别"), _whole),
    Segment(
        "power_type",
        ("newest_car_power_type", "preferred_power_type"),
        Words("power type", "动力类型"),
        _as_said,
    ),
    Segment("region", ("region",), Words("region", "大区"), _as_said),
    Segment("lifecycle_stage", ("lifecycle_stage_name",), Words("lifecycle stage", "生命周期阶段"), _as_said),
    Segment("ownership", ("days_since_first_delivery",), Words("new or old owner", "新老车主"), _new_or_old),
    Segment("sex", ("sex",), Words("sex", "性别"), _as_said),
    Segment("age_band", ("birth_year",), Words("born in", "出生年代"), _decade),
    Segment("orders", ("orders_ever",), Words("orders so far", "累计订单"), _one_or_several),
)


def groups_of(rows: pd.DataFrame) -> Iterator[tuple[Segment, str, np.ndarray]]:
    """Every group of every segment that these rows have: the segment, the value, and which rows (0/1). `rows` hold the
    features with categories as text."""
    for segment in SEGMENTS:
        values = _values(segment, rows)
        counts = values.value_counts().sort_index()
        if len(counts) > 1:
            yield from ((segment, str(value), (values == value).to_numpy(dtype=bool)) for value in counts.index)  # fmt: skip


def months_of(as_of: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    """Each calendar month that has moments, and which rows these are."""
    months = as_of.dt.strftime("%Y-%m")
    yield from ((month, (months == month).to_numpy()) for month in sorted(months.unique()))


def enough(rows: int, outcomes: int) -> bool:
    """Whether a group is large enough to be judged."""
    return rows >= FEWEST_ROWS and min(outcomes, rows - outcomes) >= FEWEST_OUTCOMES


def _values(segment: Segment, rows: pd.DataFrame) -> pd.Series:
    """Each row's group; a rarer value than the first dozen is one of the others."""
    for name in segment.reads:
        if name in rows and rows[name].notna().any():
            named = segment.value(rows[name])
            kept = named.value_counts().index[:MOST_VALUES]
            return named.where(named.isin(kept) | named.isna(), OTHERS).fillna(NOT_KNOWN)
    return pd.Series(NOT_KNOWN, index=rows.index)
