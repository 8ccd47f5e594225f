"""Orders: how recently, how often, how much, in what rhythm, and which way it is going."""

from functools import partial
from typing import Any

from features.feature import Feature, windowed
from features.rows import Rows

__all__ = ["FEATURES"]

WINDOWS_DAYS = (30, 90, 180, 365, None)


def placed(past: Any) -> Rows:
    return past.orders.where(kind="order")  # type: ignore[no-any-return]


def discount_share(past: Any, days: int | None) -> Any:
    """Of what the orders that tell a discount, or none, would have cost without it."""
    telling = placed(past).telling("discount_cents")
    off, paid = (telling.sum(column, days) for column in ("discount_cents", "amount_cents"))
    return off / (off + paid).nullif(0)


def more_orders(days: int, past: Any) -> Any:
    """Orders of the last `days` beyond those of as many days before."""
    latest, both = placed(past).count(days=days), placed(past).count(days=2 * days)
    return latest - (both - latest)


def more_value(days: int, past: Any) -> Any:
    latest, both = (placed(past).sum("amount_cents", days=window) for window in (days, 2 * days))
    return latest - (both - latest)


FEATURES = (
    Feature(
        "days_since_order",
        lambda past: placed(past).days_since_last(),
        unit="days",
        nothing=None,
        concept="order recency",
        en="Days since the last order",
        zh="距上次下单的天数",
    ),
    Feature(
        "days_since_first_order",
        lambda past: placed(past).days_since_first(),
        unit="days",
        nothing=None,
        concept="customer age",
        en="Days since the first order",
        zh="距首次下单的天数",
    ),
    *windowed(
        "orders_{window}",
        lambda past, days: placed(past).count(days=days),
        WINDOWS_DAYS,
        unit="orders",
        nothing=0,
        concept="order frequency",
        en="Orders {window}",
        zh="{window}订单数",
    ),
    *windowed(
        "order_days_{window}",
        lambda past, days: placed(past).distinct_days(days=days),
        (180, 365, None),
        unit="days",
        nothing=0,
        concept="order frequency",
        en="Days with an order {window}",
        zh="{window}有订单的天数",
    ),
    *windowed(
        "order_value_{window}_cents",
        lambda past, days: placed(past).sum("amount_cents", days=days),
        WINDOWS_DAYS,
        unit="cents",
        nothing=0,
        concept="order value",
        en="Value of orders {window}",
        zh="{window}订单金额",
    ),
    *windowed(
        "order_pieces_{window}",
        lambda past, days: placed(past).sum("quantity", days=days),
        (90, 365, None),
        unit="pieces",
        nothing=0,
        concept="order frequency",
        en="Pieces ordered {window}",
        zh="{window}订购件数",
    ),
    Feature(
        "mean_order_value_cents",
        lambda past: placed(past).sum("amount_cents") / placed(past).count().nullif(0),
        unit="cents",
        nothing=None,
        concept="order value",
        en="Mean value of an order",
        zh="平均订单金额",
    ),
    Feature(
        "largest_order_value_cents",
        lambda past: placed(past).max("amount_cents"),
        unit="cents",
        nothing=None,
        concept="order value",
        en="Value of the largest order",
        zh="最大订单金额",
    ),
    Feature(
        "last_order_value_cents",
        lambda past: placed(past).latest("amount_cents"),
        unit="cents",
        nothing=None,
        concept="order value",
        en="Value of the last order",
        zh="最近一次订单金额",
    ),
    *windowed(
        "order_discount_{window}_cents",
        lambda past, days: placed(past).sum("discount_cents", days),
        (90, 365, None),
        unit="cents",
        nothing=0,
        concept="order discounts",
        en="Taken off orders by offers {window}",
        zh="{window}订单优惠金额",
    ),
    *windowed(
        "order_discount_share_{window}",
        discount_share,
        (365,),
        unit="of full price",
        nothing=None,
        concept="order discounts",
        en="Share of the full price that offers took off orders {window}",
        zh="{window}订单优惠占原价的比例",
    ),
    Feature(
        "mean_days_between_orders",
        lambda past: placed(past).mean_gap_days(),
        unit="days",
        nothing=None,
        concept="order rhythm",
        en="Mean days between orders",
        zh="平均下单间隔天数",
    ),
    Feature(
        "sd_days_between_orders",
        lambda past: placed(past).sd_gap_days(),
        unit="days",
        nothing=None,
        concept="order rhythm",
        en="Spread of the days between orders",
        zh="下单间隔天数的波动",
    ),
    Feature(
        "longest_days_between_orders",
        lambda past: placed(past).longest_gap_days(),
        unit="days",
        nothing=None,
        concept="order rhythm",
        en="Longest time between orders, in days",
        zh="最长下单间隔天数",
    ),
    Feature(
        "order_overdue_ratio",
        lambda past: placed(past).days_since_last() / placed(past).mean_gap_days(),
        unit="times",
        nothing=None,
        concept="order rhythm",
        en="Days since the last order, as a multiple of the usual time between orders",
        zh="距上次下单的天数与平时下单间隔之比",
    ),
    *(
        Feature(
            f"orders_change_{days}d",
            partial(more_orders, days),
            unit="orders",
            nothing=0,
            concept="order trend",
            en=f"Orders in the last {days} days beyond those in the {days} days before",
            zh=f"近{days}天订单数较此前{days}天的变化",
            window_days=2 * days,
        )
        for days in (30, 90)
    ),
    Feature(
        "order_value_change_90d_cents",
        partial(more_value, 90),
        unit="cents",
        nothing=0,
        concept="order trend",
        en="Value of orders in the last 90 days beyond that of the 90 days before",
        zh="近90天订单金额较此前90天的变化",
        window_days=180,
    ),
    Feature(
        "cancellations_365d",
        lambda past: past.orders.where(kind="cancellation").count(days=365),
        unit="orders",
        nothing=0,
        concept="order cancellations",
        en="Orders cancelled in the last 365 days",
        zh="近365天取消订单数",
        window_days=365,
    ),
)
