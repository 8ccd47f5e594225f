"""What was done with cars that have long gone is dropped, nothing else is, and no training asks about moments it would be missed at."""

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.delivery import Delivery
from features.former_owners import KEPT, OF_A_CAR, kept_since, rows_of_cars_gone
from features.load import LoadReport, load
from features.sources import CANONICAL
from features.warehouse import Warehouse, connect, in_memory
from tests.tables import rows
from training.plan import plan
from training.tasks import task_named

UNTIL = datetime(2024, 7, 1)
SINCE = kept_since([UNTIL])  # 2019-07-02
PEOPLE = rows("customers", "profile_id customer happened\na a 2015-01-01\nb b 2015-01-01")
CARS = """
vehicle_event_id customer happened    known       vehicle_id kind
1                a        2015-02-01  2015-02-01  long-gone  delivery
2                a        2019-06-30  2019-07-01  long-gone  disposal
3                a        2015-02-01  2015-02-01  lately     delivery
4                a        2019-07-01  2019-07-02  lately     disposal
5                a        2015-02-01  2015-02-01  back       delivery
6                a        2017-02-01  2017-02-01  back       disposal
7                a        2018-02-01  2018-02-01  back       delivery
8                b        2019-08-01  2019-08-01  long-gone  delivery
"""
CHARGES = """
charge_id  customer  happened    vehicle_id
gone       a         2017-05-01  long-gone
lately     a         2017-05-01  lately
back       a         2016-05-01  back
unnamed    a         2017-05-01  -
of-another b         2021-05-01  long-gone
"""


def loaded(**tables: pa.Table) -> LoadReport:
    given = [
        Delivery(CANONICAL[name], f"{name}.parquet", table.drop_columns(["superseded_at"]))
        for name, table in tables.items()
    ]
    # So old a world has sources that read as silent; that is not what is tried here.
    return load(
        given,
        Path("warehouse"),
        complete_until=dict.fromkeys(CANONICAL, UNTIL),
        delivered_at=UNTIL,
        allow=list(tables),
    )


def kept(name: str) -> list[str]:
    table = connect("warehouse").tables[name]
    return sorted(connect("warehouse").engine.to_pyarrow(table[CANONICAL[name].key]).to_pylist())


def test_sources_of_a_car_are_known() -> None:
    assert {"visits", "charges"} == OF_A_CAR


def test_what_its_former_owner_did_with_a_car_is_dropped_five_years_later() -> None:
    report = loaded(customers=PEOPLE, vehicles=rows("vehicles", CARS), charges=rows("charges", CHARGES))
    assert kept("charges") == ["back", "lately", "of-another", "unnamed"]
    assert len(kept("vehicles")) == 8, "that there was a car, and when it went, stays"
    assert report.counts["charges"]["of cars that have gone"] == 1
    assert "of cars that have gone" in str(report)


def test_where_nothing_is_dropped_nothing_is_said_of_it() -> None:
    assert "cars that have gone" not in str(loaded(customers=PEOPLE, charges=rows("charges", CHARGES)))
    assert len(kept("charges")) == 5, "of cars that nobody told about nothing is known"


def world(seed: int) -> dict[str, pa.Table]:
    luck, day = random.Random(seed), timedelta(days=1)
    people, cars = "abcd", ["v1", "v2", "v3", None]

    def frame(name: str, n: int) -> dict[str, Any]:
        happened = datetime(2016, 1, 1) + luck.randrange(1_500) * day
        return {
            CANONICAL[name].key: f"{n}",
            "customer_id": luck.choice(people),
            "happened_at": happened,
            "known_at": happened + luck.choice([0, 0, 0, 40, 400]) * day,
        }

    vehicles = [
        frame("vehicles", n)
        | {"vehicle_id": luck.choice(cars[:3]), "kind": luck.choice(["delivery", "disposal", "disposal"])}
        for n in range(40)
    ]
    corrected = [
        row | {"known_at": row["known_at"] + luck.randrange(1, 900) * day, "kind": "delivery"}
        for row in luck.sample(vehicles, 8)
    ]
    made = {
        "customers": PEOPLE.to_pylist()
        + rows("customers", "profile_id customer happened\nc c 2015-01-01\nd d 2015-01-01").to_pylist()
    }
    made["vehicles"] = vehicles + corrected
    for name in ("visits", "charges"):
        made[name] = [frame(name, n) | {"vehicle_id": luck.choice(cars)} for n in range(60)]
    for row in made["visits"]:
        row["kind"] = "maintenance"
    return {name: pa.Table.from_pylist(some, CANONICAL[name].arrow_schema) for name, some in made.items()}


def by_hand(tables: dict[str, pa.Table], name: str) -> list[str]:
    """Slow and obvious: for each row, look through everything that was ever said of its owner and its car."""
    latest: dict[str, dict[str, Any]] = {}
    for row in sorted(tables["vehicles"].to_pylist(), key=lambda row: row["known_at"]):
        latest[row["vehicle_event_id"]] = row
    left = []
    for row in tables[name].to_pylist():
        said = [
            one
            for one in latest.values()
            if (one["customer_id"], one["vehicle_id"]) == (row["customer_id"], row["vehicle_id"])
        ]
        said.sort(key=lambda one: (one["happened_at"], one["known_at"], one["vehicle_event_id"]))
        known = [max(one["happened_at"], one["known_at"]) for one in said]
        if not (said and said[-1]["kind"] == "disposal" and max(known) < SINCE):
            left.append(row[CANONICAL[name].key])
    return sorted(left)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_one_finds_looking_through_everything_by_hand(seed: int) -> None:
    tables = world(seed)
    loaded(**tables)
    whole = in_memory(tables, dict.fromkeys(CANONICAL, UNTIL))
    dropped = 0
    for name in sorted(OF_A_CAR):
        assert kept(name) == by_hand(tables, name)
        dropped += len(tables[name]) - len(kept(name))
    assert 0 < dropped < 120
    assert rows_of_cars_gone(connect("warehouse")) == 0
    corrected = connect("warehouse").tables["vehicles"]
    held = connect("warehouse").engine.to_pyarrow(corrected)
    assert rows_of_cars_gone(in_memory({**tables, "vehicles": held}, whole.complete_until)) == dropped


def test_no_training_asks_about_moments_at_which_something_may_be_missing() -> None:
    long_ago = datetime(2012, 1, 1)
    orders = pa.Table.from_pylist(
        [
            {"order_id": f"{n}", "customer_id": "a", "happened_at": at, "known_at": at, "kind": "order"}
            for n, at in enumerate(long_ago + timedelta(days=9 * step) for step in range(505))
        ],
        CANONICAL["orders"].arrow_schema,
    )
    warehouse: Warehouse = in_memory(
        {"customers": PEOPLE, "orders": orders}, dict.fromkeys(("customers", "orders"), UNTIL)
    )
    task = task_named("churn", warehouse)
    late = task.latest_closed(warehouse)
    assert min(plan(task, warehouse).dates) >= SINCE
    early = SINCE + KEPT / 4
    chosen = plan(task, warehouse, test_at=early)
    assert min(chosen.dates) >= SINCE
    assert max(chosen.dates) == early < late
