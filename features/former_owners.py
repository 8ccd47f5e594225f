"""Cars that have gone: what somebody did with a car is dropped at load, five years after the car was known to be no longer theirs.

The sale of a car is the moment from which nobody needs its former owner's workshop visits and charging sessions for ever (EDPB
Guidelines 01/2020 on connected vehicles). They cannot go at once: a model that learns from moments before the sale would see, in what is
missing, who was going to sell. So no training asks about moments longer ago than what is kept (`training.plan`), and at every moment that
it does ask about the sale was known already. The ownership itself, that there was a car and when it went, stays.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import duckdb
import ibis
import ibis.expr.types as ir

from features.sources import CANONICAL, Source
from features.warehouse import Warehouse

__all__ = ["KEPT", "OF_A_CAR", "drop_theirs", "kept_since", "remember_gone", "rows_of_cars_gone"]

KEPT = timedelta(days=1_826)
OF_A_CAR = frozenset(
    name for name, source in CANONICAL.items() if name != "vehicles" and "vehicle_id" in source.column_names
)


def kept_since(complete_until: Iterable[datetime]) -> datetime:
    """From when on everything is kept: what is known of moments before may lack what was done with cars that had gone by then."""
    return min(complete_until) - KEPT


def remember_gone(engine: duckdb.DuckDBPyConnection, since: datetime) -> None:
    """Of the accepted rows of `vehicles`, in the table `kept`: whose cars had gone, as was known before `since`."""
    accepted = ibis.table(CANONICAL["vehicles"].ibis_schema, name="kept")
    engine.execute(
        f"CREATE OR REPLACE TABLE cars_gone AS {ibis.to_sql(_gone(accepted, since), dialect='duckdb')}"
    )


def drop_theirs(engine: duckdb.DuckDBPyConnection, source: Source) -> int:
    """Take what was done with those cars out of the accepted rows of a source; returns how many rows."""
    if source.name not in OF_A_CAR:
        return 0
    dropped = engine.execute(
        "DELETE FROM kept WHERE (customer_id, vehicle_id) IN (SELECT (customer_id, vehicle_id) FROM cars_gone)"
    )
    (count,) = dropped.fetchall()[0]
    return int(count)


def rows_of_cars_gone(warehouse: Warehouse) -> int:
    """How many rows a warehouse holds that a load would have dropped: of one that somebody else fills, say."""
    if "vehicles" not in warehouse.tables or not warehouse.complete_until:
        return 0
    gone = _gone(warehouse.tables["vehicles"], kept_since(warehouse.complete_until.values()))
    return sum(_count(warehouse, name, gone) for name in sorted(OF_A_CAR & warehouse.tables.keys()))


def _gone(cars: ir.Table, since: datetime) -> ir.Table:
    """(customer_id, vehicle_id) of the cars that had gone from their owner, as was known before `since`."""
    latest = ibis.row_number().over(
        group_by=["customer_id", "vehicle_id"],
        order_by=[ibis.desc("happened_at"), ibis.desc("known_at"), ibis.desc("vehicle_event_id")],
    )
    cars = cars.filter(cars.superseded_at.isnull()).mutate(place=latest)
    known = ibis.greatest(cars.happened_at, cars.known_at)
    each = cars.group_by("customer_id", "vehicle_id").aggregate(
        kind=cars.kind.max(where=cars.place == 0), known=known.max()
    )
    gone = each.filter(each.kind == "disposal", each.known < ibis.literal(since, "timestamp(6)"))
    return gone.select("customer_id", "vehicle_id")


def _count(warehouse: Warehouse, name: str, gone: ir.Table) -> int:
    theirs = warehouse.tables[name].semi_join(gone, ["customer_id", "vehicle_id"])
    return int(warehouse.engine.to_pyarrow(theirs.count()).as_py())
