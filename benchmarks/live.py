"""Live rows: one customer's posted events, and hundreds in one call, against the batch's query compiled once.

Each request is other customers of the invented carmaker with all they did, as of the day the data ends. All ways
get the same Arrow tables, interleaved: ours and DuckDB give every feature and every cohort's answer, which must be
the same to the bit; pandas gives six columns, written as one would by hand, which must be the same too. DuckDB is asked
twice: its SQL once made, and the same as a prepared statement, which has been planned too. The customers allow every purpose:
of others less is computed.

    make bench-live [CUSTOMERS=2000]
"""

import os
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from benchmarks.carmaker import loaded
from benchmarks.record import record
from features.barred import COLUMNS
from features.live import Live
from features.nightly import rows
from features.sources import CANONICAL
from features.warehouse import Warehouse

CUSTOMERS, SEED = int(os.environ.get("CUSTOMERS", "2000")), 7
REQUESTS = {1: 200, 10: 100, 100: 50, 500: 25}  # customers in a request: how many requests
PEERS_EVERY = 10  # they take longer
SIX = ("content_reads_30d", "content_reads_90d", "days_since_content_read", "orders_ever", "order_value_ever_cents",
       "days_since_order")  # fmt: skip
Tables = dict[str, pa.Table]
Way = Callable[[pa.Table, Tables], object]


def main() -> None:
    with TemporaryDirectory() as scratch:
        warehouse = loaded(Path(scratch), CUSTOMERS, SEED)
        tables = {name: warehouse.engine.to_pyarrow(table) for name, table in warehouse.tables.items()}
        as_of = min(warehouse.complete_until.values())
    live = Live(tables, without_consents=warehouse.without_consents)
    ways: dict[str, Way] = {
        "ours": live.rows,
        "DuckDB": compiled(tables, prepared=False),
        "DuckDB, prepared": compiled(tables, prepared=True),
        "pandas, six columns": six_columns,
    }
    who = allowing(live, tables, as_of)
    figures: dict[str, dict[str, float]] = {}
    ratios: dict[str, dict[str, list[float]]] = {}
    for customers, requests in REQUESTS.items():
        spent = asked(ways, list(requested(tables, who, as_of, customers, requests)))
        label = f"{customers} customer{'s' if customers > 1 else ''}"
        figures[label] = {
            f"{way}, {clock} p{p}": float(np.percentile(times, p))
            for way, both in spent.items()
            for clock, times in both.items()
            for p in (50, 95, 99)
        }
        ratios[label] = {f"{way} / ours, processor": peers(spent, way, "processor") for way in list(ways)[1:]}
    many, one = (figures[f"{n}"]["ours, processor p50"] for n in ("500 customers", "1 customer"))
    facts = {"customers": CUSTOMERS, "features": len(live.fingerprints), "ms": figures, "500 / 1": many / one}
    record(
        "live", f"Live rows, {len(live.fingerprints)} features: median over requests (range)", ratios, facts
    )
    show(figures)
    print(f"five hundred customers in one call take {many / one:.1f} times the processor time of one")


def allowing(live: Live, tables: Tables, as_of: datetime) -> list[str]:
    """Those who allow every purpose."""
    everyone = tables["customers"]["customer_id"].unique()
    moments = pa.table(
        {"customer_id": everyone, "as_of": pa.array([as_of] * len(everyone), pa.timestamp("us"))}
    )
    found = live.rows(moments, tables)
    refused = pc.coalesce(*(found[column] for column in COLUMNS.values()))
    return found["customer_id"].filter(refused.is_null()).to_pylist()


def requested(tables: Tables, everyone: list[str], as_of: datetime, customers: int, requests: int):  # type: ignore[no-untyped-def]
    """(moments, tables) of each request."""
    luck = random.Random(SEED)
    for _ in range(requests):
        who = pa.array(luck.sample(everyone, customers))
        owned = {
            name: table.filter(
                pc.or_(
                    pc.is_in(table["customer_id"], who),
                    pc.is_in(table["invitee_id" if name == "referrals" else "customer_id"], who),
                )
            ).combine_chunks()
            for name, table in tables.items()
        }
        yield pa.table({"customer_id": who, "as_of": pa.array([as_of] * len(who), pa.timestamp("us"))}), owned


