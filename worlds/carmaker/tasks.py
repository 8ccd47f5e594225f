"""The four main tasks as SQL over the clean view of a world: cohorts and outcomes, independent of the product.

Everything known strictly before the moment decides the cohort; what happened in `[as_of, as_of + horizon)`
decides the outcome, whenever it became known.

purchase_intent  cohort: holds no car (no delivery without disposal), no open order (neither delivered nor cancelled),
                 a customer-initiated touchpoint in the last 90 days. Outcome: an order in the window.
churn            cohort: holds a car, a customer-initiated touchpoint or a workshop visit in the last 180 days.
                 Outcome: neither of them in the window.
repurchase       cohort: holds a car, no open order. The first deed in the window decides:
                 an order not cancelled within 120 days is a replacement if a car is disposed of in
                 `[order - 60 d, order + 120 d)`, else an additional car; a disposal without such an order in
                 `(disposal - 120 d, disposal + 60 d]` is a defection. None otherwise. Settled 120 days after the window.
upgrade          cohort: as repurchase. Outcome: an order in the window of a higher price class than the highest
                 held at the moment (a cancelled one counts: it was wanted).
"""

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

__all__ = ["HORIZONS", "labelled", "open_world"]

HORIZONS = {"purchase_intent": (30, 60, 90), "churn": (90, 180), "repurchase": (180, 365), "upgrade": (365,)}
_KEYS = {
    "vehicles": "vehicle_event_id",
    "orders": "order_id",
    "touchpoints": "touchpoint_id",
    "visits": "visit_id",
}


def open_world(folder: Path, parts: int | None = None) -> duckdb.DuckDBPyConnection:
    """A database with one view per table: identities merged, corrections applied, duplicates and impossible times gone.

    `parts` limits it to the first blocks, to keep memory flat. Merging with hindsight is fine here, where only rates and truth are judged; a product must not.
    """
    base = duckdb.connect()
    base.execute("SET threads = 2; SET memory_limit = '6GB'; SET preserve_insertion_order = false")
    for table in ("customers", "contacts", "points", "referrals", "charges", "consents", *_KEYS):
        files = [str(file) for file in sorted((folder / table).glob("*.parquet"))[:parts]]
        base.read_parquet(files, union_by_name=True).create_view(f"raw_{table}")
    base.execute(
        "CREATE TABLE merged AS SELECT customer_id AS old, merged_into FROM raw_customers WHERE merged_into IS NOT NULL"
    )
    for table, key in _KEYS.items():
        columns = f"* EXCLUDE (old, merged_into{', touchpoint_id, campaign, dealer_id, duration_s' if table == 'touchpoints' else ''})"
        base.execute(f"""
            CREATE TABLE {table} AS
            SELECT {columns} REPLACE (coalesce(merged_into, customer_id) AS customer_id)
            FROM raw_{table} LEFT JOIN merged ON old = customer_id WHERE happened_at <= known_at
            {"" if table == "touchpoints" else f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY known_at DESC) = 1"}
        """)
    return base


def labelled(base: duckdb.DuckDBPyConnection, task: str, as_of: date, horizon: int) -> pd.DataFrame:
    """The cohort of a task at a date: customer_id, as_of, outcome (a word for repurchase, 0 or 1 otherwise)."""
    if task not in HORIZONS:
        raise ValueError(f"no task {task!r}; there are {', '.join(HORIZONS)}")
    base.execute(_SITUATION, {"as_of": as_of})
    sql = {"purchase_intent": _PURCHASE, "churn": _CHURN, "repurchase": _REPURCHASE, "upgrade": _UPGRADE}[
        task
    ]
    parameters: dict[str, Any] = {
        "as_of": as_of,
        "until": as_of + pd.Timedelta(days=horizon).to_pytimedelta(),
    }
    frame: pd.DataFrame = base.execute(sql, parameters).df()
    return frame.assign(as_of=pd.Timestamp(as_of)).sort_values("customer_id", ignore_index=True)


