"""What to expect of contacts, points, referrals, profile and season."""

from datetime import date
from itertools import pairwise

from tests.oracle.activity import orders
from tests.oracle.measures import (
    EXPECTED,
    after_last,
    change,
    days_to,
    distinct,
    due,
    last,
    newest,
    over,
    ratio,
    since_first,
    since_last,
    smallest,
    total,
)
from tests.oracle.moment import Moment, Row
from tests.oracle.ownership import visits


def declare_contacts() -> None:
    step = lambda m, kind: m.rows("contacts", kind=kind)  # noqa: E731
    windows: dict[str, tuple[str, tuple[int | None, ...]]] = {
        "contacts_sent": ("sent", (7, 30, 90, 365)),
        "contacts_delivered": ("delivered", (90,)),
        "contacts_opened": ("opened", (30, 90, 365)),
        "contacts_answered": ("answered", (90, 365, None)),
        "adviser_calls": ("adviser_call", (90, 365)),
        "opt_outs": ("opted_out", (None,)),
    }
    for name, (kind, days) in windows.items():
        over(f"{name}_{{}}", days, lambda m, d, kind=kind: len(m.recent(step(m, kind), d)))
    for name, kind in (
        ("contact", "sent"),
        ("opening", "opened"),
        ("reply", "answered"),
        ("adviser_call", "adviser_call"),
        ("opt_out", "opted_out"),
    ):
        last(f"days_since_{name}", lambda m, kind=kind: step(m, kind))
    EXPECTED["contacts_unanswered_in_a_row"] = lambda m: after_last(m.all("contacts"), "sent", ("answered",))
    EXPECTED["contacts_unopened_in_a_row"] = lambda m: after_last(
        m.all("contacts"), "sent", ("answered", "opened")
    )
    for name, kind, days in (("open", "opened", (90, 365)), ("answer", "answered", (365,))):
        over(
            f"contact_{name}_share_{{}}",
            days,
            lambda m, d, kind=kind: ratio(len(m.recent(step(m, kind), d)), len(m.recent(step(m, "sent"), d))),
        )
    over("contact_campaigns_{}", (90,), lambda m, d: distinct(m.recent(step(m, "sent"), d), "campaign"))
    change("contacts_answered_change_{}", (90,), lambda m, d: len(m.recent(step(m, "answered"), d)))
    EXPECTED["last_reply_channel"] = lambda m: newest(step(m, "answered"), "channel")


def moved(m: Moment, kind: str, days: int | None = None) -> int:
    return total(m.recent(m.rows("points", kind=kind), days), "points")


def balance(m: Moment) -> int:
    return moved(m, "earned") - moved(m, "redeemed") - moved(m, "expired")


def expiring(m: Moment, days: int) -> int:
    lapsing = total(due(m, m.rows("points", kind="earned"), "expires_at", days), "points")
    return max(min(lapsing, balance(m)), 0)


def tier_changes(m: Moment) -> list[Row]:
    tiers = m.rows("points", kind="tier")
    return [
        row
        for before, row in pairwise(tiers)
        if row["tier"] is not None and before["tier"] is not None and row["tier"] != before["tier"]
    ]


def declare_points() -> None:
    tiers = lambda m: m.rows("points", kind="tier")  # noqa: E731
    EXPECTED["points_balance"] = balance
    for kind, days in (("earned", (90, 365, None)), ("redeemed", (90, 365, None)), ("expired", (365,))):
        over(f"points_{kind}_{{}}", days, lambda m, d, kind=kind: moved(m, kind, d))
    EXPECTED["points_redeemed_share_ever"] = lambda m: ratio(moved(m, "redeemed"), moved(m, "earned"))
    for horizon in (30, 90):
        EXPECTED[f"points_expiring_next_{horizon}d"] = lambda m, d=horizon: expiring(m, d)
    EXPECTED["days_to_points_expiry"] = lambda m: days_to(
        m, smallest(due(m, m.rows("points", kind="earned"), "expires_at", None), "expires_at")
    )
    for kind in ("earned", "redeemed"):
        last(f"days_since_points_{kind}", lambda m, kind=kind: m.rows("points", kind=kind))
    over(
        "points_reasons_{}",
        (365,),
        lambda m, d: distinct(m.recent(m.rows("points", kind="earned"), d), "reason"),
    )
    change("points_earned_change_{}", (90,), lambda m, d: moved(m, "earned", d))
    EXPECTED["days_in_tier"] = lambda m: (
        since_last(m, tier_changes(m)) if tier_changes(m) else since_first(m, tiers(m))
    )
    over("tier_changes_{}", (365, None), lambda m, d: len(m.recent(tier_changes(m), d)))
    EXPECTED["tiers_held_ever"] = lambda m: distinct(tiers(m), "tier")
    EXPECTED["tier"] = lambda m: newest(tiers(m), "tier")


