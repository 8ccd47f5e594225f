"""PostgreSQL as the warehouse: `postgresql://user@host/database?schema=crm`.

Everything of the address but `schema` goes to libpq, so that its other parameters (`sslmode`, `service`,
`passfile`, `host` of a socket) mean what they mean elsewhere. Tables carry the canonical names. The session
needs to read them and to make temporary tables. Rows travel as CSV through COPY and are parsed by Arrow: as
Python objects a night's rows would take several times longer.
"""

import uuid
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import psycopg
import pyarrow as pa
import sqlglot.expressions as sge
from ibis.backends.postgres import Backend
from ibis.backends.sql.compilers.postgres import PostgresCompiler
from psycopg import sql
from psycopg.rows import dict_row

from features.engines.copy import as_csv, parsed, resized
from features.engines.held import LEDGER, Held, facts_of
from features.errors import BadData, NoWarehouse
from features.home import without_secrets
from features.sources import CANONICAL

__all__ = ["Postgres", "forget", "identities_of", "opened", "publish"]

NOT_OURS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.ObjectNotInPrerequisiteState,  # a view of what lies elsewhere
    psycopg.errors.WrongObjectType,
)
COPY_FROM = sql.SQL("COPY {} FROM STDIN (FORMAT csv)")


class _Dialect(PostgresCompiler):  # type: ignore[misc]
    """Ibis' PostgreSQL, where a value has the type that Ibis says it has.

    PostgreSQL sums integers to a numeric, reads seconds as a numeric, divides integers without a rest and knows no
    cast from boolean to bigint.
    """

    __slots__ = ()

    def visit_Cast(self, op: Any, *, arg: Any, to: Any) -> Any:  # noqa: N802
        if op.arg.dtype.is_boolean() and to.is_integer():
            arg = self.cast(arg, dt.int32)
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_Sum(self, op: Any, *, arg: Any, where: Any) -> Any:  # noqa: N802
        return self.cast(super().visit_Sum(op, arg=arg, where=where), op.dtype)

    def visit_Divide(self, op: Any, *, left: Any, right: Any) -> Any:  # noqa: N802, ARG002
        return sge.paren(self.cast(left, dt.float64)) / sge.paren(self.cast(right, dt.float64))

    def visit_ExtractEpochSeconds(self, op: Any, *, arg: Any) -> Any:  # noqa: N802
        return self.cast(super().visit_ExtractEpochSeconds(op, arg=arg), dt.int64)  # not to 2038 only

    def visit_WindowFunction(self, op: Any, *, func: Any, **how: Any) -> Any:  # noqa: N802
        if isinstance(func, sge.Cast):  # OVER belongs to the sum inside the cast
            return self.cast(super().visit_WindowFunction(op, func=func.this, **how), op.dtype)
        return super().visit_WindowFunction(op, func=func, **how)


