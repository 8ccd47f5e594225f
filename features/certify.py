"""The leak certificate: proof that no feature used what was not known at its moment.

    python -m features.certify [--as-of 2024-06-01 ...] [--attributes FOLDER] [--to certificate.json]

For each moment the tables are cut: the rows known by then, and nothing else, are copied into an engine of their
own, everything is computed again there, and the answers are held against those from the whole warehouse. One
value that differs, for one customer, is a leak, and is named. Attributes are examined by `features.leaks`.

    whole warehouse ──► past(moment) ──► answers ─┐
         └─ rows held at the moment ──► engine ──► answers ─┴─► equal?  ──► Certificate
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import duckdb
import ibis
import ibis.expr.types as ir
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer
from rich.console import Console

from features import timeline
from features.certificate import Certificate, Cut, Hunt, Mismatch
from features.cohorts import COHORTS, Cohort, everyone
from features.command import run
from features.consent import CONSENTS
from features.errors import LeakFound, UnknownMoment
from features.feature import Feature
from features.feature_set import available
from features.leaks import hunts_of_form
from features.planner import compute
from features.progress import followed
from features.rows import Definition, needs_of
from features.sources import CANONICAL
from features.warehouse import Warehouse, connect

__all__ = ["Recomputed", "certify", "default_moments"]

KEYS = ["customer_id", "as_of"]
MOST_CUSTOMERS = 20_000
DATES = 4


@dataclass(frozen=True)
class Recomputed:
    """The same definitions, compiled once, to be run on tables that hold only what was known."""

    definitions: Mapping[str, Definition]
    sources: tuple[str, ...]
    sql: str
    schema: pa.Schema

    @classmethod
    def of(cls, definitions: Mapping[str, Definition], sources: Iterable[str]) -> "Recomputed":
        names = tuple(sorted(sources))
        unbound = {name: ibis.table(CANONICAL[name].ibis_schema, name=name) for name in names}
        moments = ibis.table({"customer_id": "string", "as_of": "timestamp(6)"}, name="moments")
        answers = compute(moments, definitions, unbound, timeline.past).order_by("customer_id")
        return cls(definitions, names, ibis.to_sql(answers, dialect="duckdb"), answers.schema().to_pyarrow())

    @property
    def owners(self) -> dict[str, set[str]]:
        """Per source, the columns by which a row belongs to a customer."""
        found = {name: {"customer_id"} for name in self.sources}
        for definition in self.definitions.values():
            for need in needs_of(definition)[1]:
                found[need.source].add(need.selection.owner)
        return found

    def answers(self, customer_ids: Sequence[str], as_of: datetime, cut: Mapping[str, pa.Table]) -> pa.Table:
        """One row per customer known in the cut tables, by customer, from a database that holds nothing else."""
        known = pc.unique(cut["customers"]["customer_id"])
        asked = pa.array(sorted(set(customer_ids) & set(known.to_pylist())), pa.string())
        with duckdb.connect() as engine:
            engine.execute("SET TimeZone = 'UTC'; SET enable_external_access = false")
            engine.register(
                "moments", pa.table([asked, pa.array([as_of] * len(asked))], schema=timeline.MOMENTS)
            )
            for name, rows in cut.items():
                engine.register(name, rows)
            return engine.execute(self.sql).fetch_arrow_table().cast(self.schema)


def certify(
    warehouse: Warehouse,
    dates: Iterable[datetime],
    *,
    features: Sequence[Feature] | None = None,
    cohorts: Iterable[Cohort] | None = None,
    customers: int = MOST_CUSTOMERS,
    seed: int = 7,
    computed: pa.Table | None = None,
    hunts: Iterable[Hunt] = (),
) -> Certificate:
    """Cut, compute again and compare, at each date; default: every feature and cohort there is.

    Compared are all customers, or `customers` of them drawn with `seed`. `computed` holds answers that exist
    already (customer_id, as_of, features; those in the cohorts only), such as a training run's; without it they
    are computed here. `hunts` are added to the certificate as they are. Raises `UnknownMoment` for a date at
    which everything was known already: it would prove nothing.
    """
    chosen = available(warehouse, categories=True, sensitive=True) if features is None else list(features)
    asked = [
        c
        for c in ([*CONSENTS.values(), *COHORTS.values()] if cohorts is None else cohorts)
        if warehouse.has(c.sources)
    ]
    definitions: dict[str, Definition] = {feature.name: feature.definition for feature in chosen}
    for cohort in asked:
        definitions |= cohort.checks
    again = Recomputed.of(definitions, warehouse.tables)
    everybody = _customer_ids(warehouse)
    people = _drawn(everybody, customers, seed)
    only = None if len(people) == len(everybody) else people
    cuts: list[Cut] = []
    mismatches: list[Mismatch] = []
    for as_of in followed(sorted(set(dates)), "certified dates", len(set(dates)), lambda _: 1):
        tables, counts = _cut(warehouse, again, as_of, only)
        if not any(counts.removed.values()):
            raise UnknownMoment(f"everything was known before {as_of:%Y-%m-%d}: certify an earlier date")
        after = again.answers(people, as_of, tables)
        if computed is None:
            before = _answers(warehouse, definitions, as_of, only)
        else:
            before, after = _at(computed, as_of, people), _in_cohorts(after, asked)
        cuts.append(msgspec.structs.replace(counts, customers=len(before)))
        mismatches += _mismatches(before, after, as_of)
    return Certificate(
        warehouse=warehouse.digest,
        customers=len(people),
        of_customers=len(everybody),
        seed=seed,
        features={feature.name: feature.fingerprint for feature in chosen},
        cohorts=[cohort.name for cohort in asked],
        cuts=cuts,
        mismatches=mismatches,
        hunts=list(hunts),
    )


def default_moments(warehouse: Warehouse) -> list[datetime]:
    """Dates spread over the later two thirds of the time in which every source has rows, none of them at its end."""
    spans = []
    for events in warehouse.tables.values():
        known = events.aggregate(first=events.known_at.min(), last=events.known_at.max())
        spans += [span for span in warehouse.engine.to_pyarrow(known).to_pylist() if span["first"]]
    if not spans:
        raise UnknownMoment("the warehouse holds no rows: there is no moment to certify")
    first, last = max(span["first"] for span in spans), max(span["last"] for span in spans)
    return timeline.spread(first, last, DATES)


def _customer_ids(warehouse: Warehouse) -> list[str]:
    known = warehouse.tables["customers"].select("customer_id").distinct()
    return sorted(warehouse.engine.to_pyarrow(known)["customer_id"].to_pylist())


def _drawn(everybody: Sequence[str], most: int, seed: int) -> list[str]:
    """All customers, or so many of them, the same ones for the same seed."""
    if len(everybody) <= most:
        return list(everybody)
    drawn = np.random.default_rng(seed).choice(len(everybody), most, replace=False)
    return [everybody[place] for place in sorted(drawn)]


def _cut(
    warehouse: Warehouse, again: Recomputed, as_of: datetime, only: Sequence[str] | None
) -> tuple[dict[str, pa.Table], Cut]:
    """The tables as they lay there at a moment, copied out of the engine, and what was left behind."""
    tables, kept, removed = {}, {}, {}
    for name, owners in again.owners.items():
        source = CANONICAL[name]
        rows = _belonging(warehouse.tables[name].select(*source.column_names), owners, only)
        tables[name] = warehouse.engine.to_pyarrow(timeline.held_at(rows, as_of)).cast(source.arrow_schema)
        kept[name] = len(tables[name])
        removed[name] = int(warehouse.engine.execute(rows.count())) - kept[name]
    return tables, Cut(as_of, 0, kept, removed)


def _belonging(rows: ir.Table, owners: Iterable[str], only: Sequence[str] | None) -> ir.Table:
    """The rows of these customers, in whichever column they stand."""
    if only is None:
        return rows
    people = ibis.memtable({"customer_id": list(only)}, schema={"customer_id": "string"})
    return rows.filter(ibis.or_(*(rows[owner].isin(people.customer_id) for owner in sorted(owners))))


def _answers(
    warehouse: Warehouse, definitions: Mapping[str, Definition], as_of: datetime, only: Sequence[str] | None
) -> pa.Table:
    """The ordinary computation on the whole warehouse."""
    moments = _belonging(everyone(warehouse, [as_of]), ["customer_id"], only)
    answers = compute(moments, definitions, warehouse.tables, timeline.past)
    return warehouse.engine.to_pyarrow(answers.order_by("customer_id"))


def _at(computed: pa.Table, as_of: datetime, people: Sequence[str]) -> pa.Table:
    """The rows of one moment and these customers, by customer."""
    asked = pc.and_(
        pc.equal(computed["as_of"], pa.scalar(as_of, computed.schema.field("as_of").type)),
        pc.is_in(
            computed["customer_id"], value_set=pa.array(people, computed.schema.field("customer_id").type)
        ),
    )
    return computed.filter(asked).sort_by("customer_id")


def _in_cohorts(answers: pa.Table, cohorts: Iterable[Cohort]) -> pa.Table:
    """Who may be asked about, by the answers themselves, without the answers to the conditions."""
    conditions = [name for cohort in cohorts for name in cohort.checks]
    for name in conditions:
        answers = answers.filter(pc.fill_null(answers[name], False))
    return answers.drop_columns(conditions)


def _mismatches(before: pa.Table, after: pa.Table, as_of: datetime) -> list[Mismatch]:
    """Per answer, for how many customers it differs; and who is known or asked about in one of the two only."""
    left, right = before["customer_id"].to_pylist(), after["customer_id"].to_pylist()
    strangers = set(left) ^ set(right)
    found = [Mismatch("who is asked about", as_of, len(strangers))] if strangers else []
    if strangers:
        both = pa.array(sorted(set(left) & set(right)), pa.string())
        before, after = (
            side.filter(pc.is_in(side["customer_id"].cast(pa.string()), value_set=both))
            for side in (before, after)
        )
    unlike = {n: _different(before[n], after[n]) for n in after.column_names if n not in KEYS}
    return found + [Mismatch(name, as_of, count) for name, count in unlike.items() if count]


def _different(before: pa.ChunkedArray, after: pa.ChunkedArray) -> int:
    """In how many rows two columns differ; null equals null, and nothing else."""
    after = after if before.type == after.type else after.cast(before.type, safe=False)
    unlike = pc.fill_null(pc.not_equal(before, after), False)
    both_nan = False
    if pa.types.is_floating(before.type):
        both_nan = pc.fill_null(pc.and_(pc.is_nan(before), pc.is_nan(after)), False)
        unlike = pc.and_not(unlike, both_nan)
    one_missing = pc.xor(pc.is_null(before), pc.is_null(after))
    return int(pc.sum(pc.or_(unlike, one_missing)).as_py() or 0)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    as_of: Annotated[
        list[str] | None, typer.Option(help="a moment, may be repeated; default: four, spread over the data")
    ] = None,
    attributes: Annotated[
        list[Path] | None,
        typer.Option(help="a table, or a folder of tables, that one would like to add; may be repeated"),
    ] = None,
    earlier: Annotated[Path | None, typer.Option(help="an earlier delivery of the same attributes")] = None,
    customers: Annotated[int, typer.Option(min=1, help="compare at most so many customers")] = MOST_CUSTOMERS,
    seed: Annotated[int, typer.Option(help="of the draw, where there are more")] = 7,
    to: Annotated[Path | None, typer.Option(help="write the certificate to this JSON file")] = None,
) -> None:
    """Prove that no feature uses what was not known at its moment, or name those that do."""
    warehouse = connect()
    dates = [timeline.moment_named(text, warehouse.latest_moment) for text in as_of or ()]
    hunts = hunts_of_form(warehouse, attributes or (), earlier)
    certificate = certify(
        warehouse, dates or default_moments(warehouse), customers=customers, seed=seed, hunts=hunts
    )
    if to:
        to.write_bytes(certificate.to_json())
    Console(width=None if Console().is_terminal else 130).print(certificate, highlight=False)
    if not certificate.clean:
        raise LeakFound(
            f"{len(certificate.leaks)} leak(s): {', '.join(certificate.leaks[:5])}; train nothing on them"
        )


if __name__ == "__main__":
    run(app)
