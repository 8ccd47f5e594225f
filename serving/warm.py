"""Have at hand what the first question about posted events would wait for: the copies of stored histories.

    python -m serving.warm          after a load, say; about a second per million rows, nothing where they are there

The service lets it run beside its workers whenever the nightly rows change.
"""

import typer

from features.command import run
from features.home import data_folder
from features.warehouse import connect
from serving.desk.histories import folder_of, histories_of

__all__: list[str] = []

app = typer.Typer(add_completion=False)


@app.command()
def main() -> None:
    """Copy the stored histories of the warehouse's current load, unless they are there."""
    histories_of(connect(), folder_of(data_folder()))


if __name__ == "__main__":
    run(app)
