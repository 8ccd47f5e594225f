"""The feature catalogue: `python -m features [--lang zh]`."""

from typing import Annotated, Literal

import typer
from rich.console import Console

from features.command import run
from features.feature_set import catalogue

app = typer.Typer(add_completion=False)


@app.command()
def main(lang: Annotated[Literal["en", "zh"], typer.Option(help="language of the sentences")] = "en") -> None:
    """Print every feature: sentence, unit, window, what nothing means, fingerprint."""
    Console(width=None if Console().is_terminal else 200).print(catalogue(lang))


if __name__ == "__main__":
    run(app)
