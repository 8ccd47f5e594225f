"""Random histories with all the mess of the real ones, drawn from the declarations of the sources.

Late arrivals, corrections, ties, nulls wherever a column is optional, words nobody declared, rows the company
initiated, cars disposed of, brought back and never seen before, and events exactly on the edges of windows.
"""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.feature import Feature
from features.feature_set import at, named
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
    "acquisition_channel": (
        "app", "dealer", "broker", "pigeon",
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
    people = [Person(f"c{n:05d}", tuple(_instant(luck) for _ in range(3))) for n in range(customers)]
    return {
        name: [
            row
            for person in people
            for n in range(luck.randint(0, MOST_ROWS.get(name, 6)))
            for row in _versions(luck, source, person, customers, n)
        ]
        for name, source in CANONICAL.items()
    }


class Person(NamedTuple):
    """A customer, and instants at which several things happen to them at once."""

    customer_id: str
    busy: tuple[datetime, ...]


def _versions(luck: random.Random, source: Source, person: Person, customers: int, n: int) -> list[Row]:
    """A row and, now and then, corrections of it that became known later."""
    key = f"{source.name}-{person.customer_id}-{luck.randint(0, 9)}{n}"
    versions = [_row(luck, source, person, customers, key)]
    while luck.random() < 0.15:
        newer = _row(luck, source, person, customers, key)
        later_s = luck.choice((1, 3600, 86_400, 5_000_000))
        newer["known_at"] = versions[-1]["known_at"] + timedelta(seconds=later_s)
        newer["happened_at"] = min(newer["happened_at"], newer["known_at"])
        versions[-1]["superseded_at"] = newer["known_at"]
        versions.append(newer)
    return versions


def _row(luck: random.Random, source: Source, person: Person, customers: int, key: str) -> Row:
    happened = luck.choice(person.busy) if luck.random() < 0.3 else _instant(luck)
    delay_s = luck.choice((0, 0, 0, 1, 3600, 86_400, luck.randint(0, 5_000_000)))
    row: Row = {column.name: _value(luck, column, person.customer_id, customers) for column in source.columns}
    return row | {
        source.key: key,
        "customer_id": person.customer_id,
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


def _value(luck: random.Random, column: Column, person: str, customers: int) -> Any:
    if column.optional and luck.random() < 0.2:
        return None
    if column.name == "vehicle_id":
        return f"{person}-car{luck.randint(0, 2)}"
    if column.name == "invitee_id":
        return luck.choice((f"c{luck.randrange(customers):05d}", "nobody"))
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
    world: World, pairs: Iterable[tuple[str, datetime]], features: Iterable[Feature]
) -> dict[tuple[str, datetime], Row]:
    """The features' values by (customer, moment)."""
    sql, schema = _compiled(tuple(feature.name for feature in features))
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("moments", moments_table(pairs))
        for source in CANONICAL:
            engine.register(source, arrow(source, world.get(source, [])))
        answers = engine.execute(sql).fetch_arrow_table().cast(schema).to_pylist()
    return {(row.pop("customer_id"), row.pop("as_of")): row for row in answers}


@cache
def _compiled(names: tuple[str, ...]) -> tuple[str, pa.Schema]:
    """Compiling takes longer than these worlds do, so it is done once."""
    unbound = {name: ibis.table(source.ibis_schema, name=name) for name, source in CANONICAL.items()}
    asked = ibis.table({"customer_id": "string", "as_of": "timestamp(6)"}, name="moments")
    answered = at(asked, Warehouse(ibis.duckdb.connect(), unbound), named(names))
    return ibis.to_sql(answered, dialect="duckdb"), answered.schema().to_pyarrow()


def same_bits(left: Any, right: Any) -> bool:
    """Equal, and of one type: what a model reads is the same to the last bit."""
    return type(left) is type(right) and left == right
