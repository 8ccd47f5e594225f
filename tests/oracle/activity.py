"""What to expect of orders, touchpoints, content, test drives, configurator and quotes."""

from tests.oracle.measures import (
    EXPECTED,
    change,
    days_active,
    distinct,
    first,
    largest,
    last,
    mean_gap,
    newest,
    over,
    ratio,
    rhythm,
    since_last,
    total,
)
from tests.oracle.moment import Moment, Row


def orders(m: Moment) -> list[Row]:
    return m.rows("orders", kind="order")


def discount_share(m: Moment, days: int | None) -> float | None:
    told = [row for row in m.recent(orders(m), days) if row["discount_cents"] is not None]
    off = total(told, "discount_cents")
    return ratio(off, off + total(told, "amount_cents"))


def declare_orders() -> None:
    last("days_since_order", orders)
    first("days_since_first_order", orders)
    rhythm("orders", "order_overdue_ratio", orders)
    over("orders_{}", (30, 90, 180, 365, None), lambda m, d: len(m.recent(orders(m), d)))
    over("order_days_{}", (180, 365, None), lambda m, d: days_active(m.recent(orders(m), d)))
    over(
        "order_value_{}_cents",
        (30, 90, 180, 365, None),
        lambda m, d: total(m.recent(orders(m), d), "amount_cents"),
    )
    over("order_pieces_{}", (90, 365, None), lambda m, d: total(m.recent(orders(m), d), "quantity"))
    EXPECTED["mean_order_value_cents"] = lambda m: ratio(total(orders(m), "amount_cents"), len(orders(m)))
    EXPECTED["largest_order_value_cents"] = lambda m: largest(orders(m), "amount_cents")
    EXPECTED["last_order_value_cents"] = lambda m: newest(orders(m), "amount_cents")
    over(
        "order_discount_{}_cents",
        (90, 365, None),
        lambda m, d: total(m.recent(orders(m), d), "discount_cents"),
    )
    over("order_discount_share_{}", (365,), discount_share)
    change("orders_change_{}", (30, 90), lambda m, d: len(m.recent(orders(m), d)))
    change("order_value_change_{}_cents", (90,), lambda m, d: total(m.recent(orders(m), d), "amount_cents"))
    over("cancellations_{}", (365,), lambda m, d: len(m.recent(m.rows("orders", kind="cancellation"), d)))


def declare_touchpoints() -> None:
    deeds = Moment.deeds
    last("days_since_touchpoint", deeds)
    first("days_since_first_touchpoint", deeds)
    rhythm("touchpoints", "touchpoint_overdue_ratio", deeds)
    over("touchpoints_{}", (7, 30, 90, 180, 365, None), lambda m, d: len(m.recent(deeds(m), d)))
    over("active_days_{}", (30, 90, 365), lambda m, d: days_active(m.recent(deeds(m), d)))
    over("touchpoint_time_{}_s", (30, 180), lambda m, d: total(m.recent(deeds(m), d), "duration_s"))
    change("touchpoints_change_{}", (7, 30, 90), lambda m, d: len(m.recent(deeds(m), d)))
    change("active_days_change_{}", (30, 90), lambda m, d: days_active(m.recent(deeds(m), d)))
    over("touchpoint_channels_{}", (90, 365), lambda m, d: distinct(m.recent(deeds(m), d), "channel"))
    over("touchpoint_kinds_{}", (90,), lambda m, d: distinct(m.recent(deeds(m), d), "kind"))
    over("touchpoint_campaigns_{}", (180,), lambda m, d: distinct(m.recent(deeds(m), d), "campaign"))
    for c in ("app", "mini_program", "official_account", "wecom", "site", "dealer", "social", "phone"):
        over(f"{c}_touchpoints_{{}}", (90, 365), lambda m, d, c=c: len(m.recent(m.deeds(channel=c), d)))
    EXPECTED["last_touchpoint_channel"] = lambda m: newest(deeds(m), "channel")
    EXPECTED["last_touchpoint_kind"] = lambda m: newest(deeds(m), "kind")
    over("dealers_met_{}", (365,), lambda m, d: distinct(m.recent(deeds(m), d), "dealer_id"))


