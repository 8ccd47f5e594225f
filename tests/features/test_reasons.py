"""Reasons of a block of rows are those of each row, and those that the obvious way finds."""

import numpy as np
import pytest

from features.feature_set import FEATURES
from features.reasons import MOST_REASONS, ROWS_WORTH_COLUMNS, Explainer

NAMED = [FEATURES[name] for name in ("orders_90d", "orders_365d", "days_since_order", "mean_order_value_cents", "region", "active_days_90d")]  # fmt: skip
EXPLAINER = Explainer(NAMED, {"region": ("north", "south")})


def block(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    values = chance.integers(0, 30, (rows, len(NAMED))).astype(np.float64)
    values[:, 3] = np.round(chance.normal(1e5, 1e4, rows), 1)
    values[:, 4] = chance.integers(0, 2, rows)
    values[chance.random(values.shape) < 0.1] = np.nan
    parts = chance.normal(size=values.shape)
    parts[chance.random(parts.shape) < 0.4] = 0.0
    return values, parts


@pytest.mark.parametrize("rows", [1, ROWS_WORTH_COLUMNS, 300])
def test_a_block_says_what_each_row_says(rows: int) -> None:
    values, parts = block(rows, rows)
    together = EXPLAINER.reasons(values, parts)
    assert together == [EXPLAINER.reasons(v[None], p[None])[0] for v, p in zip(values, parts, strict=True)]


def test_the_strongest_concepts_speak_through_their_strongest_feature() -> None:
    values, parts = block(200, 5)
    for row, part, said in zip(values, parts, EXPLAINER.reasons(values, parts), strict=True):
        sums: dict[str, float] = dict.fromkeys(EXPLAINER.concepts, 0.0)
        for feature, contribution in zip(NAMED, part, strict=True):
            sums[feature.concept] += contribution
        expected = [c for c in sorted(sums, key=lambda c: -abs(sums[c])) if sums[c]][:MOST_REASONS]
        assert [reason.concept for reason in said] == expected
        for reason in said:
            total = sums[reason.concept]
            assert reason.direction == ("raises" if total > 0 else "lowers")
            members = [n for n, feature in enumerate(NAMED) if feature.concept == reason.concept]
            speaks = max(members, key=lambda n: part[n] * np.sign(total))
            value = EXPLAINER.said(row[speaks], speaks, "en")
            makes = "more" if total > 0 else "less"
            assert reason.en == f"{NAMED[speaks].en}: {value}, which makes it {makes} likely"


def test_how_values_are_said() -> None:
    orders, value, region = 0, 3, 4
    for feature, number, en, zh in (
        (orders, 1.0, "1 order", "1单"),
        (orders, -0.0, "0 orders", "0单"),
        (value, 123456.7, "1,234.57", "1,234.57"),
        (region, 1.0, "south", "south"),
        (region, np.nan, "none", "无"),
    ):
        assert (EXPLAINER.said(number, feature, "en"), EXPLAINER.said(number, feature, "zh")) == (en, zh)


@pytest.mark.parametrize("rows", [5, 300])
def test_the_last_bits_of_a_sum_change_no_reason(rows: int) -> None:
    """Columns that say the same weigh the same, and trees read from tables add up in another order than LightGBM's own."""
    values, parts = block(rows, 11)
    parts[:, 1] = parts[:, 0]  # orders of 90 and of 365 days, say
    parts[:, 2] = -2 * parts[:, 0]  # another concept, as strong
    told = EXPLAINER.reasons(values, parts)
    for seed in range(20):
        chance = np.random.default_rng(seed)
        nearly = parts + np.where(parts, chance.normal(0, 1e-15, parts.shape), 0.0)
        assert EXPLAINER.reasons(values, nearly) == told
    nothing = parts + chance.normal(0, 1e-15, parts.shape)
    assert EXPLAINER.reasons(values, nothing) == told, "what contributes nothing but bits is no reason"
