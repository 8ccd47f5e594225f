"""Copying a run to where others read it:

python -m serving.sinks csv --to scores.csv --bom
python -m serving.sinks postgres --to 'postgresql://crm@db/scores'
"""

from pathlib import Path
from typing import Annotated

import typer

from features.command import run
from features.home import scores_folder, without_secrets
from serving.runs import Run, named
from serving.sinks.csv_file import write_csv
from serving.sinks.postgres import send

app = typer.Typer(add_completion=False, help="Copy a published run to a file or a database.")
RUN = Annotated[str, typer.Option("--run", help="a run; default: the current one")]


@app.command("csv")
def to_csv(
    to: Annotated[Path, typer.Option(help="the file")],
    name: RUN = "",
    bom: Annotated[bool, typer.Option(help="mark it as UTF-8, for Excel")] = False,
) -> None:
    """The wide table, safe for spreadsheets."""
    count = write_csv(Run.open(named(scores_folder(), name)), to, bom=bom)
    print(f"{count:,} customers in {to}")


@app.command("postgres")
def to_postgres(
    to: Annotated[str, typer.Option(help="address of the database")],
    name: RUN = "",
    keep: Annotated[int, typer.Option(help="how many of the newest runs stay there")] = 2,
) -> None:
    """The long table, in one transaction; sent again it stays the same."""
    rows = send(Run.open(named(scores_folder(), name)), to, keep=keep)
    print(f"{rows:,} rows in {without_secrets(to)}")


if __name__ == "__main__":
    run(app)
