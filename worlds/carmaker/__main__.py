"""`python -m worlds.carmaker --customers 100000 --seed 7 --to DIR`: write an invented carmaker's data."""

from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from worlds.carmaker.sanity import print_sanity
from worlds.carmaker.world import Mess, World
from worlds.carmaker.write import NotOursError, write_world

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_KINDS = [switch.name for switch in fields(Mess)]
_Kinds = Annotated[
    list[str] | None, typer.Option(help=f"a kind of mess; repeat for more. One of: {', '.join(_KINDS)}")
]


@app.command()
def main(
    *,
    to: Annotated[Path, typer.Option(help="folder to write; an earlier carmaker world there is replaced")],
    customers: Annotated[int, typer.Option(help="people in the world")] = 100_000,
    seed: Annotated[int, typer.Option(help="another seed, another world")] = 7,
    years: Annotated[int, typer.Option(help="years of history")] = 3,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="first day of the history")
    ] = datetime(2022, 7, 1),
    mess: Annotated[bool, typer.Option(help="plant the mess of real data")] = True,
    only: _Kinds = None,
    without: _Kinds = None,
    drift_from: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="day on which the market changes")
    ] = None,
    campaign: Annotated[bool, typer.Option(help="run the campaign with a random hold-out")] = True,
    threads: Annotated[int, typer.Option(min=1, help="processes; the content does not depend on it")] = 2,
    sanity: Annotated[bool, typer.Option(help="print the sanity table afterwards")] = True,
) -> None:
    """Write an invented carmaker: every canonical table with both clocks, its mess, and the truth in `truth/`."""
    console = Console(stderr=True)
    try:
        world = World(
            customers=customers,
            seed=seed,
            start=start.date(),
            years=years,
            drift_from=None if drift_from is None else drift_from.date(),
            campaign=campaign,
            mess=_switches(mess, only or [], without or []),
        )
        summary = write_world(world, to, threads, console)
    except (ValueError, NotOursError, OSError) as error:
        console.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    Console().print(
        f"invented carmaker in {to}: {sum(summary['rows'].values()):,} rows of {customers:,} customers",
        highlight=False,
    )
    if sanity:
        print_sanity(to, Console(width=None if Console().is_terminal else 150))


def _switches(mess: bool, only: list[str], without: list[str]) -> Mess:
    """All kinds or none, then single kinds on or off."""
    unknown = [kind for kind in (*only, *without) if kind not in _KINDS]
    if unknown:
        raise ValueError(f"no such kind of mess: {', '.join(unknown)}; there are {', '.join(_KINDS)}")
    switches = Mess.none() if only or not mess else Mess()
    return replace(switches, **dict.fromkeys(only, True), **dict.fromkeys(without, False))


if __name__ == "__main__":
    app()
