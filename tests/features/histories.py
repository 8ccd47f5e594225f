"""Random histories with all the mess of the real ones, drawn from the declarations of the sources.

Late arrivals, corrections, ties, nulls wherever a column is optional, words nobody declared, rows the company
initiated, cars disposed of, brought back and never seen before, and events exactly on the edges of windows.
"""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.feature import Feature
from features.feature_set import at
from features.sources import CANONICAL, Column, Source
from features.warehouse import Warehouse, in_memory

__all__ = [
    "DATES",
    "Row",
    "World",
    "arrow",
    "computed",
    "moments",
    "moments_table",
    "random_world",
    "same_bits",
    "warehouse",
]

Row = dict[str, Any]
World = dict[str, list[Row]]

DATES = (
    datetime(2024, 12, 31),
    datetime(2025, 2, 28, 13, 7, 41),
    datetime(2025, 3, 1),
    datetime(2025, 6, 30, 23, 59, 59),
    datetime(2025, 7, 1),
    datetime(2025, 7, 1, 0, 0, 1),
    datetime(2025, 9, 30),
    datetime(2026, 1, 29),
    datetime(2026, 2, 17),
    datetime(2026, 2, 18, 8, 0, 0),
)
EDGES_DAYS = (0, 7, 14, 30, 60, 90, 180, 365, 730)
MOST_ROWS = {"touchpoints": 30, "contacts": 12, "points": 14, "charges": 10, "customers": 3, "consents": 1}
WORDS = {
    "kind": (
        "page_view", "content_read", "model_page", "configurator", "quote_request", "live_stream",
        "app_open", "mini_program", "wecom_message", "post", "social", "activity_signin",
        "site_lead", "showroom_visit", "test_drive", "valuation_request", "insurance_renewal", "roadside_assistance",
        "complaint", "coupon_redemption", "a_new_kind",
    ),
    "channel": (
        "app", "mini_program", "official_account", "wecom", "site", "dealer",
        "social", "phone", "sms", "pigeon",
    ),
    "topic": (
        "safety", "price", "finance", "maintenance", "technology", "lifestyle",
        "gossip",
    ),
    "tier": (
        "silver", "gold", "VIP", "钻石",
    ),
}  # fmt: skip


def random_world(seed: int, customers: int) -> World:
    """Every canonical source, with rows for `customers` people (some have none in some sources)."""
    luck = random.Random(seed)
    people = [f"c{n:05d}" for n in range(customers)]
    return {
        name: [
            row
            for person in people
            for n in range(luck.randint(0, MOST_ROWS.get(name, 6)))
            for row in _versions(luck, source, person, people, n)
        ]
        for name, source in CANONICAL.items()
    }


def _versions(luck: random.Random, source: Source, person: str, people: list[str], n: int) -> list[Row]:
    """A row and, now and then, corrections of it that became known later."""
    key = f"{source.name}-{person}-{luck.randint(0, 9)}{n}"
    versions = [_row(luck, source, person, people, key)]
    while luck.random() < 0.15:
        newer = _row(luck, source, person, people, key)
        newer["known_at"] = versions[-1]["known_at"] + timedelta(
            seconds=luck.choice((1, 3600, 86_400, 5_000_000))
        )
        newer["happened_at"] = min(newer["happened_at"], newer["known_at"])
        versions[-1]["superseded_at"] = newer["known_at"]
        versions.append(newer)
    return versions


def _row(luck: random.Random, source: Source, person: str, people: list[str], key: str) -> Row:
    happened = _instant(luck)
    delay_s = luck.choice((0, 0, 0, 1, 3600, 86_400, luck.randint(0, 5_000_000)))
    row: Row = {column.name: _value(luck, source, column, person, people) for column in source.columns}
    return row | {
        source.key: key,
        "customer_id": person,
        "happened_at": happened,
        "known_at": happened + timedelta(seconds=delay_s),
        "superseded_at": None,
    }


def _instant(luck: random.Random) -> datetime:
    """Around one of the dates: on an edge of a window, a second beside it, or anywhere in three years."""
    date = luck.choice(DATES)
    if luck.random() < 0.4:
        edge = timedelta(days=luck.choice(EDGES_DAYS), seconds=luck.choice((-1, 0, 0, 1)))
        return date - edge
    return date - timedelta(
        days=luck.randint(-200, 900), seconds=luck.choice((0, 0, luck.randint(0, 86_399)))
    )


def _value(luck: random.Random, source: Source, column: Column, person: str, people: list[str]) -> Any:
    if column.optional and luck.random() < 0.2:
        return None
    if column.name == "vehicle_id":
        return f"{person}-car{luck.randint(0, 2)}"
    if column.name == "invitee_id":
        return luck.choice([*people, "nobody"])
    if column.type == "timestamp":
        return luck.choice(DATES) + timedelta(days=luck.choice(EDGES_DAYS), seconds=luck.choice((-1, 0, 1)))
    if column.type == "int64":
        most = column.maximum or luck.choice((3, 500, 40_000_000))
        return luck.randint(column.minimum or 0, most)
    return luck.choice(column.values or WORDS.get(column.name) or [f"{column.name} {n}" for n in range(3)])


def arrow(source: str, rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=CANONICAL[source].arrow_schema)


def warehouse(world: World) -> Warehouse:
    return in_memory({source: arrow(source, rows) for source, rows in world.items()})


def moments_table(pairs: Iterable[tuple[str, datetime]]) -> pa.Table:
    columns = [("customer_id", pa.string()), ("as_of", pa.timestamp("us"))]
    return pa.table(list(zip(*pairs, strict=True)), schema=pa.schema(columns))


def moments(pairs: Iterable[tuple[str, datetime]]) -> ir.Table:
    schema = {"customer_id": "string", "as_of": "timestamp(6)"}
    return ibis.memtable(moments_table(pairs), schema=schema)


def computed(
    world: World, pairs: Sequence[tuple[str, datetime]], features: Sequence[Feature]
) -> dict[tuple[str, datetime], Row]:
    """The features' values by (customer, moment)."""
    held = warehouse(world)
    answers = held.engine.to_pyarrow(at(moments(pairs), held, features)).to_pylist()
    held.engine.disconnect()
    return {(row.pop("customer_id"), row.pop("as_of")): row for row in answers}


def same_bits(left: Any, right: Any) -> bool:
    """Equal, and of one type: what a model reads is the same to the last bit."""
    return type(left) is type(right) and left == right
