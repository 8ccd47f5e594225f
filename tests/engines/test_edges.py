"""Where engines disagree by nature, case by case: each edge has an answer, and every engine gives it.

All edges are asked in one query per engine: one customer per edge, one moment, one column per edge.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import timeline
from features.planner import compute
from features.publish import publish
from features.rows import Past
from features.sources import CANONICAL
from features.warehouse import Warehouse, connect, in_memory
from tests.features.histories import moments

pytestmark = pytest.mark.slow

AS_OF = datetime(2025, 3, 1, 0, 0, 0)
Row = dict[str, Any]


@dataclass(frozen=True)
class Edge:
    """What is asked of the rows of one customer, and the only right answer."""

    name: str
    asked: Callable[[Past], Any]
    answer: Any
    rows: Mapping[str, list[Row]] = field(default_factory=dict)


def order(days: float = 1.0, **more: Any) -> Row:
    happened = AS_OF - timedelta(days=days)
    return {"happened_at": happened, "known_at": happened, "kind": "order", "quantity": 1, **more}


def visit(days: float = 1.0, **more: Any) -> Row:
    return order(days) | {"kind": "maintenance"} | more


EXACT = 9_007_199_254_740_993  # the first whole number that a float cannot hold

EDGES = (
    Edge(
        "null order: the newest row has no value, so there is none",
        lambda past: past.orders.latest("amount_cents"),
        None,
        {"orders": [order(3, amount_cents=5), order(1, amount_cents=None)]},
    ),
    Edge(
        "null order: the newest row has a value, the one before it none",
        lambda past: past.orders.latest("amount_cents"),
        7,
        {"orders": [order(3, amount_cents=None), order(1, amount_cents=7)]},
    ),
    Edge(
        "nulls are in no sum, no extreme and no count of values",
        lambda past: (
            past.orders.sum("amount_cents")
            + past.orders.min("amount_cents")
            + past.orders.distinct("amount_cents")
        ),
        11,
        {"orders": [order(1, amount_cents=None), order(2, amount_cents=5), order(3, amount_cents=None)]},
    ),
    Edge(
        "division by zero: a mean of nothing is null, not NaN and no error",
        lambda past: past.orders.sum("amount_cents") / past.orders.count().nullif(0),
        None,
    ),
    Edge("the deviation of no gaps is null", lambda past: past.orders.sd_gap_days(), None),
    Edge(
        "NaN: the deviation of one gap is 0, whatever the square root of almost nothing is",
        lambda past: past.orders.sd_gap_days(),
        0.0,
        {"orders": [order(1.5), order(11.5)]},
    ),
    Edge(
        "integer division is no division of integers: a half stays",
        lambda past: past.orders.count() / past.orders.sum("quantity").nullif(0),
        0.5,
        {"orders": [order(1, quantity=1), order(2, quantity=3)]},
    ),
    Edge(
        "a third, to the last bit",
        lambda past: past.orders.sum("amount_cents") / past.orders.count().nullif(0),
        54_773_201 / 3,
        {"orders": [order(1, amount_cents=54_773_199), order(2, amount_cents=1), order(3, amount_cents=1)]},
    ),
    Edge(
        "a deviation, to the last bit",
        lambda past: past.orders.sd_gap_days(),
        (14.0**0.5) / 3,
        {"orders": [order(10.5), order(9.5), order(7.5), order(3.5)]},
    ),
    Edge(
        "negative floor: half a day ago is day -1",
        lambda past: past.vehicles.days_to_first("warranty_ends_at"),
        -1,
        {
            "vehicles": [
                order(50, kind="delivery", vehicle_id="v", warranty_ends_at=AS_OF - timedelta(hours=12))
            ]
        },
    ),
    Edge(
        "negative floor: exactly a day ago is day -1 as well, a second earlier is day -2",
        lambda past: past.vehicles.days_to_first("warranty_ends_at"),
        -2,
        {
            "vehicles": [
                order(
                    50, kind="delivery", vehicle_id="v", warranty_ends_at=AS_OF - timedelta(days=1, seconds=1)
                )
            ]
        },
    ),
    Edge(
        "money is exact beyond what a float holds",
        lambda past: past.orders.sum("amount_cents"),
        EXACT,
        {"orders": [order(1, amount_cents=EXACT - 1), order(2, amount_cents=1)]},
    ),
    Edge(
        "a whole number beside nulls is exact",
        lambda past: past.orders.max("amount_cents"),
        EXACT,
        {"orders": [order(1, amount_cents=EXACT), order(2, amount_cents=None)]},
    ),
    Edge(
        "no 32-bit overflow: three times two billion",
        lambda past: past.orders.sum("amount_cents"),
        6_000_000_000,
        {"orders": [order(n, amount_cents=2_000_000_000) for n in (1, 2, 3)]},
    ),
    Edge("time zones: midnight UTC on the first is March", lambda past: past.today.month, 3),
    Edge("time zones: the day's number", lambda past: past.today.day, (AS_OF - datetime(1970, 1, 1)).days),
    Edge(
        "time zones: 23:30 and 00:30 UTC are two days",
        lambda past: past.orders.distinct_days(),
        2,
        {"orders": [order(1 + 0.5 / 24), order(1 - 0.5 / 24)]},
    ),
    Edge(
        "time zones: the hour that summer time skips exists",
        lambda past: past.orders.days_since_last(),
        334,
        {"orders": [order(0) | dict.fromkeys(("happened_at", "known_at"), datetime(2024, 3, 31, 2, 30))]},
    ),
    Edge(
        "the far future is a date like another",
        lambda past: past.vehicles.days_to_first("warranty_ends_at"),
        (datetime(9999, 12, 31) - AS_OF).days,
        {"vehicles": [order(50, kind="delivery", vehicle_id="v", warranty_ends_at=datetime(9999, 12, 31))]},
    ),
    Edge(
        "collation: two rows at one instant tie by the bytes of their keys, small letters after capitals",
        lambda past: past.visits.latest("dealer_id"),
        "small",
        {"visits": [visit(1, visit_id="Z", dealer_id="capital"), visit(1, visit_id="a", dealer_id="small")]},
    ),
    Edge(
        "collation: letters beyond ASCII come after all of it",
        lambda past: past.visits.latest("dealer_id"),
        "umlaut",
        {"visits": [visit(1, visit_id="z", dealer_id="plain"), visit(1, visit_id="ä", dealer_id="umlaut")]},
    ),
    Edge(
        "strings are equal byte by byte: case counts, a trailing space counts",
        lambda past: past.visits.distinct("dealer_id"),
        3,
        {"visits": [visit(n, dealer_id=name) for n, name in enumerate(("d", "D", "d "), 1)]},
    ),
    Edge(
        "an empty string is a value, not nothing",
        lambda past: past.visits.latest("dealer_id"),
        "",
        {"visits": [visit(1, dealer_id="")]},
    ),
    Edge(
        "a string of quotes, commas, line ends and backslashes arrives as it was",
        lambda past: past.visits.latest("dealer_id"),
        "a\"b,c\nd\\N\r\n'; DROP TABLE orders; --钻石",
        {"visits": [visit(1, dealer_id="a\"b,c\nd\\N\r\n'; DROP TABLE orders; --钻石")]},
    ),
    Edge(
        "yes or no of something unknown is unknown",
        lambda past: (past.visits.latest("dealer_id") == "d").cast("int64"),
        None,
    ),
    Edge(
        "yes or no as a number",
        lambda past: (past.visits.latest("dealer_id") == "d").cast("int64"),
        1,
        {"visits": [visit(1, dealer_id="d")]},
    ),
)
NAMES = [f"edge {n}" for n in range(len(EDGES))]


def world() -> dict[str, pa.Table]:
    """The edges' rows: the customer of edge 3 is `edge 3`, other columns are null."""
    tables: dict[str, list[Row]] = {"customers": []}
    for name, edge in zip(NAMES, EDGES, strict=True):
        tables["customers"].append(order(900) | {"profile_id": name, "customer_id": name})
        for source, rows in edge.rows.items():
            for n, row in enumerate(rows):
                key = {CANONICAL[source].key: f"{name} {n}"}
                tables.setdefault(source, []).append(key | row | {"customer_id": name})
    for source in ("orders", "visits", "vehicles"):
        tables.setdefault(source, [])
    return {
        source: pa.Table.from_pylist(rows, schema=CANONICAL[source].arrow_schema)
        for source, rows in tables.items()
    }


