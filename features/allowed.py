"""Who allows it today, by the tables and by what was told since: whoever has withdrawn meanwhile is not learned from.

today(warehouse, "marketing")       (customer_id, excluded) of those who do not, and why
allowing(warehouse, "marketing")    the warehouse without them
"""

from dataclasses import replace
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

from features.cohorts import Cohort
from features.consent import SOURCE, population, said_elsewhere
from features.standing import Standing
from features.warehouse import Warehouse

__all__ = ["allowing", "today"]

SECOND = timedelta(seconds=1)
REFUSED = {"customer_id": "string", "excluded": "string"}


def today(warehouse: Warehouse, purpose: str) -> ir.Table:
    """(customer_id, excluded) of those who do not allow a purpose by all that is held, whatever they allowed at an earlier moment.

    Raises `NoConsents` when nothing says who allows what, `LedgerUnreadable` when what was told cannot be read.
    """
    asked = population(Cohort("", ()), purpose, warehouse).ask(warehouse, [_now(warehouse)])
    held = asked.filter(asked.excluded.notnull()).select("customer_id", "excluded")
    told = _told(warehouse, purpose)
    if not told:
        return held
    since = ibis.memtable({"customer_id": list(told), "excluded": list(told.values())}, schema=REFUSED)
    return held.anti_join(since, "customer_id").union(since)


def allowing(warehouse: Warehouse, purpose: str) -> Warehouse:
    """The warehouse with those customers only who allow a purpose today. Raises as `today` does."""
    if said_elsewhere(warehouse) and not _told(warehouse, purpose):
        return warehouse
    kept = warehouse.tables["customers"].anti_join(today(warehouse, purpose).cache(), "customer_id")
    return replace(warehouse, tables={**warehouse.tables, "customers": kept})


def _told(warehouse: Warehouse, purpose: str) -> dict[str, str]:
    """Those of the warehouse's customers who took back a consent since it was loaded."""
    taken = Standing.here().now()
    if not taken.no:
        return {}
    known = warehouse.tables["customers"].select("customer_id").distinct()
    return taken.refusals(warehouse.engine.to_pyarrow(known)["customer_id"].to_pylist(), purpose)


def _now(warehouse: Warehouse) -> datetime:
    """The first moment that sees all that the warehouse holds, about consent too."""
    latest: datetime | None = None
    if SOURCE in warehouse.tables:
        latest = warehouse.engine.to_pyarrow(warehouse.tables[SOURCE].known_at.max()).as_py()
    moments = [*warehouse.complete_until.values(), *([latest + SECOND] if latest else [])]
    return max(moments, default=datetime(1970, 1, 1))
