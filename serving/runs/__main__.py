"""Looking after published runs:

python -m serving.runs list
python -m serving.runs verify [RUN]        every byte against the manifest; exit 1 names what differs
python -m serving.runs rollback [--to RUN] readers see the run before (or the named one), verified first
python -m serving.runs show CUSTOMER       a customer's rows in the current run
python -m serving.runs prune --keep 30     remove all but the newest, never the current one
"""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from features.command import run
from features.home import scores_folder
from features.pointer import pointed
from serving.runs import folder
from serving.runs.manifest import Manifest
from serving.runs.reader import Run

app = typer.Typer(add_completion=False, help=__doc__.split("\n", maxsplit=1)[0])


@app.command("list")
def list_runs() -> None:
    """Every published run, oldest first; the current one is marked."""
    scores = scores_folder()
    now = pointed(scores)
    table = Table("", "run", "as of", "expires", "customers", "scored", box=None)
    for place in folder.runs(scores):
        told = Manifest.read(place)
        scored = ", ".join(
            f"{task} {facts.scored:,} (v{facts.model_version})" for task, facts in told.tasks.items()
        )
        mark = "current" if place.name == now else ""
        table.add_row(mark, told.run, f"{told.as_of:%Y-%m-%d}", f"{told.expires_at:%Y-%m-%d}", f"{told.population:,}", scored)  # fmt: skip
    Console(width=None if Console().is_terminal else 200).print(table)


@app.command()
def verify(name: Annotated[str, typer.Argument(help="a run; default: the current one")] = "") -> None:
    """Compare every byte of a run with its manifest."""
    scores = scores_folder()
    told = folder.verify(folder.named(scores, name))
    print(f"{told.run}: {len(told.files)} files are as they were written, content {told.content}")


@app.command()
def rollback(
    to: Annotated[str, typer.Option(help="a run; default: the one before the current one")] = "",
) -> None:
    """Let readers see an older run again."""
    print(f"current is {folder.rollback(scores_folder(), to).name}")


@app.command()
def show(customer: Annotated[str, typer.Argument(help="a customer's id")]) -> None:
    """A customer's rows in the current run, as JSON lines."""
    for row in Run.open().scores([customer]).to_pylist():
        print(json.dumps(row, ensure_ascii=False, default=str))


@app.command()
def prune(keep: Annotated[int, typer.Option(help="how many of the newest runs to keep")] = 30) -> None:
    """Remove older runs."""
    gone = folder.prune(scores_folder(), keep)
    print(f"removed {len(gone)} runs")


if __name__ == "__main__":
    run(app)