def declare_referrals() -> None:
    step = lambda m, kind: m.rows("referrals", kind=kind)  # noqa: E731
    over("invitations_{}", (90, 365, None), lambda m, d: len(m.recent(step(m, "invited"), d)))
    over("referred_registrations_{}", (365, None), lambda m, d: len(m.recent(step(m, "registered"), d)))
    over("referred_orders_{}", (365, None), lambda m, d: len(m.recent(step(m, "ordered"), d)))
    last("days_since_invitation", lambda m: step(m, "invited"))
    last("days_since_referred_order", lambda m: step(m, "ordered"))
    EXPECTED["people_invited_ever"] = lambda m: distinct(m.all("referrals"), "invitee_id")
    EXPECTED["referred_order_share_ever"] = lambda m: ratio(len(step(m, "ordered")), len(step(m, "invited")))
    received = lambda m: [r for r in m.all("referrals", "invitee_id") if r["kind"] == "registered"]  # noqa: E731
    EXPECTED["registrations_by_invitation_ever"] = lambda m: len(received(m))
    last("days_since_registration_by_invitation", received)


def serviced_where_bought(m: Moment) -> int | None:
    bought, serviced = newest(orders(m), "dealer_id"), newest(visits(m), "dealer_id")
    return None if bought is None or serviced is None else int(bought == serviced)


def declare_context() -> None:
    profile = lambda m: m.all("customers")  # noqa: E731
    for column in (
        "city_tier", "region", "acquisition_channel", "preferred_power_type", "birth_year", "sex",
    ):  # fmt: skip
        EXPECTED[column] = lambda m, c=column: newest(profile(m), c)
    EXPECTED["profile_versions"] = lambda m: len(profile(m))
    last("days_since_profile_change", profile)
    EXPECTED["prefers_electric"] = lambda m: (
        None if (said := newest(profile(m), "preferred_power_type")) is None else int(said in ("BEV", "PHEV"))
    )
    EXPECTED["came_through_third_party"] = lambda m: (
        None
        if (said := newest(profile(m), "acquisition_channel")) is None
        else int(said in ("broker", "marketplace", "media", "partner"))
    )
    EXPECTED["serviced_where_bought"] = serviced_where_bought
    EXPECTED["order_dealer"] = lambda m: newest(orders(m), "dealer_id")
    EXPECTED["workshop_dealer"] = lambda m: newest(visits(m), "dealer_id")


FESTIVALS = [
    date(2022, 2, 1),
    date(2023, 1, 22),
    date(2024, 2, 10),
    date(2025, 1, 29),
    date(2026, 2, 17),
    date(2027, 2, 6),
]


def declare_season() -> None:
    EXPECTED["month"] = lambda m: m.as_of.month
    EXPECTED["month_of_quarter"] = lambda m: {1: 1, 2: 2, 0: 3}[m.as_of.month % 3]
    EXPECTED["days_to_spring_festival"] = lambda m: min(
        (f - m.as_of.date()).days for f in FESTIVALS if f >= m.as_of.date()
    )
    EXPECTED["days_since_spring_festival"] = lambda m: min(
        (m.as_of.date() - f).days for f in FESTIVALS if f <= m.as_of.date()
    )


def declare() -> None:
    declare_contacts()
    declare_points()
    declare_referrals()
    declare_context()
    declare_season()
