"""What everyone's features need at a date, from what they needed at another one, where that is exact.

A need is a measure of rows. It stays what it was while a customer's rows are the same and none of them crosses
an edge that the measure draws in time; if it is an age, it grows by the seconds between.

    rows seen now ──► the same as then? no edge crossed? ──► yes: carried over ────┐
                                   └──► no: the customer is touched, measured anew ─┴──► the needs of now

That rows are the same is not believed but compared, by a fingerprint of every column that is read: late rows,
corrections, deletions and a whole new delivery are all seen. Equality with measuring everyone is a law of the
tests.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import ibis.expr.types as ir

from features import timeline
from features.cohorts import everyone
from features.contract import SQL_TYPES, literal, quoted
from features.needs import Need
from features.passes import KEYS
from features.planner import needs_table, owned
from features.sources import CANONICAL
from features.state import Kept
from features.warehouse import Warehouse

__all__ = ["Group", "Night", "Touched", "groups_of"]

# The needs of one reach measured apart read fewer rows in more queries. Below so many rows, one query is faster.
ROWS_WORTH_APART = 200_000
MOMENTS, SEEN = "nightly moments", "nightly seen"

Edge = tuple[str, int | None]  # a column ("" is the row's age) and days: where a row goes in or out by itself
Reach = tuple[Edge, ...]
OF_THE_ROWS = frozenset(
    {"count", "sum", "distinct", "step_count", "step_sum", "step_square_sum", "step_max", "change_count"}
)


@dataclass(frozen=True)
class Group:
    """What is needed of one source's rows, of those that name the customer in one of their columns."""

    source: str
    owner: str
    needs: tuple[Need, ...]

    @property
    def name(self) -> str:
        return self.source if self.owner == "customer_id" else f"{self.source} by {self.owner}"

    @property
    def file(self) -> str:
        return f"{self.name.replace(' ', '-')}.parquet"

    @property
    def columns(self) -> list[str]:
        """All that its needs read, and what puts rows in order."""
        read = frozenset().union(*(need.columns for need in self.needs))
        return sorted(read | {CANONICAL[self.source].key, "happened_at", "known_at"})

    @property
    def reaches(self) -> dict[Reach | None, list[Need]]:
        """Its needs by the edges they draw; None for those that can only be measured anew."""
        found: dict[Reach | None, list[Need]] = {}
        for need in self.needs:
            found.setdefault(None if drift(need) is None else reach(need), []).append(need)
        return found


@dataclass(frozen=True)
class Touched:
    """Of the `customers` who have rows in a group, those `measured` anew for at least one need."""

    customers: int
    measured: int


@dataclass(frozen=True)
class _Part:
    """Needs that are measured together, for the customers marked by a column of what is seen."""

    needs: list[Need]
    mark: str
    customers: int


def groups_of(needs: Iterable[Need]) -> list[Group]:
    """The needs by source and owner."""
    found: dict[tuple[str, str], list[Need]] = {}
    for need in needs:
        found.setdefault((need.source, need.selection.owner), []).append(need)
    return [Group(source, owner, tuple(some)) for (source, owner), some in found.items()]


def reach(need: Need) -> Reach:
    """The edges at which rows enter or leave it with nothing but time passing."""
    window: Reach = () if need.days is None else (("", need.days),)
    return window if need.selection.ahead is None else (*window, need.selection.ahead)


def drift(need: Need) -> int | None:
    """By how much it changes with each second that passes over the same rows while none crosses an edge: 1 for
    an age, -1 for the time until a date, 0 for most. None when that cannot be told."""
    if need.how == "change_age":
        return 1
    if need.how in OF_THE_ROWS:
        return None if (need.how, need.column) == ("sum", "age_s") else 0
    if need.how in ("min", "max", "latest"):
        return 1 if need.column == "age_s" else -1 if need.reads_a_timestamp else 0
    return None


