"""The order features once more, as slow and obvious as possible: one customer, one moment, plain loops."""

from datetime import datetime, timedelta
from itertools import pairwise
from math import sqrt
from typing import Any

__all__ = ["order_features"]

Row = dict[str, Any]


def known(rows: list[Row], as_of: datetime) -> list[Row]:
    """The version of each row that was known before the moment."""
    seen = [row for row in rows if row["happened_at"] < as_of and row["known_at"] < as_of]
    return [row for row in seen if row["superseded_at"] is None or row["superseded_at"] >= as_of]


def order_features(rows: list[Row], as_of: datetime) -> dict[str, float | None]:
    past = known(rows, as_of)
    placed = sorted(
        (row for row in past if row["kind"] == "order"),
        key=lambda row: (row["happened_at"], row["known_at"], row["order_id"]),
    )

    def last(days: int | None, among: list[Row] = placed) -> list[Row]:
        return [row for row in among if days is None or row["happened_at"] >= as_of - timedelta(days=days)]

    def days_with(some: list[Row]) -> list[Any]:
        return sorted({row["happened_at"].date() for row in some})

    def total(column: str, some: list[Row]) -> int:
        return sum(row[column] or 0 for row in some)

    found: dict[str, float | None] = {}
    found["days_since_order"] = (as_of - placed[-1]["happened_at"]).days if placed else None
    found["days_since_first_order"] = (as_of - placed[0]["happened_at"]).days if placed else None
    for days in (30, 90, 180, 365, None):
        label = f"{days}d" if days else "ever"
        found[f"orders_{label}"] = len(last(days))
        found[f"order_value_{label}_cents"] = total("amount_cents", last(days))
        if days in (180, 365, None):
            found[f"order_days_{label}"] = len(days_with(last(days)))
        if days in (90, 365, None):
            found[f"order_pieces_{label}"] = total("quantity", last(days))
            found[f"order_discount_{label}_cents"] = total("discount_cents", last(days))
    told = [row for row in last(365) if row["discount_cents"] is not None]
    off = total("discount_cents", told)
    full = off + total("amount_cents", told)
    found["order_discount_share_365d"] = off / full if full else None
    amounts = [row["amount_cents"] for row in placed if row["amount_cents"] is not None]
    found["mean_order_value_cents"] = sum(amounts) / len(placed) if placed else None
    found["largest_order_value_cents"] = max(amounts) if amounts else None
    found["last_order_value_cents"] = placed[-1]["amount_cents"] if placed else None
    dates = days_with(placed)
    gaps = [(later - earlier).days for earlier, later in pairwise(dates)]
    mean = sum(gaps) / len(gaps) if gaps else None
    found["mean_days_between_orders"] = mean
    found["sd_days_between_orders"] = (
        sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) if mean else None
    )
    found["longest_days_between_orders"] = max(gaps) if gaps else None
    found["order_overdue_ratio"] = found["days_since_order"] / mean if mean else None
    for days in (30, 90):
        found[f"orders_change_{days}d"] = len(last(days)) - (len(last(2 * days)) - len(last(days)))
    found["order_value_change_90d_cents"] = 2 * total("amount_cents", last(90)) - total(
        "amount_cents", last(180)
    )
    found["cancellations_365d"] = len(last(365, [row for row in past if row["kind"] == "cancellation"]))
    return found