class Postgres(Backend):  # type: ignore[misc]
    """Ibis' PostgreSQL with that dialect, moving rows in and out by COPY."""

    name = "postgres"
    compiler = _Dialect()

    def _register_in_memory_table(self, op: Any) -> None:
        columns = [
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(self.compiler.type_mapper.to_string(kind)))
            for name, kind in op.schema.items()
        ]
        table = sql.Identifier(op.name)
        with self.con.transaction(), self.con.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE TEMP TABLE {} ({})").format(table, sql.SQL(", ").join(columns)))
            with cursor.copy(COPY_FROM.format(table)) as copy:
                for block in as_csv(op.data.to_pyarrow(op.schema).to_batches()):
                    copy.write(block)
            cursor.execute(sql.SQL("ANALYZE {}").format(table))  # nothing else would: the planner guesses

    def to_pyarrow_batches(
        self, expr: ir.Expr, /, *, params: Any = None, limit: Any = None, chunk_size: int = 65_536, **_: Any
    ) -> pa.RecordBatchReader:
        """The expression's rows in batches of `chunk_size`, while the engine still delivers."""
        self._run_pre_execute_hooks(expr)
        schema = expr.as_table().schema().to_pyarrow()
        query = self.compile(expr, params=params, limit=limit)
        return pa.RecordBatchReader.from_batches(schema, resized(self._rows(query, schema), chunk_size))

    def _rows(self, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with self.con.transaction(), self.con.cursor() as cursor:
            asked = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(sql.SQL(query))
            with cursor.copy(asked) as copy:
                yield from parsed(copy, schema)


def opened(address: str) -> Held:
    """Open the schema for reading. Raises `NoWarehouse` when the server does not let us, or knows no such schema."""
    connection, schema = _connected(address)
    where = f"schema {schema!r} of {without_secrets(address)}"
    engine = Postgres.from_connection(connection)
    weakref.finalize(engine, connection.close)
    present = set(engine.list_tables(database=schema))
    if not present:
        raise NoWarehouse(
            f"{where} has no tables; fill it with `python -m features.publish --to ADDRESS`, "
            "or name another with ?schema="
        )
    tables = {name: _bytewise(engine, name, schema) for name in CANONICAL if name in present}
    stated: list[dict[str, Any]] = []
    if LEDGER in present:
        with connection.cursor(row_factory=dict_row) as cursor:
            asked = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, LEDGER))
            stated = cursor.execute(asked).fetchall()
    return Held(engine, tables, where, **facts_of(stated))


def _connected(address: str) -> tuple["psycopg.Connection[tuple[Any, ...]]", str]:
    """A session in UTC and the schema the address names, `public` without a name."""
    parts = urlsplit(address)
    asked = dict(parse_qsl(parts.query))
    schema = asked.pop("schema", "public")
    try:
        connection = psycopg.connect(urlunsplit(parts._replace(query=urlencode(asked))), autocommit=True)
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise NoWarehouse(f"PostgreSQL at {without_secrets(address)} cannot be opened: {reason}") from None
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute("SET jit = off")  # compiling a wide query takes longer than running it
    return connection, schema


def _bytewise(engine: Postgres, name: str, schema: str) -> ir.Table:
    """The table with strings that compare by their bytes, whatever language the database sorts in: ties between
    rows fall the same way on every engine, and rows sorted by customer are found by binary search."""
    found = engine.get_schema(name, database=schema)
    columns = [
        sql.SQL('{0} COLLATE "C" AS {0}' if kind.is_string() else "{0}").format(sql.Identifier(column))
        for column, kind in found.items()
    ]
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(columns), sql.Identifier(schema, name))
    return engine.sql(query.as_string(engine.con), schema=found)


def publish(
    address: str,
    sources: Iterable[tuple[str, pa.RecordBatchReader]],
    complete_until: Mapping[str, datetime],
    digest: str,
    without_consents: str = "",
) -> dict[str, int]:
    """Replace the schema's canonical tables in one transaction; returns the rows of each.

    The new tables are filled beside the old ones, which readers see until the end. Raises `BadData` when
    PostgreSQL refuses, and then nothing has changed.
    """
    connection, schema = _connected(address)
    try:
        with connection, connection.transaction():
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
            written = {name: _fill(connection, schema, name, rows) for name, rows in sources}
            _state(connection, schema, [(*one, digest, without_consents) for one in complete_until.items()])
            for name in (*CANONICAL, LEDGER):
                _replace(connection, schema, name, there=name in written or name == LEDGER)
    except psycopg.Error as error:
        # The message may quote a value; its class and code do not.
        said = f"{type(error).__name__} ({error.sqlstate})"
        raise BadData(f"PostgreSQL refused to fill schema {schema!r}, nothing was changed: {said}") from None
    return written


def identities_of(customer_id: str, address: str) -> set[str]:
    """All ids under which the schema knows a person: the one given, those merged into it and those it was merged into. Raises
    `NoWarehouse`."""
    connection, schema = _connected(address)
    merged = sql.SQL(
        """WITH RECURSIVE merged AS (SELECT customer_id COLLATE "C" AS one, merged_into COLLATE "C" AS other FROM {}),
        pairs AS (SELECT one, other FROM merged UNION SELECT other, one FROM merged),
        known AS (SELECT %s::text COLLATE "C" AS one UNION SELECT other FROM known JOIN pairs USING (one) WHERE other IS NOT NULL)
        SELECT one FROM known"""
    ).format(sql.Identifier(schema, "customers"))
    with connection, _told(schema, "to say who is who"):
        return {str(row[0]) for row in connection.execute(merged, [customer_id])}


