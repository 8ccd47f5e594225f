"""Publishing: a loaded warehouse folder into an engine that others read.

    python -m features.publish --from var/warehouse --to 'postgresql://crm@db/events?schema=crm'
    python -m features.publish --from var/warehouse --to 'spark://host:7077?database=crm'

Deliveries are judged once, by `features.load`; what it accepted is what the engine gets, with the maturity ledger
beside it in `load_ledger`.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from features.command import run
from features.errors import BadData
from features.home import data_folder, without_secrets
from features.warehouse import Warehouse, connect, engine_module

__all__ = ["publish"]

ROWS_PER_BATCH = 500_000


def publish(loaded: Warehouse, address: str) -> dict[str, int]:
    """Replace the canonical tables at `address` by those of `loaded`; returns the rows of each.

    PostgreSQL's readers see the old tables or the new ones, never a mixture; on Spark a reader that opens the
    database meanwhile is told to wait. Raises `BadData` when the warehouse states no maturity, or when `address` is a folder.
    """
    if not loaded.complete_until:
        raise BadData(
            "this warehouse does not say up to when its sources are complete; load it with features.load"
        )
    module = engine_module(address)
    if module is None:
        raise BadData(
            f"{without_secrets(address)} is a folder: features.load writes folders, publish fills engines"
        )
    rows = (  # one after the other: the engine that reads them streams one answer at a time
        (name, loaded.engine.to_pyarrow_batches(table, chunk_size=ROWS_PER_BATCH))
        for name, table in loaded.tables.items()
    )
    written: dict[str, int] = module.publish(
        address, rows, loaded.complete_until, loaded.digest, loaded.without_consents
    )
    return written


app = typer.Typer(add_completion=False)


@app.command()
def main(
    to: Annotated[str, typer.Option(help="address of the engine, as WAREHOUSE_URL would name it")],
    source: Annotated[
        Path | None, typer.Option("--from", help="a loaded warehouse folder; default var/warehouse")
    ] = None,
) -> None:
    """Copy a loaded warehouse folder into PostgreSQL or a database of Spark's catalogue."""
    written = publish(connect(str(source or data_folder() / "warehouse")), to)
    table = Table("source", "rows", box=None)
    for name, rows in written.items():
        table.add_row(name, f"{rows:,}")
    print(f"published to {without_secrets(to)}")
    Console().print(table)


if __name__ == "__main__":
    run(app)