@dataclass(frozen=True)
class Night:
    """The needs of one date, written into `folder`, group by group; `before` is what is kept of another date.

    `moments` are a table in the warehouse, all of them at `as_of`. The warehouse is a DuckDB.
    """

    warehouse: Warehouse
    moments: ir.Table
    as_of: datetime
    folder: Path
    before: Kept | None = None

    @classmethod
    @contextmanager
    def begun(
        cls, warehouse: Warehouse, as_of: datetime, folder: Path, before: Kept | None
    ) -> Iterator["Night"]:
        """The night of everyone known before `as_of`; its tables in the warehouse go when it ends."""
        folder.mkdir()
        moments = warehouse.engine.create_table(MOMENTS, everyone(warehouse, [as_of]), temp=True)
        try:
            yield cls(warehouse, moments, as_of, folder, before)
        finally:
            warehouse.engine.raw_sql(f"DROP TABLE IF EXISTS {quoted(MOMENTS)}")

    def needs(self, groups: Iterable[Group]) -> ir.Table:
        """What was written: one row per moment with a column per need."""
        found = self.moments
        for group in groups:
            file = self.warehouse.engine.read_parquet(
                self.folder / group.file, table_name=f"nightly {group.name}"
            )
            found = found.left_join(file.drop("fingerprint"), "customer_id").drop("customer_id_right")
        return found

    def measure(self, group: Group) -> Touched:
        """Write what the group needs: a row for each customer who has rows, with their fingerprint."""
        self._look(group)
        try:
            customers, measured, rows, *by_reach = self._one(
                "count(*), count_if(somehow), coalesce(sum(rows) FILTER (somehow), 0)"
                + "".join(f", count_if({_mark(n)})" for n in range(len(group.reaches)))
            )
            parts = [_Part(list(group.needs), "somehow", measured)]
            if self.before and rows >= ROWS_WORTH_APART:
                parts = [
                    _Part(needs, _mark(n), by_reach[n]) for n, needs in enumerate(group.reaches.values())
                ]
            self._write(group, parts)
        finally:
            self._run(f"DROP TABLE IF EXISTS {quoted(SEEN)}")
        return Touched(customers, measured)

    def _look(self, group: Group) -> None:
        """Per customer, what rows there are and whether the needs of each reach are touched."""
        rows = timeline.past(self.moments, owned(self.warehouse.tables[group.source], group.owner))
        edges = sorted({edge for found in group.reaches for edge in found or ()}, key=repr)
        if self.before:
            rows = _crossing(rows, edges, self.before.as_of)
        columns = ", ".join(quoted(name) for name in group.columns)
        # Hashed twice, so that two rows which swap values do not cancel in the sum.
        print_of_rows = f"CAST(sum(hash(hash({columns}))) % 18446744073709551616 AS UBIGINT) AS fingerprint"
        crossed = [
            f"coalesce(bool_or({quoted(_name(edge))}), false) AS {quoted(_name(edge))}" for edge in edges
        ]
        found = ", ".join(
            ["customer_id, as_of, count(*) AS rows", print_of_rows, *(crossed if self.before else [])]
        )
        seen = f"SELECT {found} FROM ({self._sql(rows)}) GROUP BY customer_id, as_of"
        marks = [f"{self._touched(edges)} AS {_mark(n)}" for n, edges in enumerate(group.reaches)]
        somehow = " OR ".join(_mark(n) for n in range(len(marks)))
        kept = f" LEFT JOIN ({self._kept(group)}) kept USING (customer_id)" if self.before else ""
        self._run(
            f"CREATE OR REPLACE TEMP TABLE {quoted(SEEN)} AS SELECT seen.*, {', '.join(marks)}, "
            f"{somehow} AS somehow FROM ({seen}) seen{kept}"
        )

    def _touched(self, edges: Reach | None) -> str:
        if not self.before or edges is None:
            return "true"
        tests = [
            "kept.fingerprint IS DISTINCT FROM seen.fingerprint",
            *(quoted(_name(edge)) for edge in edges),
        ]
        return f"({' OR '.join(tests)})"

    def _write(self, group: Group, parts: list[_Part]) -> None:
        values, joins = ["seen.customer_id", "seen.fingerprint"], []
        for n, part in enumerate(parts):
            types: dict[str, str] = {}
            if part.customers or not self.before:
                measured = self._measured(part)
                types = {need.name: SQL_TYPES[str(measured[need.name].type())] for need in part.needs}
                joins.append(f"LEFT JOIN ({self._sql(measured)}) part{n} USING (customer_id)")
            values += [self._value(need, part, f"part{n}", types) for need in part.needs]
        joins += [f"LEFT JOIN ({self._kept(group)}) kept USING (customer_id)"] if self.before else []
        target = literal(str(self.folder / group.file))
        self._run(
            f"COPY (SELECT {', '.join(values)} FROM {quoted(SEEN)} seen {' '.join(joins)}) "
            f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )

    def _measured(self, part: _Part) -> ir.Table:
        seen = self.warehouse.engine.table(SEEN, database=("temp", "main"))
        moments = seen.filter(seen[part.mark]).select(*KEYS)
        return needs_table(moments, part.needs, self.warehouse.tables, timeline.past)

    def _value(self, need: Need, part: _Part, alias: str, types: dict[str, str]) -> str:
        """A column of the file: measured, carried over, or one of them customer by customer. Engines widen sums,
        so that what is measured is cast to the declared type."""
        name = quoted(need.name)
        carried = f"kept.{name}"
        if self.before and (
            moved := (drift(need) or 0) * int((self.as_of - self.before.as_of).total_seconds())
        ):
            carried += f" + ({moved})"
        if not types:
            return f"{carried} AS {name}"
        measured = f"CAST({alias}.{name} AS {types[need.name]})"
        if not self.before:
            return f"{measured} AS {name}"
        return f"CASE WHEN seen.{part.mark} THEN {measured} ELSE {carried} END AS {name}"

    def _kept(self, group: Group) -> str:
        assert self.before
        return f"SELECT * FROM read_parquet('{literal(str(self.before.folder / group.file))}')"

    def _sql(self, expression: ir.Table) -> str:
        return str(self.warehouse.engine.compile(expression))

    def _run(self, sql: str) -> None:
        self.warehouse.engine.raw_sql(sql)

    def _one(self, values: str) -> tuple[int, ...]:
        return tuple(self.warehouse.engine.raw_sql(f"SELECT {values} FROM {quoted(SEEN)}").fetchone())


def _crossing(rows: ir.Table, edges: Iterable[Edge], then: datetime) -> ir.Table:
    """The rows with a column per edge: whether they lie on another side of it than at the moment `then`."""
    now = rows.mutate(**{f"now {_name(edge)}": _inside(rows, edge) for edge in edges})
    earlier = timeline.seen_from(now, then)
    moved = {_name(edge): now[f"now {_name(edge)}"] != _inside(earlier, edge) for edge in edges}
    return earlier.mutate(**moved)


def _inside(rows: ir.Table, edge: Edge) -> ir.BooleanValue:
    column, days = edge
    if column:
        return timeline.within_next(rows, column, days)
    assert days is not None
    return timeline.within(rows, days)


def _name(edge: Edge) -> str:
    column, days = edge
    return f"edge {column or 'age'} {days}"


def _mark(number: int) -> str:
    return f"touched_{number}"
