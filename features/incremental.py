"""What everyone's features need at a date, from what they needed at another one, where that is exact.

A need is a measure of rows. It stays what it was while a customer's rows are the same and none of them crosses
an edge that the measure draws in time; if it is an age, it grows by the seconds between.

    rows seen now ──► the same as then? no edge crossed? ──► yes: carried over ────┐
                                   └──► no: the customer is touched, measured anew ─┴──► the needs of now

That rows are the same is not believed but compared, by a fingerprint of every column that is read: late rows,
corrections, deletions and a whole new delivery are all seen. Equality with measuring everyone is a law of the
tests. It works in pieces of customers, so that memory holds the rows of one piece.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import ibis
import ibis.expr.types as ir

from features import timeline
from features.begun import Begun, Touched
from features.contract import SQL_TYPES, literal, quoted
from features.durable import flush
from features.needs import Need
from features.passes import KEYS
from features.pieces import INSIDE, narrowed, pieces
from features.planner import needs_table, owned
from features.progress import followed
from features.reach import Group, Reach, crossing, drift, edge_name
from features.sources import CANONICAL
from features.state import Kept
from features.warehouse import Warehouse

__all__ = ["Night"]

# The needs of one reach measured apart read fewer rows in more queries. Below so many rows, one query is faster.
ROWS_WORTH_APART = 200_000
MOMENTS, SEEN, ROWS = "nightly moments", "nightly seen", "nightly rows"


@dataclass(frozen=True)
class _Part:
    """Needs that are measured together, for the `customers` marked by a column of what is seen."""

    needs: list[Need]
    mark: str
    customers: int

    def rows(self, marked: ir.Table) -> ir.BooleanValue:
        """Which rows it measures: of its customers, as far back as it looks. A row before that may still be what
        the oldest of them is compared with."""
        days = [need.days for need in self.needs]
        if None in days or any(need.compares for need in self.needs):
            return marked[self.mark]
        return marked[self.mark] & timeline.within(marked, max(some for some in days if some is not None))


@dataclass(frozen=True)
class Night:
    """The needs of one date, written into the folder of a night that was `begun`, a part per piece of customers and group;
    `before` is what is kept of another date.

    `held` is everything and `warehouse` what of it is about the piece at work, like `moments`, all of them at
    `as_of`; the engine is a DuckDB.
    """

    held: Warehouse
    warehouse: Warehouse
    moments: ir.Table
    as_of: datetime
    made: Begun
    before: Kept | None = None
    compiled: dict[tuple[str, ...], str] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def begun(
        cls, warehouse: Warehouse, people: ir.Table, as_of: datetime, made: Begun, before: Kept | None
    ) -> Iterator["Night"]:
        """The night of these moments, each a customer at `as_of`; its tables in the warehouse go when it ends."""
        warehouse.engine.create_table(MOMENTS, people, temp=True)
        moments = warehouse.engine.sql(f"SELECT * FROM {quoted(MOMENTS)} WHERE {INSIDE}")
        try:
            yield cls(warehouse, narrowed(warehouse), moments, as_of, made, before)
        finally:
            for name in (MOMENTS, SEEN, ROWS):
                warehouse.engine.raw_sql(f"DROP TABLE IF EXISTS {quoted(name)}")

    @property
    def _written(self) -> Kept:
        return Kept(self.made.needs, self.as_of)

    def needs(self, groups: Iterable[Group]) -> ir.Table:
        """What was written of a piece: one row per moment with a column per need."""
        found = self.moments
        for group in groups:
            parts = self.warehouse.engine.sql(_content(self._written, group))
            found = found.left_join(parts.drop("fingerprint"), "customer_id").drop("customer_id_right")
        return found

    def measure(self, groups: Iterable[Group], customers_per_piece: int) -> dict[str, Touched]:
        """Write what the groups need: a row for each customer who has rows, with their fingerprint. Pieces that were finished
        before this night broke off are not measured again."""
        asked = list(groups)
        touched = {group.name: Touched(0, 0) for group in asked}
        for group in asked:
            self._written.parts(group.name).mkdir(parents=True, exist_ok=True)
        total = self.held.tables["customers"].customer_id.nunique().execute()
        some = pieces(self.held, customers_per_piece)
        for number, _ in enumerate(followed(some, "measured", total, lambda customers: customers)):
            found = self.made.measured(number)
            if found is None:
                found = {group.name: self._measure(group, f"part-{number:05d}.parquet") for group in asked}
                self.made.note(number, found)
            for name, counts in found.items():
                touched[name] += counts
        return touched

    def _measure(self, group: Group, part: str) -> Touched:
        self._look(group)
        marks = [_mark(n) for n in range(len(group.reaches))]
        counts = ", ".join(f"count(*) FILTER ({mark})" for mark in marks)
        customers, measured, rows, *by_reach = self._one(
            f"count(*), count(*) FILTER (somehow), coalesce(sum(rows) FILTER (somehow), 0), {counts}"
        )
        parts = [_Part(list(group.needs), "somehow", measured)]
        if self.before and rows >= ROWS_WORTH_APART:
            parts = [_Part(*each) for each in zip(group.reaches.values(), marks, by_reach, strict=True)]
        if self.before:
            found = self._carried(group, [part for part in parts if part.customers], self.before)
        else:
            found = self._anew(group)
        file = self._written.parts(group.name) / part
        self._run(f"COPY ({found}) TO '{literal(str(file))}' (FORMAT parquet, COMPRESSION zstd)")
        flush(file)
        return Touched(customers, measured)

    def _look(self, group: Group) -> None:
        """Per customer, what rows there are and whether the needs of each reach are touched."""
        columns = ", ".join(quoted(name) for name in group.columns)
        found = [
            "customer_id, as_of, count(*) AS rows",
            # Hashed twice, so that two rows which swap values do not cancel in the sum.
            f"CAST(sum(hash(hash({columns}))) % 18446744073709551616 AS UBIGINT) AS fingerprint",
        ]
        marks, kept = [f"true AS {_mark(n)}" for n in range(len(group.reaches))], ""
        if self.before:
            names = [quoted(edge_name(edge)) for edge in group.edges]
            found += [f"coalesce(bool_or({name}), false) AS {name}" for name in names]
            marks = [f"{_touched(reach)} AS {_mark(n)}" for n, reach in enumerate(group.reaches)]
            kept = f" LEFT JOIN ({_content(self.before, group)}) kept USING (customer_id)"
        rows = self._sql(lambda: self._past(group), "past", group.name)
        seen = f"SELECT {', '.join(found)} FROM ({rows}) GROUP BY customer_id, as_of"
        somehow = " OR ".join(_mark(n) for n in range(len(marks)))
        self._create(
            SEEN, f"SELECT seen.*, {', '.join(marks)}, {somehow} AS somehow FROM ({seen}) seen{kept}"
        )

    def _past(self, group: Group) -> ir.Table:
        """The group's rows, with their edges when there is a night to compare with."""
        rows = timeline.past(self.moments, owned(self.warehouse.tables[group.source], group.owner))
        return crossing(rows, group.edges, self.before.as_of) if self.before else rows

    def _anew(self, group: Group) -> str:
        """The needs, all measured."""
        values = {need.name: f"found.{quoted(need.name)}" for need in group.needs}
        found = self._sql(
            lambda: needs_table(self.moments, group.needs, self.warehouse.tables, timeline.past),
            "anew",
            group.name,
        )
        return _needs(group, values, [f"LEFT JOIN ({found}) found USING (customer_id)"])

    def _carried(self, group: Group, parts: list[_Part], before: Kept) -> str:
        """The needs that are kept, replaced by measured ones where a customer is touched."""
        elapsed_s = int((self.as_of - before.as_of).total_seconds())
        values = {need.name: _moved(need, elapsed_s) for need in group.needs}
        joins = [f"LEFT JOIN ({_content(before, group)}) kept USING (customer_id)"]
        if parts:
            marks = [part.mark for part in parts]
            staged = self._sql(partial(self._staged, group, parts), "staged", group.name, *marks)
            self._create(ROWS, staged)
        for n, part in enumerate(parts):
            measured = self._sql(partial(self._measured, part), "part", group.name, *marks, part.mark)
            joins.append(f"LEFT JOIN ({measured}) part{n} USING (customer_id)")
            for need in part.needs:
                name = quoted(need.name)
                values[need.name] = f"CASE WHEN {part.mark} THEN part{n}.{name} ELSE {values[need.name]} END"
        return _needs(group, values, joins)

    def _staged(self, group: Group, parts: list[_Part]) -> ir.Table:
        """The rows that the parts measure, to be read once."""
        seen = self._temporary(SEEN)
        marks = sorted({part.mark for part in parts})
        touched = seen.filter(seen.somehow).select(*KEYS, *marks)
        rows = timeline.past(touched, owned(self.warehouse.tables[group.source], group.owner))
        rows = rows.filter(ibis.or_(*(part.rows(rows) for part in parts)))
        return rows.select(*KEYS, *group.columns, "age_s", "day", *marks)

    def _measured(self, part: _Part) -> ir.Table:
        rows = self._temporary(ROWS)
        rows = rows.filter(part.rows(rows))
        seen = self._temporary(SEEN)
        moments = seen.filter(seen[part.mark]).select(*KEYS)
        tables = {need.source: rows for need in part.needs}
        return needs_table(moments, part.needs, tables, lambda _, found: found)

    def _temporary(self, name: str) -> ir.Table:
        return self.warehouse.engine.table(name, database=("temp", "main"))

    def _create(self, name: str, content: str) -> None:
        self._run(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS {content}")

    def _sql(self, expression: Callable[[], ir.Table], *what: str) -> str:
        """A query, compiled for the first piece that asks it: that takes longer than running it on few rows."""
        if what not in self.compiled:
            self.compiled[what] = str(self.warehouse.engine.compile(expression()))
        return self.compiled[what]

    def _run(self, sql: str) -> None:
        self.warehouse.engine.raw_sql(sql)

    def _one(self, values: str) -> tuple[int, ...]:
        return tuple(self.warehouse.engine.raw_sql(f"SELECT {values} FROM {quoted(SEEN)}").fetchone())


def _touched(reach: Reach | None) -> str:
    """Whether needs of that reach must be measured anew: the rows are not the same, or one crossed an edge."""
    if reach is None:
        return "true"
    crossed = (quoted(edge_name(edge)) for edge in reach)
    return f"({' OR '.join(['kept.fingerprint IS DISTINCT FROM seen.fingerprint', *crossed])})"


def _moved(need: Need, elapsed_s: int) -> str:
    """The kept value, so many seconds later."""
    seconds = (drift(need) or 0) * elapsed_s
    return f"kept.{quoted(need.name)} + ({seconds})" if seconds else f"kept.{quoted(need.name)}"


def _needs(group: Group, values: Mapping[str, str], joins: Iterable[str]) -> str:
    """A group's needs of those seen. Engines widen sums, so that every value is cast to its declared type."""
    cast = [f"CAST({values[need.name]} AS {_type(need)}) AS {quoted(need.name)}" for need in group.needs]
    return (
        f"SELECT customer_id, seen.fingerprint, {', '.join(cast)} FROM {quoted(SEEN)} seen {' '.join(joins)}"
    )


def _type(need: Need) -> str:
    if need.how in ("min", "max", "latest") and need.column not in ("age_s", "day"):
        declared = CANONICAL[need.source][need.column].type
        return SQL_TYPES["int64" if declared == "timestamp" else declared]
    return SQL_TYPES["int64"]


def _content(kept: Kept, group: Group) -> str:
    """What is kept of the piece, whatever the pieces of that night were."""
    return f"SELECT * FROM read_parquet('{literal(str(kept.parts(group.name)))}/*.parquet') WHERE {INSIDE}"


def _mark(number: int) -> str:
    return f"touched_{number}"
