"""The feature catalogue: `python -m features [--lang zh]`, or as a page of documentation: `--page FILE`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from features.command import run
from features.feature_set import FEATURES, catalogue
from features.page import page as page_of

app = typer.Typer(add_completion=False)


@app.command()
def main(
    lang: Annotated[Literal["en", "zh"], typer.Option(help="language of the sentences")] = "en",
    page: Annotated[
        Path | None, typer.Option(help="write the catalogue to this Markdown file instead")
    ] = None,
) -> None:
    """Print every feature: sentence, unit, window, what nothing means, fingerprint."""
    if page:
        page.write_text(page_of(FEATURES), encoding="utf-8")
        print(f"{len(FEATURES)} features described in {page}")
    else:
        catalogue(lang)


if __name__ == "__main__":
    run(app)