def forget(persons: Collection[str], address: str) -> int | None:
    """Delete the rows of these persons, and their ids where others' rows name them, in one transaction; what the schema holds gets
    another digest. Returns how many rows went, None where the database does not let us delete. Raises `NoWarehouse`."""
    connection, schema = _connected(address)
    asked, gone, named = [sorted(persons)], 0, 0
    try:
        with connection, _told(schema, "to delete"), connection.transaction():
            for source in CANONICAL.values():
                table = sql.Identifier(schema, source.name)
                if not _there(connection, schema, source.name):
                    continue
                gone += _changed(
                    connection, "DELETE FROM {0} WHERE {1} = ANY(%s)", table, "customer_id", asked
                )
                for column in source.naming_customers[1:]:
                    named += _changed(connection, "UPDATE {0} SET {1} = NULL WHERE {1} = ANY(%s)", table, column, asked)  # fmt: skip
            if (gone or named) and _there(connection, schema, LEDGER):
                anew = sql.SQL("UPDATE {} SET digest = %s").format(sql.Identifier(schema, LEDGER))
                connection.execute(anew, [uuid.uuid4().hex])
    except NOT_OURS:
        return None
    return gone


@contextmanager
def _told(schema: str, what: str) -> Iterator[None]:
    """What the server refuses, without the values that its message may quote."""
    try:
        yield
    except NOT_OURS:
        raise
    except psycopg.Error as error:
        said = f"{type(error).__name__} ({error.sqlstate})"
        raise NoWarehouse(f"PostgreSQL refused {what} in schema {schema!r}: {said}") from None


def _there(connection: Any, schema: str, name: str) -> bool:
    found = connection.execute("SELECT to_regclass(format('%%I.%%I', %s::text, %s::text))", [schema, name])
    return found.fetchone()[0] is not None


def _changed(connection: Any, statement: str, table: sql.Identifier, column: str, asked: list[Any]) -> int:
    done = connection.execute(sql.SQL(statement).format(table, sql.Identifier(column)), asked)
    return int(done.rowcount)


def _fill(connection: Any, schema: str, name: str, rows: pa.RecordBatchReader) -> int:
    source, table = CANONICAL[name], sql.Identifier(schema, f"{name}__new")
    types = {"string": 'text COLLATE "C"', "int64": "bigint", "boolean": "boolean", "timestamp": "timestamp"}
    columns = [
        sql.SQL("{} {}").format(
            sql.Identifier(c.name), sql.SQL(types[c.type] + (" NOT NULL" if c.required else ""))
        )
        for c in source.columns
    ]
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(", ").join(columns)))
    with connection.cursor() as cursor:
        with cursor.copy(COPY_FROM.format(table)) as copy:
            for block in as_csv(rows):
                copy.write(block)
        written: int = cursor.rowcount
    connection.execute(sql.SQL("CREATE INDEX ON {} (customer_id, happened_at)").format(table))
    connection.execute(sql.SQL("ANALYZE {}").format(table))
    return written


def _state(connection: Any, schema: str, stated: list[tuple[str, datetime, str, str]]) -> None:
    table = sql.Identifier(schema, f"{LEDGER}__new")
    columns = sql.SQL(
        "source text PRIMARY KEY, complete_until timestamp NOT NULL, digest text NOT NULL, "
        "without_consents text NOT NULL"
    )
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, columns))
    with connection.cursor() as cursor:
        cursor.executemany(sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s)").format(table), stated)


def _replace(connection: Any, schema: str, name: str, *, there: bool) -> None:
    """The new table under the name of the old one; a source no longer there disappears."""
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(schema, name)))
    if there:
        new = sql.Identifier(schema, f"{name}__new")
        connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(new, sql.Identifier(name)))