_SITUATION = """
CREATE OR REPLACE TEMP TABLE situation AS
WITH known_cars AS (
    SELECT customer_id, vehicle_id, max(price_class) AS price_class
    FROM vehicles WHERE happened_at < $as_of AND known_at < $as_of
    GROUP BY ALL HAVING bool_and(kind = 'delivery')
), cars AS (
    SELECT customer_id, count(*) AS cars, max(price_class) AS top_class FROM known_cars GROUP BY ALL
), ended AS (
    SELECT cancels AS order_id, happened_at, known_at FROM orders WHERE kind = 'cancellation'
), pending AS (
    SELECT o.customer_id, max(o.happened_at) AS ordered_at
    FROM orders o LEFT JOIN ended e ON e.order_id = o.order_id AND e.known_at < $as_of
    WHERE o.kind = 'order' AND o.known_at < $as_of AND e.order_id IS NULL
    GROUP BY ALL
), arrived AS (
    SELECT customer_id, max(happened_at) AS delivered_at FROM vehicles
    WHERE kind = 'delivery' AND happened_at < $as_of AND known_at < $as_of GROUP BY ALL
), touched AS (
    SELECT customer_id, max(happened_at) AS touched_at FROM touchpoints
    WHERE initiated_by = 'customer' AND happened_at < $as_of AND known_at < $as_of GROUP BY ALL
), visited AS (
    SELECT customer_id, max(happened_at) AS visited_at FROM visits WHERE happened_at < $as_of AND known_at < $as_of GROUP BY ALL
), people AS (
    SELECT DISTINCT customer_id FROM raw_customers WHERE known_at < $as_of AND customer_id NOT IN (SELECT old FROM merged)
)
SELECT customer_id, coalesce(cars, 0) AS cars, top_class, touched_at, visited_at,
       ordered_at IS NOT NULL AND (delivered_at IS NULL OR delivered_at < ordered_at) AS open_order
FROM people LEFT JOIN cars USING (customer_id) LEFT JOIN pending USING (customer_id) LEFT JOIN arrived USING (customer_id)
LEFT JOIN touched USING (customer_id) LEFT JOIN visited USING (customer_id)
"""
_IN_WINDOW = "happened_at >= $as_of AND happened_at < $until"
_PURCHASE = f"""
SELECT customer_id, (customer_id IN (SELECT customer_id FROM orders WHERE kind = 'order' AND {_IN_WINDOW}))::INT AS outcome
FROM situation WHERE cars = 0 AND NOT open_order AND touched_at >= $as_of::TIMESTAMP - INTERVAL 90 DAY
"""
_CHURN = f"""
SELECT customer_id, (
    customer_id NOT IN (SELECT customer_id FROM touchpoints WHERE initiated_by = 'customer' AND {_IN_WINDOW})
    AND customer_id NOT IN (SELECT customer_id FROM visits WHERE {_IN_WINDOW}))::INT AS outcome
FROM situation
WHERE cars > 0 AND greatest(coalesce(touched_at, visited_at), coalesce(visited_at, touched_at)) >= $as_of::TIMESTAMP - INTERVAL 180 DAY
"""
_REPURCHASE = """
WITH kept AS (
    SELECT o.customer_id, o.happened_at FROM orders o
    LEFT JOIN orders c ON c.cancels = o.order_id AND c.happened_at < o.happened_at + INTERVAL 120 DAY
    WHERE o.kind = 'order' AND c.order_id IS NULL
), gone AS (SELECT customer_id, happened_at FROM vehicles WHERE kind = 'disposal'),
deeds AS (
    SELECT k.customer_id, k.happened_at, CASE WHEN EXISTS (
        FROM gone g WHERE g.customer_id = k.customer_id
        AND g.happened_at >= k.happened_at - INTERVAL 60 DAY AND g.happened_at < k.happened_at + INTERVAL 120 DAY
    ) THEN 'replacement' ELSE 'additional' END AS deed FROM kept k
    UNION ALL
    SELECT g.customer_id, g.happened_at, 'defection' FROM gone g WHERE NOT EXISTS (
        FROM kept k WHERE k.customer_id = g.customer_id
        AND k.happened_at > g.happened_at - INTERVAL 120 DAY AND k.happened_at <= g.happened_at + INTERVAL 60 DAY)
), first_deed AS (
    SELECT customer_id, arg_min(deed, happened_at) AS deed FROM deeds
    WHERE happened_at >= $as_of AND happened_at < $until GROUP BY ALL
)
SELECT customer_id, coalesce(deed, 'none') AS outcome
FROM situation LEFT JOIN first_deed USING (customer_id) WHERE cars > 0 AND NOT open_order
"""
_UPGRADE = f"""
WITH best AS (SELECT customer_id, max(price_class) AS wanted FROM orders WHERE kind = 'order' AND {_IN_WINDOW} GROUP BY ALL)
SELECT customer_id, coalesce(wanted > top_class, false)::INT AS outcome
FROM situation LEFT JOIN best USING (customer_id) WHERE cars > 0 AND NOT open_order
"""
