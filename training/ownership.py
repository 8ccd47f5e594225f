"""What owners do next, as dated deeds that exclude each other (增换购与流失).

    replacement   an order that stands, with a car disposed of in [order - 60 d, order + 120 d)
    additional    an order that stands, without
    defection     a car disposed of, with no such order around it

An order stands unless it is cancelled within 120 days. So a deed is settled 120 days after it, not before.
"""

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from features.timeline import around
from training.outcomes import FirstOf

__all__ = ["WHAT_OWNERS_DO"]

SETTLES_DAYS = 120
BEFORE_DAYS = 60


def owners_deeds(tables: Mapping[str, ir.Table]) -> ir.Table:
    """(customer_id, happened_at, superseded_at, kind), latest versions only."""
    orders, vehicles = (_latest(tables[name]) for name in ("orders", "vehicles"))
    standing = _standing(orders)
    gone = vehicles.filter(vehicles.kind == "disposal").select(
        "customer_id", "happened_at", "vehicle_event_id"
    )
    pairs = standing.inner_join(gone, "customer_id", rname="{name}_gone")
    pairs = pairs.filter(
        around(pairs.happened_at, pairs.happened_at_gone, before_days=BEFORE_DAYS, after_days=SETTLES_DAYS)
    )
    replacing = pairs.select("order_id").distinct()
    replaced = pairs.select("vehicle_event_id").distinct()
    return ibis.union(
        _deeds(standing.semi_join(replacing, "order_id"), "replacement"),
        _deeds(standing.anti_join(replacing, "order_id"), "additional"),
        _deeds(gone.anti_join(replaced, "vehicle_event_id"), "defection"),
    )


def _standing(orders: ir.Table) -> ir.Table:
    """Orders not cancelled while it matters."""
    placed = orders.filter(orders.kind == "order").select("customer_id", "happened_at", "order_id")
    ended = orders.filter(orders.kind == "cancellation").select("happened_at", order_id="cancels")
    pairs = placed.inner_join(ended, "order_id", rname="{name}_ended")
    early = pairs.filter(
        around(pairs.happened_at, pairs.happened_at_ended, before_days=SETTLES_DAYS, after_days=SETTLES_DAYS)
    )
    return placed.anti_join(early.select("order_id").distinct(), "order_id")


def _latest(events: ir.Table) -> ir.Table:
    return events.filter(events.superseded_at.isnull())


def _deeds(rows: ir.Table, kind: str) -> ir.Table:
    never = ibis.null("timestamp(6)")
    return rows.select("customer_id", "happened_at", superseded_at=never, kind=ibis.literal(kind))


WHAT_OWNERS_DO = FirstOf(
    ("additional", "replacement", "defection"), owners_deeds, frozenset({"orders", "vehicles"}), SETTLES_DAYS
)
