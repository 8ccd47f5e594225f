"""Loyalty points and membership tier: earned, spent, about to lapse; which tier, for how long, how it moved."""

from functools import partial
from typing import Any

import ibis

from features.feature import Feature, changed, windowed
from features.rows import Rows

__all__ = ["FEATURES"]

EXPIRY_HORIZONS_DAYS = (30, 90)


def moved(kind: str, past: Any) -> Rows:
    return past.points.where(kind=kind)  # type: ignore[no-any-return]


def summed(kind: str, past: Any, days: int | None) -> Any:
    return moved(kind, past).sum("points", days)


def balance(past: Any) -> Any:
    return summed("earned", past, None) - summed("redeemed", past, None) - summed("expired", past, None)


def expiring(days: int, past: Any) -> Any:
    """Points that lapse soon: those earned with such a date, and never more than are left, nor fewer than none."""
    lapsing = moved("earned", past).ahead("expires_at", days).sum("points")
    return ibis.greatest(ibis.least(lapsing, balance(past)), 0)


FEATURES = (
    Feature(
        "points_balance",
        balance,
        unit="points",
        nothing=0,
        concept="points",
        en="Points on the account",
        zh="积分余额",
    ),
    *windowed(
        "points_earned_{window}",
        partial(summed, "earned"),
        (90, 365, None),
        unit="points",
        nothing=0,
        concept="points",
        en="Points earned {window}",
        zh="{window}获得积分",
    ),
    *windowed(
        "points_redeemed_{window}",
        partial(summed, "redeemed"),
        (90, 365, None),
        unit="points",
        nothing=0,
        concept="points",
        en="Points redeemed {window}",
        zh="{window}兑换积分",
    ),
    *windowed(
        "points_expired_{window}",
        partial(summed, "expired"),
        (365,),
        unit="points",
        nothing=0,
        concept="points",
        en="Points lapsed {window}",
        zh="{window}过期积分",
    ),
    *windowed(
        "points_redeemed_share_{window}",
        lambda past, days: summed("redeemed", past, days) / summed("earned", past, days).nullif(0),
        (None,),
        unit="of earned",
        nothing=None,
        concept="points",
        en="Share of the points earned that was redeemed {window}",
        zh="{window}积分兑换率",
    ),
    *(
        Feature(
            f"points_expiring_next_{days}d",
            partial(expiring, days),
            unit="points",
            nothing=0,
            concept="points",
            en=f"Points that lapse within {days} days",
            zh=f"{days}天内即将过期积分",
        )
        for days in EXPIRY_HORIZONS_DAYS
    ),
    Feature(
        "days_to_points_expiry",
        lambda past: moved("earned", past).ahead("expires_at").days_to_first("expires_at"),
        unit="days",
        nothing=None,
        concept="points",
        en="Days until the next points lapse",
        zh="距最近一批积分过期的天数",
    ),
    *(
        Feature(
            f"days_since_points_{kind}",
            partial(lambda kind, past: moved(kind, past).days_since_last(), kind),
            unit="days",
            nothing=None,
            concept="points",
            en=f"Days since points were last {kind}",
            zh=f"距上次{zh}积分的天数",
        )
        for kind, zh in (("earned", "获得"), ("redeemed", "兑换"))
    ),
    *windowed(
        "points_reasons_{window}",
        lambda past, days: moved("earned", past).distinct("reason", days),
        (365,),
        unit="reasons",
        nothing=0,
        concept="points",
        en="Different reasons for which points were earned {window}",
        zh="{window}获得积分的不同事由数",
    ),
    *changed(
        "points_earned_change_{window}",
        partial(summed, "earned"),
        (90,),
        unit="points",
        concept="points",
        en="Points earned",
        zh="获得积分",
    ),
    Feature(
        "days_in_tier",
        lambda past: moved("tier", past).days_since_change("tier"),
        unit="days",
        nothing=None,
        concept="membership tier",
        en="Days in the present membership tier",
        zh="处于当前会员等级的天数",
    ),
    *windowed(
        "tier_changes_{window}",
        lambda past, days: moved("tier", past).changes("tier", days),
        (365, None),
        unit="changes",
        nothing=0,
        concept="membership tier",
        en="Changes of membership tier {window}",
        zh="{window}会员等级变动次数",
    ),
    *windowed(
        "tiers_held_{window}",
        lambda past, days: moved("tier", past).distinct("tier", days),
        (None,),
        unit="tiers",
        nothing=0,
        concept="membership tier",
        en="Different membership tiers held {window}",
        zh="{window}拥有过的会员等级数",
    ),
    Feature(
        "tier",
        lambda past: moved("tier", past).latest("tier"),
        unit="tier",
        nothing=None,
        concept="membership tier",
        en="Membership tier",
        zh="会员等级",
        kind="category",
    ),
)
