"""A deterministic crowd, made by the engine itself: large enough to measure, plain enough to trust.

Every customer has the same number of events, spread over the sources and over three years by arithmetic on row
numbers; nothing random, so that two runs measure the same work.
"""

from datetime import datetime

import ibis

from features.sources import CANONICAL, Column
from features.warehouse import Warehouse

__all__ = ["AS_OF", "crowd"]

AS_OF = datetime(2026, 1, 1)
SHARES = {
    "touchpoints": 60, "contacts": 15, "charges": 8, "points": 8, "visits": 3, "orders": 2, "vehicles": 2,
    "referrals": 1, "customers": 1,
}  # fmt: skip
KINDS = (
    "page_view",
    "content_read",
    "app_open",
    "model_page",
    "configurator",
    "test_drive",
    "post",
    "showroom_visit",
)


def crowd(customers: int, threads: int = 2) -> Warehouse:
    """A warehouse of `customers` people with a hundred events each."""
    engine = ibis.duckdb.connect()
    engine.raw_sql(f"SET TimeZone = 'UTC'; SET threads = {threads}")
    tables = {}
    for name, each in SHARES.items():
        columns = ", ".join(f"{_value(name, column)} AS {column.name}" for column in CANONICAL[name].columns)
        engine.raw_sql(
            f"CREATE TABLE {name} AS SELECT {columns} FROM "
            f"(SELECT r, r // {each} AS c, 90000 + (r * 2654435761) % 94608000 AS s FROM range({customers * each}) t(r))"
        )
        tables[name] = engine.table(name)
    return Warehouse(engine, tables, dict.fromkeys(SHARES, AS_OF))


def _value(source: str, column: Column) -> str:
    """SQL for a column of row `r` of customer `c` that happened `s` seconds before the end."""
    happened = f"TIMESTAMP '{AS_OF}' - to_seconds(s)"
    match column.name:
        case "customer_id":
            return "'c' || c"
        case "happened_at":
            return happened
        case "known_at":
            return f"{happened} + to_seconds(r % 5 * 3600)"
        case "superseded_at":
            return "NULL::TIMESTAMP"
        case "vehicle_id":
            return "'v' || (c * 3 + r % 2)"
        case name if name == CANONICAL[source].key:
            return f"'{source}' || r"
    if column.type == "timestamp":
        return f"{happened} + INTERVAL 800 DAY"
    if column.type == "int64":
        return f"(r % {min(column.maximum or 50_000, 50_000)}) + 1"
    words = column.values or (
        KINDS if column.name == "kind" else tuple(f"{column.name}{n}" for n in range(5))
    )
    return f"[{', '.join(repr(word) for word in words)}][(hash(r) % {len(words)})::INT + 1]"