def answered(warehouse: Warehouse) -> dict[str, Any]:
    """Each edge's answer from its own customer."""
    asked = moments([(name, AS_OF) for name in NAMES])
    definitions = {name: edge.asked for name, edge in zip(NAMES, EDGES, strict=True)}
    rows = compute(asked, definitions, warehouse.tables, timeline.past)
    found = {row["customer_id"]: row for row in warehouse.engine.to_pyarrow(rows).to_pylist()}
    return {edge.name: found[name][name] for name, edge in zip(NAMES, EDGES, strict=True)}


def right() -> dict[str, Any]:
    return {edge.name: edge.answer for edge in EDGES}


def written(place: Path) -> Path:
    for source, rows in world().items():
        (place / source).mkdir(parents=True)
        pq.write_table(rows, place / source / "part.parquet")
    return place


def test_duckdb() -> None:
    assert answered(in_memory(world())) == right()


def test_postgres(server: str) -> None:
    loaded = in_memory(world(), dict.fromkeys(world(), AS_OF))
    publish(loaded, f"{server}&schema=edges")
    assert answered(connect(f"{server}&schema=edges")) == right()


def test_spark(spark: str, tmp_path: Path) -> None:
    place = written(tmp_path / "edges")
    assert answered(connect(spark.replace("FOLDER", str(place)))) == right()
