"""Long answers in pieces of customers: memory for one piece, whatever the size of the base.

    for batch in in_pieces(lambda narrowed: at(everyone(narrowed, dates), narrowed), warehouse): ...

The pieces are ranges of customer ids: rows of an earlier piece come before those of a later one, and files sorted
by customer are read once in all. The query is compiled once; only its two ends move.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import BaseBackend

from features.sources import CANONICAL
from features.warehouse import Warehouse

__all__ = ["CUSTOMERS_PER_PIECE", "in_pieces"]

CUSTOMERS_PER_PIECE = 50_000
ROWS_PER_BATCH = 65_536


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def getvariable(variable: str) -> str:  # type: ignore[empty-body]
    """A value set in the session; DuckDB puts it in place of the call before it plans the query."""


def in_pieces(
    answer: Callable[[Warehouse], ir.Table],
    warehouse: Warehouse,
    customers_per_piece: int = CUSTOMERS_PER_PIECE,
) -> Iterator[pa.RecordBatch]:
    """The rows of `answer`, piece by piece. It is given the warehouse narrowed to the customers of a piece, and must
    ask about no others. An engine that spreads its work itself gets everything as one piece."""
    engine = warehouse.engine
    if engine.name != "duckdb":
        yield from _declared(answer(warehouse), engine)
        return
    tables = {name: table.filter(_inside(name, table)) for name, table in warehouse.tables.items()}
    asked = answer(replace(warehouse, tables=tables))
    schema, sql = asked.schema().to_pyarrow(), ""
    for piece, ends in enumerate(_ends(warehouse, customers_per_piece)):
        for variable, value in zip(("piece_first", "piece_last"), ends, strict=True):
            engine.con.execute(f"SET VARIABLE {variable} = ?", [value])
        if not piece:
            # Ibis tells the engine about tables in memory only when it runs a query itself.
            yield from _declared(asked, engine)
            continue
        sql = sql or engine.compile(asked)
        yield from (
            batch.cast(schema) for batch in engine.con.execute(sql).fetch_record_batch(ROWS_PER_BATCH)
        )


def _declared(asked: ir.Table, engine: BaseBackend) -> Iterator[pa.RecordBatch]:
    """The rows in the types the expression declares; an engine may widen sums."""
    schema = asked.schema().to_pyarrow()
    for batch in engine.to_pyarrow_batches(asked, chunk_size=ROWS_PER_BATCH):
        yield batch.cast(schema)


def _inside(name: str, table: ir.Table) -> ir.BooleanValue:
    """Whether a row is about a customer of the piece, in any of the columns that name one."""
    named = ["customer_id", *(c.name for c in CANONICAL[name].columns if c.references == "customers")]
    first, last = getvariable("piece_first"), getvariable("piece_last")
    return ibis.or_(*(table[column].between(first, last) for column in dict.fromkeys(named)))


def _ends(warehouse: Warehouse, customers_per_piece: int) -> list[tuple[str, str]]:
    """First and last customer of each piece, in order."""
    people = warehouse.tables["customers"].select("customer_id").distinct()
    numbered = people.mutate(piece=ibis.row_number().over(order_by=people.customer_id) // customers_per_piece)
    ends = numbered.group_by("piece").aggregate(
        first=numbered.customer_id.min(), last=numbered.customer_id.max()
    )
    found = ends.order_by("piece").to_pyarrow()
    return list(zip(found["first"].to_pylist(), found["last"].to_pylist(), strict=True))