def compiled(tables: Mapping[str, pa.Table], *, prepared: bool) -> Way:
    """The batch's computation as one DuckDB query, compiled once."""
    unbound = {name: ibis.table(CANONICAL[name].ibis_schema, name=name) for name in tables}
    moments = ibis.table({"customer_id": "string", "as_of": "timestamp(6)"}, name="moments")
    answered = rows(moments, Warehouse(ibis.duckdb.connect(), unbound)).order_by("as_of", "customer_id")
    sql, schema = ibis.to_sql(answered, dialect="duckdb"), answered.schema().to_pyarrow()
    engine = duckdb.connect()
    engine.execute("SET TimeZone = 'UTC'; SET threads = 1")
    if prepared:
        # A plan that counts on the data of the day it was made gives wrong answers for other data.
        engine.execute("SET disabled_optimizers = 'compressed_materialization,statistics_propagation'")
        engine.execute("CREATE TABLE moments (customer_id VARCHAR, as_of TIMESTAMP)")
        for name in tables:
            engine.register("declared", CANONICAL[name].empty())
            engine.execute(f"CREATE TABLE {name} AS FROM declared")
        engine.execute(f"PREPARE asked AS {sql}")

    def ask(moments: pa.Table, posted: Tables) -> pa.Table:
        for name, table in {"moments": moments, **posted}.items():
            if prepared:
                engine.register("posted", table)
                engine.execute(f"DELETE FROM {name}; INSERT INTO {name} FROM posted")
            else:
                engine.register(name, table)
        return engine.execute("EXECUTE asked" if prepared else sql).fetch_arrow_table().cast(schema)

    return ask


def six_columns(moments: pa.Table, posted: Tables) -> pd.DataFrame:
    """What one would write by hand for six of the columns."""
    asked = moments.to_pandas()
    past = {}
    for name, kind in (("touchpoints", "content_read"), ("orders", "order")):
        joined = asked.merge(posted[name].to_pandas(), on="customer_id")
        corrected = joined.superseded_at < joined.as_of
        known = (joined.happened_at < joined.as_of) & (joined.known_at < joined.as_of) & ~corrected
        past[name] = joined[known & (joined.kind == kind)].assign(age=lambda x: x.as_of - x.happened_at)
    own = past["touchpoints"][past["touchpoints"].initiated_by == "customer"]
    orders = past["orders"].groupby("customer_id")
    found = pd.DataFrame(index=asked.customer_id)
    for days in (30, 90):
        recent = own[own.age <= timedelta(days=days)]
        found[f"content_reads_{days}d"] = recent.groupby("customer_id").size()
    found["days_since_content_read"] = own.groupby("customer_id").age.min().dt.days
    found["orders_ever"] = orders.size()
    found["order_value_ever_cents"] = orders.amount_cents.sum()
    found["days_since_order"] = orders.age.min().dt.days
    numbers = [name for name in SIX if not name.startswith("days_since")]
    return found.fillna(dict.fromkeys(numbers, 0))[list(SIX)].sort_index()


def asked(
    ways: Mapping[str, Way], requests: list[tuple[pa.Table, Tables]]
) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each way, request by request; the answers are compared on the way."""
    spent: dict[str, dict[str, list[float]]] = {name: {"clock": [], "processor": []} for name in ways}
    for way in ways.values():
        way(*requests[0])  # the first call of each warms it
    for n, request in enumerate(requests):
        answers = {}
        for name, way in ways.items():
            if name != "ours" and n % PEERS_EVERY:
                continue
            clock, processor = time.perf_counter(), time.process_time()
            answers[name] = way(*request)
            spent[name]["processor"].append(1000 * (time.process_time() - processor))
            spent[name]["clock"].append(1000 * (time.perf_counter() - clock))
        if len(answers) > 1:
            agree(*answers.values())  # type: ignore[arg-type]
    return spent


def agree(ours: pa.Table, theirs: pa.Table, prepared: pa.Table, by_hand: pd.DataFrame) -> None:
    assert ours.equals(theirs), "live rows are not those of the batch"
    assert ours.equals(prepared), "live rows are not those of the batch"
    mine = ours.select(SIX).to_pandas().astype("float64").to_numpy()
    np.testing.assert_array_equal(mine, by_hand.astype("float64").to_numpy())


def peers(spent: Mapping[str, Mapping[str, list[float]]], way: str, clock: str) -> list[float]:
    """How many times our time the other way took, for the requests that both answered."""
    ours = spent["ours"][clock][::PEERS_EVERY]
    return [theirs / mine for theirs, mine in zip(spent[way][clock], ours, strict=True)]


def show(figures: Mapping[str, Mapping[str, float]]) -> None:
    """Milliseconds; on a busy machine the processor's time says more than the clock's."""
    table = Table("milliseconds", *figures, title="Live rows")
    for name in next(iter(figures.values())):
        table.add_row(name, *(f"{figures[size][name]:.1f}" for size in figures))
    Console(width=None if Console().is_terminal else 150).print(table)


if __name__ == "__main__":
    main()
