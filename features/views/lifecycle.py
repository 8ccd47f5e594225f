"""Lifecycle: how far a person has come (fan, lead, tested, ordered, owner, lapsed), since when, and how fast."""

from typing import Any

import ibis

from features.feature import Feature
from features.rows import Rows
from features.views.orders import placed
from features.views.test_drives import test_drives
from features.views.touchpoints import deeds
from features.views.vehicles import deliveries, disposals, held

__all__ = ["FEATURES", "STAGES"]

CONCEPT = "lifecycle stage"
STAGES = ("fan", "lead", "tested", "ordered", "owner", "lapsed")
LEADING = ("configurator", "quote_request", "showroom_visit", "site_lead")


def enquiries(past: Any) -> Rows:
    return deeds(past, kind=LEADING)


def open_orders(past: Any) -> Any:
    """Orders that were neither cancelled nor delivered; deliveries may outnumber orders we know of."""
    cancelled = past.orders.where(kind="cancellation").count()
    return ibis.greatest(placed(past).count() - cancelled - deliveries(past).distinct("vehicle_id"), 0)


def by_stage(past: Any, lapsed: Any, owner: Any, ordered: Any, tested: Any, lead: Any, fan: Any) -> Any:
    """One value out of six, by the stage a person has reached."""
    return ibis.cases(
        (held(past).count() > 0, owner),
        (deliveries(past).count() > 0, lapsed),
        (open_orders(past) > 0, ordered),
        (test_drives(past).count() > 0, tested),
        (enquiries(past).count() > 0, lead),
        else_=fan,
    )


def stage(past: Any) -> Any:
    fan, lead, tested, ordered, owner, lapsed = range(len(STAGES))
    return by_stage(past, lapsed, owner, ordered, tested, lead, fan)


def stage_name(past: Any) -> Any:
    fan, lead, tested, ordered, owner, lapsed = STAGES
    return by_stage(past, lapsed, owner, ordered, tested, lead, fan)


def days_in_stage(past: Any) -> Any:
    """Since the oldest car held came, the last one left, the last order, the first test drive, enquiry or trace."""
    return by_stage(
        past,
        lapsed=disposals(past).days_since_last(),
        owner=held(past).days_since_first(),
        ordered=placed(past).days_since_last(),
        tested=test_drives(past).days_since_first(),
        lead=enquiries(past).days_since_first(),
        fan=past.customers.days_since_first(),
    )


FEATURES = (
    Feature(
        "lifecycle_stage",
        stage,
        unit="stage",
        nothing=0,
        concept=CONCEPT,
        en="Lifecycle stage: 0 fan, 1 lead, 2 tested, 3 ordered, 4 owner, 5 lapsed",
        zh="生命周期阶段：0粉丝，1线索，2已试驾，3已下单，4车主，5流失",
    ),
    Feature(
        "lifecycle_stage_name",
        stage_name,
        unit="stage",
        nothing="fan",
        concept=CONCEPT,
        en="Name of the lifecycle stage",
        zh="生命周期阶段名称",
        kind="category",
    ),
    Feature(
        "days_in_lifecycle_stage",
        days_in_stage,
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days in the present lifecycle stage",
        zh="处于当前生命周期阶段的天数",
    ),
    Feature(
        "open_orders",
        open_orders,
        unit="orders",
        nothing=0,
        concept=CONCEPT,
        en="Orders not yet delivered or cancelled",
        zh="未交付订单数",
    ),
    Feature(
        "days_since_first_known",
        lambda past: past.customers.days_since_first(),
        unit="days",
        nothing=None,
        concept="customer age",
        en="Days since the customer became known to us",
        zh="成为我方客户的天数",
    ),
    Feature(
        "days_since_first_enquiry",
        lambda past: enquiries(past).days_since_first(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days since the first enquiry",
        zh="距首次咨询的天数",
    ),
    Feature(
        "days_from_enquiry_to_test_drive",
        lambda past: enquiries(past).days_since_first() - test_drives(past).days_since_first(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days from the first enquiry to the first test drive",
        zh="首次咨询到首次试驾的天数",
    ),
    Feature(
        "days_from_test_drive_to_order",
        lambda past: test_drives(past).days_since_first() - placed(past).days_since_first(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days from the first test drive to the first order",
        zh="首次试驾到首次下单的天数",
    ),
    Feature(
        "days_from_order_to_delivery",
        lambda past: placed(past).days_since_first() - deliveries(past).days_since_first(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days from the first order to the first delivery",
        zh="首次下单到首次交付的天数",
    ),
)
