"""Of whom no features are computed: whoever does not allow the service and profiling, without which there is no score at all.

    barred = Barred.at(as_of, warehouse)
    barred.allowed(people, engine)          of these moments, those whose features may be computed
    barred.among(batches, after, schema)    their rows, with those of the barred between them: nothing but the reason

What the tables say at the moment counts, and what was told since they were loaded (`features.standing`). A source that was
collected for another purpose is withheld, for that purpose, from the features of whoever does not allow it.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Protocol

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis import BaseBackend

from features.bulk import rows_of
from features.cohorts import COHORTS, everyone, excluded_column
from features.consent import BASIS, CONSENTS, consents_of, needed_for, words_for
from features.feature import Feature
from features.ids import after as behind
from features.ids import before
from features.planner import sources_of
from features.sources import CANONICAL
from features.standing import ERASED, Standing
from features.warehouse import Warehouse

__all__ = ["COLUMNS", "SAID", "Barred", "Reasons", "features_held", "reasons_told", "withheld"]

ALWAYS = needed_for(BASIS)
COLUMNS = {purpose: excluded_column(cohort.name) for purpose, cohort in CONSENTS.items()}
"""By purpose, the column of feature rows that holds why a customer does not allow it."""
SAID = pa.schema([("customer_id", pa.string()), *((name, pa.string()) for name in COLUMNS.values())])
ROWS_AT_ONCE = 65_536

Reasons = Mapping[str, str]
"""By purpose, why a customer does not allow it."""


def reasons_told(states: Mapping[str, str]) -> Reasons:
    """In words, what a customer took back, given the states of `Taken`."""
    if ERASED in states:
        return dict.fromkeys(COLUMNS, ERASED)
    return {purpose: words_for(state, purpose) for purpose, state in states.items()}


@dataclass(frozen=True)
class Barred:
    """Who does not allow something at a moment: `reasons` has a row for each, by `SAID`, in the order of customers."""

    reasons: pa.Table

    @classmethod
    def at(cls, as_of: datetime, warehouse: Warehouse) -> "Barred":
        """Those known before a moment, by the tables and by what was told since. Raises `NoConsents` when nothing says who allows
        what, `LedgerUnreadable` when what was told cannot be read."""
        people = everyone(warehouse, [as_of])
        batches = rows_of(people, warehouse, [], consents_of(warehouse))
        said = [_refusing(batch.select(SAID.names).cast(SAID)) for batch in batches]
        found = pa.Table.from_batches(said, SAID)
        taken = Standing.here().now()
        if taken.no:
            known = warehouse.engine.to_pyarrow(people.select("customer_id"))["customer_id"].to_pylist()
            told = {one: reasons_told(states) for one, states in taken.told(known)}
            found = _with_told(found, told)
        return cls(found.combine_chunks())

    @classmethod
    def of(cls, answers: pa.Table, told: Mapping[str, Reasons]) -> "Barred":
        """The same, given what the tables answer of some customers (`SAID` among its columns), each once."""
        return cls(_with_told(_refusing(answers.select(SAID.names).cast(SAID)), told))

    @property
    def digest(self) -> str:
        """The same if and only if the same customers allow the same."""
        told = hashlib.sha256()
        for batch in self.reasons.combine_chunks().to_batches():
            told.update(batch.serialize())
        return told.hexdigest()

    @cached_property
    def nobody(self) -> pa.Table:
        """Those of whom nothing is computed."""
        return self.reasons.filter(_any(self.reasons, ALWAYS)).combine_chunks()

    def allowed(self, people: ir.Table, engine: BaseBackend) -> ir.Table:
        """Of these moments, those of customers who are not barred."""
        return (
            people.anti_join(_held(self.nobody, "barred", engine), "customer_id")
            if len(self.nobody)
            else people
        )

    def narrowed(self, warehouse: Warehouse) -> Warehouse:
        """The warehouse where sources collected for another purpose hold nothing of those who do not allow it."""
        tables = dict(warehouse.tables)
        for name, table in warehouse.tables.items():
            purpose = CANONICAL[name].purpose
            if purpose not in ALWAYS:
                gone = self.reasons.filter(self.reasons[COLUMNS[purpose]].is_valid())
                if len(gone):
                    tables[name] = table.anti_join(
                        _held(gone, f"barred from {purpose}", warehouse.engine), "customer_id"
                    )
        return replace(warehouse, tables=tables)

    def among(
        self,
        rows: Iterable[pa.RecordBatch],
        after: str,
        schema: Callable[[], pa.Schema],
        withheld: Mapping[str, list[str]],
    ) -> Iterator[pa.RecordBatch]:
        """Rows in the order of customers, those of the barred between them, behind `after`. Features are withheld as `withheld`
        tells; `schema` is asked when there are no rows."""
        ids = self.nobody["customer_id"].combine_chunks()
        place, shape = behind(ids, after), None
        for batch in rows:
            if batch.num_rows:
                shape = batch.schema
                end = behind(ids, batch.column(0)[-1].as_py())
                kept = self._withheld(pa.Table.from_batches([batch]), withheld)
                yield from _joined(kept, self.nobody.slice(place, end - place)).to_batches()
                place = end
        for begin in range(place, len(ids), ROWS_AT_ONCE):
            yield from _silent(self.nobody.slice(begin, ROWS_AT_ONCE), shape or schema()).to_batches()

    def beside(self, rows: pa.Table, withheld: Mapping[str, list[str]]) -> pa.Table:
        """The same of a table of rows, in one piece."""
        return _joined(self._withheld(rows, withheld), self.nobody)

    def _withheld(self, rows: pa.Table, withheld: Mapping[str, list[str]]) -> pa.Table:
        """Rows, in the order of customers, of those who are not barred, without what they do not allow."""
        if not len(rows):
            return rows
        schema, owners, known = rows.schema, rows["customer_id"], self.reasons["customer_id"]
        begin = before(known, owners[0].as_py())
        near = self.reasons.slice(begin, behind(known, owners[-1].as_py()) - begin)
        place = pc.index_in(owners, near["customer_id"])
        columns: list[pa.ChunkedArray] = []
        for purpose, names in withheld.items():
            why = near[COLUMNS[purpose]].take(place)
            gone = why.is_valid()
            if not pc.any(gone).as_py():
                continue
            columns = columns or rows.columns
            for name in [COLUMNS[purpose], *names]:
                number = schema.get_field_index(name)
                if number >= 0:
                    nothing = why if name in _ANSWERS else pa.scalar(None, columns[number].type)
                    columns[number] = pc.if_else(gone, nothing, columns[number])
        return pa.Table.from_arrays(columns, schema=schema) if columns else rows


def withheld(features: Iterable[Feature]) -> dict[str, list[str]]:
    """By purpose that not every use needs: the features, and the answers of cohorts, that read a source collected for it."""
    found: dict[str, list[str]] = {purpose: [] for purpose in COLUMNS if purpose not in ALWAYS}
    read = {feature.name: sources_of(feature.definition) for feature in features}
    read |= {excluded_column(cohort.name): cohort.sources for cohort in COHORTS.values()}
    for name, sources in read.items():
        for purpose in {CANONICAL[source].purpose for source in sources} & found.keys():
            found[purpose].append(name)
    return found


class Night(Protocol):
    """Feature rows of a night, as `features.nightly` has them."""

    @property
    def fingerprints(self) -> Mapping[str, str]: ...

    @property
    def batches(self) -> Sequence[pa.RecordBatch]: ...


def features_held(night: Night) -> tuple[int, int, int]:
    """Of rows that were stored: how many customers do not allow features, of how many of these there are some all the same, and how
    many allowed it then and took it back since. Raises `LedgerUnreadable`."""
    barred = held = since = 0
    taken = Standing.here().now()
    for batch in night.batches:
        no = _any(batch, ALWAYS)
        rows = batch.filter(no)
        barred += rows.num_rows
        some = pa.repeat(pa.scalar(False), rows.num_rows)
        for name in night.fingerprints:
            some = pc.or_(some, pc.is_valid(rows.column(name)))
        held += pc.sum(some).as_py() or 0
        if taken.no:
            others = batch.filter(pc.invert(no)).column("customer_id").to_pylist()
            since += len(taken.refusals(others, BASIS))
    return barred, held, since


_ANSWERS = {*COLUMNS.values(), *(excluded_column(name) for name in COHORTS)}


def _any(said: pa.Table | pa.RecordBatch, purposes: Iterable[str]) -> pa.Array:
    return pc.is_valid(pc.coalesce(*(said[COLUMNS[purpose]] for purpose in purposes)))


def _refusing(said: pa.RecordBatch | pa.Table) -> pa.RecordBatch | pa.Table:
    return said.filter(_any(said, COLUMNS))


def _with_told(said: pa.Table, told: Mapping[str, Reasons]) -> pa.Table:
    """The same, where what was told decides over what the tables say."""
    if not told:
        return said
    are = pc.is_in(said["customer_id"], pa.array(list(told), pa.string()))
    rows = {row["customer_id"]: row for row in said.filter(are).to_pylist()}
    found = [
        rows.get(one, {"customer_id": one}) | {COLUMNS[purpose]: why for purpose, why in reasons.items()}
        for one, reasons in told.items()
    ]
    both = pa.concat_tables([said.filter(pc.invert(are)), pa.Table.from_pylist(found, SAID)])
    return both.sort_by("customer_id")


def _held(who: pa.Table, name: str, engine: BaseBackend) -> ir.Table:
    """Customers as a table of the engine. DuckDB is also asked in SQL of our own, which sees no tables of Ibis in memory."""
    ids = who.select(["customer_id"])
    if engine.name == "duckdb":
        return engine.create_table(name, ids, temp=True, overwrite=True)
    return ibis.memtable(ids)


def _joined(rows: pa.Table, nobody: pa.Table) -> pa.Table:
    if not len(nobody):
        return rows
    both = pa.concat_tables([rows, _silent(nobody, rows.schema)])
    return both.sort_by("customer_id").combine_chunks()


def _silent(nobody: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows that hold the reason, as the answer to every question who may be asked about, and else nothing."""
    why = pc.coalesce(*(nobody[COLUMNS[purpose]] for purpose in ALWAYS))
    columns = []
    for field in schema:
        if field.name in nobody.column_names:
            columns.append(nobody[field.name])
        elif field.name in _ANSWERS:
            columns.append(why)
        else:
            columns.append(pa.nulls(len(nobody), field.type))
    return pa.table(columns, schema=schema)
