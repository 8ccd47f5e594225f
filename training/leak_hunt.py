"""Leaks hunted with a task's outcomes: for every training run, and for attributes that one would like to add.

    python -m training.leak_hunt --attributes incoming/extra [--task churn]

A training run cuts the tables at some of its own dates and compares what it learned from (`features.certify`), so it
adds seconds; the command `python -m features.certify` compares more customers.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import ibis
import pandas as pd
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from features import timeline
from features.allowed import allowing
from features.attributes import columns_at, offered
from features.bulk import table_of
from features.certificate import Certificate, Hunt
from features.certify import certify
from features.command import run
from features.errors import LeakFound
from features.feature import Feature
from features.feature_set import named
from features.foresight import LONG_BEFORE_DAYS, hunts_of_foresight
from features.warehouse import Warehouse, connect
from training import tasks
from training.dataset import Dataset, dataset
from training.plan import Plan, plan
from training.task import Task
from training.tasks import task_named

__all__ = ["certificate", "hunted"]

# A training run should cost seconds more, not minutes; the commands look at more.
CUSTOMERS = 1_000
FEWER_ROWS = 10_000
MOST_ROWS = 100_000
KEYS = ["customer_id", "as_of"]


def certificate(
    task: Task, warehouse: Warehouse, planned: Plan, data: Dataset, more: Sequence[Hunt] = ()
) -> Certificate:
    """The certificate of a training run: its last dates to learn from and to test, its features and
    its cohort, for customers drawn by seed; and the hunts among its columns, with those that were made already."""
    dates = sorted({planned.fit[-1], planned.test[-1]})
    kinds = _kinds(data)
    hunts = hunts_of_foresight(data.frame, kinds, partial(_long_before, warehouse), most_rows=FEWER_ROWS)
    learned = data.frame.loc[data.frame["as_of"].isin(dates), [*KEYS, *data.names]]
    asked = allowing(warehouse, task.purpose)
    return certify(
        asked,
        dates,
        features=data.features,
        cohorts=[task.population(asked)],
        customers=CUSTOMERS,
        computed=pa.Table.from_pandas(learned, preserve_index=False),
        hunts=[*hunts, *more],
    )


def hunted(task: Task, warehouse: Warehouse, planned: Plan, tables: Mapping[str, pa.Table]) -> list[Hunt]:
    """Hunt among the columns of attribute tables, next to the features, at all dates of a plan."""
    data = dataset(task, warehouse, planned.dates)
    frame, kinds = data.frame, _kinds(data)
    for name, table in tables.items():
        columns = columns_at(table, frame).add_prefix(f"{name}.")
        kinds |= dict.fromkeys(columns.columns, f"table {name}")
        frame = pd.concat([frame, columns], axis=1)
    return hunts_of_foresight(
        frame, kinds, partial(_both_long_before, warehouse, tables), most_rows=MOST_ROWS
    )


def _kinds(data: Dataset) -> dict[str, str]:
    """Each number's concept; categories have no order to hunt along."""
    return {feature.name: feature.concept for feature in data.features if feature.kind == "number"}


def _long_before(warehouse: Warehouse, names: Sequence[str], rows: pd.DataFrame) -> pd.DataFrame:
    """The features of each row as they were long before its moment, for customers who were known then."""
    then = rows[KEYS].assign(as_of=rows["as_of"] - timedelta(days=LONG_BEFORE_DAYS))
    moments = ibis.memtable(then.drop_duplicates(), schema={"customer_id": "string", "as_of": "timestamp(6)"})
    known = timeline.past(moments, warehouse.tables["customers"]).select(*KEYS).distinct()
    chosen: list[Feature] = named(names)
    found = table_of(known, warehouse, chosen).to_pandas()
    kept = then.reset_index(names="row").merge(found, on=KEYS).set_index("row")
    return kept.reindex(rows.index.intersection(kept.index))


def _both_long_before(
    warehouse: Warehouse, tables: Mapping[str, pa.Table], names: Sequence[str], rows: pd.DataFrame
) -> pd.DataFrame:
    """Features and columns of attribute tables as they were long before."""
    own = {name: [n for n in names if n.startswith(f"{name}.")] for name in tables}
    of_tables = [n for some in own.values() for n in some]
    parts = [_long_before(warehouse, [n for n in names if n not in of_tables], rows)]
    rows = rows.loc[parts[0].index]
    for name, some in own.items():
        if some:
            parts.append(columns_at(tables[name], rows, LONG_BEFORE_DAYS).add_prefix(f"{name}."))
    return pd.concat(parts, axis=1)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    attributes: Annotated[
        list[Path] | None,
        typer.Option(help="a table, or a folder of tables, that one would like to add; may be repeated"),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="name of a task, may be repeated; default: all that are offered")
    ] = None,
) -> None:
    """Hunt leak columns among the features, and among attributes one would like to add, with the tasks' outcomes."""
    warehouse = connect()
    tables = offered(attributes or ())
    shown = Table("task", "hunt", "columns", "accused", "why")
    accused = []
    for name in task or sorted(tasks.offered(warehouse)):
        chosen = task_named(name, warehouse)
        planned = plan(chosen, warehouse, test_at=chosen.latest_closed(warehouse), everyone=True)
        for hunt in hunted(chosen, warehouse, planned, tables):
            shown.add_row(name, hunt.name, f"{hunt.columns:,}", "" if hunt.accused else "nobody", "")
            for one in hunt.accused:
                shown.add_row("", "", "", one.column, one.reason)
            accused += [one.column for one in hunt.accused]
        shown.add_section()
    Console(width=None if Console().is_terminal else 160).print(shown, highlight=False)
    if accused:
        raise LeakFound(
            f"{len(set(accused))} column(s) know the outcome: {', '.join(sorted(set(accused))[:5])}; leave them out"
        )


if __name__ == "__main__":
    run(app)