KIND_COUNTS: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "page_views": ("page_view", (30, 90)),
    "content_reads": ("content_read", (30, 90, 365)),
    "model_page_views": ("model_page", (7, 30, 90)),
    "app_opens": ("app_open", (7, 30, 90)),
    "mini_program_uses": ("mini_program", (30, 90)),
    "wecom_messages": ("wecom_message", (30, 90)),
    "live_streams": ("live_stream", (90, 365)),
    "posts": ("post", (90, 365)),
    "social_interactions": ("social", (90,)),
    "activity_signins": ("activity_signin", (90, 365, None)),
    "complaints": ("complaint", (90, 365, None)),
    "roadside_calls": ("roadside_assistance", (365,)),
    "valuation_requests": ("valuation_request", (90, 365)),
    "insurance_renewals": ("insurance_renewal", (365, None)),
    "site_leads": ("site_lead", (90, None)),
    "coupon_redemptions": ("coupon_redemption", (90, 365, None)),
    "test_drives": ("test_drive", (30, 90, 365, None)),
    "showroom_visits": ("showroom_visit", (30, 90, 365)),
    "configurations": ("configurator", (30, 90, 365)),
    "quote_requests": ("quote_request", (30, 90, 365)),
}
KIND_RECENCIES = {
    "content_read": "content_read",
    "model_page_view": "model_page",
    "app_open": "app_open",
    "wecom_message": "wecom_message",
    "live_stream": "live_stream",
    "post": "post",
    "activity_signin": "activity_signin",
    "complaint": "complaint",
    "roadside_call": "roadside_assistance",
    "valuation_request": "valuation_request",
    "insurance_renewal": "insurance_renewal",
    "site_lead": "site_lead",
    "coupon_redemption": "coupon_redemption",
    "test_drive": "test_drive",
    "showroom_visit": "showroom_visit",
    "configuration": "configurator",
    "quote_request": "quote_request",
}
KIND_CHANGES = {
    "app_opens": ("app_open", (30, 90)),
    "model_page_views": ("model_page", (30,)),
    "activity_signins": ("activity_signin", (180,)),
    "showroom_visits": ("showroom_visit", (90,)),
    "configurations": ("configurator", (30,)),
}
TOPICS = ("safety", "price", "finance", "maintenance", "technology", "lifestyle")


def declare_kinds_and_topics() -> None:
    for name, (kind, windows) in KIND_COUNTS.items():
        over(f"{name}_{{}}", windows, lambda m, d, kind=kind: len(m.recent(m.deeds(kind=kind), d)))
    for name, kind in KIND_RECENCIES.items():
        last(f"days_since_{name}", lambda m, kind=kind: m.deeds(kind=kind))
    for name, (kind, changes) in KIND_CHANGES.items():
        change(f"{name}_change_{{}}", changes, lambda m, d, kind=kind: len(m.recent(m.deeds(kind=kind), d)))
    for t in TOPICS:
        over(f"{t}_content_{{}}", (90, 365), lambda m, d, t=t: len(m.recent(m.deeds(topic=t), d)))
        last(f"days_since_{t}_content", lambda m, t=t: m.deeds(topic=t))
    over("content_topics_{}", (90, 365), lambda m, d: distinct(m.recent(m.deeds(), d), "topic"))
    over(
        "models_viewed_{}", (30, 180), lambda m, d: distinct(m.recent(m.deeds(kind="model_page"), d), "model")
    )
    over(
        "live_stream_time_{}_s",
        (180,),
        lambda m, d: total(m.recent(m.deeds(kind="live_stream"), d), "duration_s"),
    )
    EXPECTED["mean_days_between_activity_signins"] = lambda m: mean_gap(m.deeds(kind="activity_signin"))
    EXPECTED["last_content_topic"] = lambda m: newest(m.deeds(topic=TOPICS), "topic")


def test_drives(m: Moment) -> list[Row]:
    return m.deeds(kind="test_drive")


def unordered_test_drive(m: Moment) -> int | None:
    driven, ordered = since_last(m, test_drives(m)), since_last(m, orders(m))
    if driven is None or (ordered is not None and ordered <= driven):
        return None
    return driven


def declare_intent() -> None:
    first("days_since_first_test_drive", test_drives)
    EXPECTED["days_since_test_drive_without_order"] = unordered_test_drive
    over("models_driven_{}", (180, None), lambda m, d: distinct(m.recent(test_drives(m), d), "model"))
    over("test_drive_time_{}_s", (180,), lambda m, d: total(m.recent(test_drives(m), d), "duration_s"))
    EXPECTED["longest_test_drive_s"] = lambda m: largest(test_drives(m), "duration_s")
    EXPECTED["last_model_driven"] = lambda m: newest(test_drives(m), "model")
    over(
        "showrooms_visited_{}",
        (365,),
        lambda m, d: distinct(m.recent(m.deeds(kind=("showroom_visit", "test_drive")), d), "dealer_id"),
    )
    built = lambda m: m.deeds(kind="configurator")  # noqa: E731
    over("models_configured_{}", (180,), lambda m, d: distinct(m.recent(built(m), d), "model"))
    over("configuration_depth_{}_steps", (90, 365), lambda m, d: largest(m.recent(built(m), d), "depth"))
    EXPECTED["last_configuration_depth_steps"] = lambda m: newest(built(m), "depth")
    over("configuration_steps_{}", (180,), lambda m, d: total(m.recent(built(m), d), "depth"))
    over("configuration_time_{}_s", (90,), lambda m, d: total(m.recent(built(m), d), "duration_s"))
    EXPECTED["last_model_configured"] = lambda m: newest(built(m), "model")
    over(
        "models_quoted_{}", (180,), lambda m, d: distinct(m.recent(m.deeds(kind="quote_request"), d), "model")
    )
    over(
        "financed_orders_{}",
        (365, None),
        lambda m, d: len(m.recent(m.rows("orders", kind="order", finance_plan=("loan", "lease")), d)),
    )
    EXPECTED["last_finance_plan"] = lambda m: newest(orders(m), "finance_plan")


def declare() -> None:
    declare_orders()
    declare_touchpoints()
    declare_kinds_and_topics()
    declare_intent()
