"""A few dozen simple features at a moment, in plain SQL and independent of the product: enough for a first model."""

from datetime import date

import duckdb
import pandas as pd

from worlds.carmaker.tasks import labelled

__all__ = ["peek"]

_COUNTS = {
    "touch": "true",
    "browse": "kind IN ('page_view', 'model_page', 'configurator', 'quote_request')",
    "model_page": "kind = 'model_page'",
    "quote": "kind = 'quote_request'",
    "content": "kind IN ('content_read', 'mini_program', 'social', 'post')",
    "app": "kind IN ('app_open', 'activity_signin')",
    "showroom": "kind = 'showroom_visit'",
    "test_drive": "kind = 'test_drive'",
    "valuation": "kind = 'valuation_request'",
    "complaint": "kind = 'complaint'",
    "price_topic": "topic IN ('price', 'finance')",
    "wecom": "kind = 'wecom_message'",
}
_DAYS = (7, 30, 90, 365)
_ASKED = ",\n".join(
    f"count(*) FILTER ({condition} AND happened_at >= $as_of::TIMESTAMP - INTERVAL {days} DAY) AS {name}_{days}d"
    for name, condition in _COUNTS.items()
    for days in _DAYS
)
_PEEK = f"""
WITH t AS (SELECT customer_id, {_ASKED}, max(depth) AS depth,
    date_diff('day', max(happened_at), $as_of::TIMESTAMP) AS since_touch, date_diff('day', min(happened_at), $as_of::TIMESTAMP) AS since_first
    FROM touchpoints WHERE initiated_by = 'customer' AND happened_at < $as_of AND known_at < $as_of GROUP BY ALL),
v AS (SELECT customer_id, count(*) AS visits, count(*) FILTER (happened_at >= $as_of::TIMESTAMP - INTERVAL 365 DAY) AS visits_365d,
    date_diff('day', max(happened_at), $as_of::TIMESTAMP) AS since_visit, sum(amount_cents) AS spent, max(odometer_km) AS odometer
    FROM visits WHERE happened_at < $as_of AND known_at < $as_of GROUP BY ALL),
held AS (SELECT customer_id, vehicle_id, min(happened_at) AS delivered, max(finance_ends_at) AS finance_end,
    max(warranty_ends_at) AS warranty_end, max(price_class) AS price_class, max(power_type) AS power
    FROM vehicles WHERE happened_at < $as_of AND known_at < $as_of GROUP BY ALL HAVING bool_and(kind = 'delivery')),
c AS (SELECT customer_id, count(*) AS cars, date_diff('day', min(delivered), $as_of::TIMESTAMP) AS age_of_car,
    date_diff('day', $as_of::TIMESTAMP, min(finance_end)) AS to_finance_end, date_diff('day', $as_of::TIMESTAMP, min(warranty_end)) AS to_warranty_end,
    max(price_class) AS price_class, max((power IN ('PHEV', 'BEV'))::INT) AS plug FROM held GROUP BY ALL),
m AS (SELECT customer_id, count(*) FILTER (kind = 'sent') AS sent, count(*) FILTER (kind = 'opened') AS opened, count(*) FILTER (kind = 'answered') AS answered
    FROM raw_contacts WHERE happened_at < $as_of AND known_at < $as_of AND happened_at >= $as_of::TIMESTAMP - INTERVAL 180 DAY GROUP BY ALL),
p AS (SELECT customer_id, any_value(city_tier) AS city_tier FROM raw_customers WHERE known_at < $as_of GROUP BY ALL)
SELECT cohort.customer_id, cohort.outcome, t.* EXCLUDE (customer_id), v.* EXCLUDE (customer_id), c.* EXCLUDE (customer_id),
    m.* EXCLUDE (customer_id), p.city_tier
FROM cohort LEFT JOIN t USING (customer_id) LEFT JOIN v USING (customer_id) LEFT JOIN c USING (customer_id)
LEFT JOIN m USING (customer_id) LEFT JOIN p USING (customer_id) ORDER BY 1
"""


def peek(base: duckdb.DuckDBPyConnection, task: str, as_of: date, horizon: int) -> pd.DataFrame:
    """The cohort of a task at a date with outcome, as_of and simple features; missing counts are zero, missing times null."""
    base.register("cohort", labelled(base, task, as_of, horizon))
    frame: pd.DataFrame = base.execute(_PEEK, {"as_of": as_of}).df()
    base.unregister("cohort")
    counts = [
        name
        for name in frame.columns.astype(str)
        if name.endswith(tuple(f"_{d}d" for d in _DAYS))
        or name in {"visits", "sent", "opened", "answered", "cars"}
    ]
    frame[counts] = frame[counts].fillna(0)
    return frame.assign(as_of=pd.Timestamp(as_of))
