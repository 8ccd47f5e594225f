"""Long answers in pieces of customers: memory for one piece, whatever the size of the base.

    for batch in in_pieces(lambda narrowed: at(everyone(narrowed, dates), narrowed), warehouse): ...

The pieces are ranges of customer ids: rows of an earlier piece come before those of a later one, and files sorted
by customer are read once in all. The query is compiled once; only its two ends move. They are variables of the
engine's session, so that two answers in pieces must not take turns on one engine.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import BaseBackend

from features.sources import CANONICAL
from features.warehouse import Warehouse

__all__ = ["CUSTOMERS_PER_PIECE", "INSIDE", "in_pieces", "narrowed", "pieces"]

# A night with 120 events each takes some 1.6 GiB a piece. What any piece costs, however small, is a tenth of its time.
CUSTOMERS_PER_PIECE = 50_000
ROWS_PER_BATCH = 65_536
FIRST, LAST = "piece_first", "piece_last"
INSIDE = f"customer_id BETWEEN getvariable('{FIRST}') AND getvariable('{LAST}')"
"""The same test for queries that are written by hand."""


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def getvariable(variable: str) -> str:  # type: ignore[empty-body]
    """A value set in the session; DuckDB puts it in place of the call before it plans the query."""


def in_pieces(
    answer: Callable[[Warehouse], ir.Table],
    warehouse: Warehouse,
    customers_per_piece: int = CUSTOMERS_PER_PIECE,
    rows_per_batch: int = ROWS_PER_BATCH,
    *,
    after: str = "",
) -> Iterator[pa.RecordBatch]:
    """The rows of `answer`, piece by piece, in the types it declares. It is given the warehouse narrowed to the
    customers of a piece, and must ask about no others. An engine that spreads its work itself gets everything as
    one piece. With `after`, those of later customers only; answers have a `customer_id`."""
    engine = warehouse.engine
    if engine.name != "duckdb":
        people = warehouse.tables["customers"]
        later = people.filter(people.customer_id > after) if after else people
        held = replace(warehouse, tables={**warehouse.tables, "customers": later})
        yield from _declared(answer(held), engine, rows_per_batch)
        return
    asked = answer(narrowed(warehouse))
    schema, sql = asked.schema().to_pyarrow(), ""
    for piece, _ in enumerate(pieces(warehouse, customers_per_piece, after)):
        if not piece:
            # Ibis tells the engine about tables in memory only when it runs a query itself.
            yield from _declared(asked, engine, rows_per_batch)
            continue
        sql = sql or engine.compile(asked)
        found = engine.con.execute(sql).fetch_record_batch(rows_per_batch)
        yield from (batch.cast(schema) for batch in found)


def narrowed(warehouse: Warehouse) -> Warehouse:
    """The warehouse with the rows about customers of the piece that `pieces` has come to. It is a DuckDB."""
    tables = {name: table.filter(_inside(name, table)) for name, table in warehouse.tables.items()}
    return replace(warehouse, tables=tables)


def pieces(
    warehouse: Warehouse, customers_per_piece: int = CUSTOMERS_PER_PIECE, after: str = ""
) -> Iterator[int]:
    """Go from piece to piece, in order; yields how many customers are in each. Begins with the one after `after`."""
    people = warehouse.tables["customers"].select("customer_id").distinct()
    people = people.filter(people.customer_id > after)
    numbered = people.mutate(piece=ibis.row_number().over(order_by=people.customer_id) // customers_per_piece)
    ids = numbered.customer_id
    ends = numbered.group_by("piece").aggregate(first=ids.min(), last=ids.max(), customers=ids.count())
    for _, first, last, customers in ends.order_by("piece").to_pandas().itertuples(index=False):
        for variable, value in ((FIRST, first), (LAST, last)):
            warehouse.engine.con.execute(f"SET VARIABLE {variable} = ?", [value])
        yield customers


def _declared(asked: ir.Table, engine: BaseBackend, rows_per_batch: int) -> Iterator[pa.RecordBatch]:
    """The rows in the types the expression declares; an engine may widen sums."""
    schema = asked.schema().to_pyarrow()
    for batch in engine.to_pyarrow_batches(asked, chunk_size=rows_per_batch):
        yield batch.cast(schema)


def _inside(name: str, table: ir.Table) -> ir.BooleanValue:
    """Whether a row is about a customer of the piece, in any of the columns that name one."""
    named = ["customer_id", *(c.name for c in CANONICAL[name].columns if c.references == "customers")]
    first, last = getvariable(FIRST), getvariable(LAST)
    return ibis.or_(*(table[column].between(first, last) for column in dict.fromkeys(named)))
