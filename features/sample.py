"""A fixed part of the customers: the same persons on every engine and every day.

Who is in is decided by the customer's id alone (MD5, computed where the rows lie), so that a base too large to learn
from costs no list of ids and no row more than the part asked for. A `draw` has a name: two draws are independent.
"""

from dataclasses import replace

import ibis

from features.warehouse import Warehouse

__all__ = ["of_customers", "sampled", "share_of_customers"]

WHOLE = 2**32


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def md5(text: str) -> str:  # type: ignore[empty-body]
    """Thirty-two hexadecimal digits, on each of our engines."""


def sampled(warehouse: Warehouse, share: float, draw: str) -> Warehouse:
    """The warehouse with about this share of the customers; events of others stay, and nobody asks about them."""
    if share >= 1:
        return warehouse
    customers = warehouse.tables["customers"]
    place = md5(ibis.literal(f"{draw} ") + customers.customer_id).substr(0, 8)
    chosen = customers.filter(place < f"{int(share * WHOLE):08x}")
    tables = {**warehouse.tables, "customers": chosen}
    return replace(warehouse, tables=tables, share=warehouse.share * share)


def of_customers(warehouse: Warehouse, wanted: int) -> Warehouse:
    """The warehouse with about so many customers to learn from; 0: with all."""
    if not wanted:
        return warehouse
    return sampled(warehouse, share_of_customers(warehouse, wanted), "training")


def share_of_customers(warehouse: Warehouse, wanted: int) -> float:
    """The share that makes about so many customers; 1 where there are no more."""
    there = int(warehouse.engine.execute(warehouse.tables["customers"].customer_id.nunique()))
    return min(wanted / max(there, 1), 1.0)
