"""A whole world on disk: blocks in parallel, a staging folder, one rename at the end."""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from features.sources import CANONICAL
from worlds.carmaker.block import write_block
from worlds.carmaker.drivers import planted
from worlds.carmaker.mess import LATEST_DAYS
from worlds.carmaker.world import World

__all__ = ["NotOursError", "maturity", "read_world", "write_world"]

# Days after which everything that happened is known, without late arrivals.
_SETTLED_DAYS = {"vehicles": 4, "visits": 3, "touchpoints": 1}


class NotOursError(Exception):
    """The target folder holds something that is not a carmaker world."""


def write_world(world: World, to: Path, threads: int = 2, console: Console | None = None) -> dict[str, Any]:
    """Write the world into the folder `to` and return what `world.json` says.

    A carmaker world that stands there is replaced, an empty folder is used; anything else raises `NotOursError`
    and stays untouched. Until the last moment everything lies in a hidden folder beside `to`.
    """
    to = to.absolute()
    _refuse_foreign(to)
    staging = to.parent / f".{to.name}.partial-{os.getpid()}"
    try:
        staging.mkdir(parents=True)
        summary = _write_blocks(world, staging, threads, console or Console(stderr=True))
        pq.write_table(maturity(world), staging / "maturity.parquet")
        (staging / "truth" / "drivers.json").write_text(
            json.dumps({"invented": True, "drivers": planted()}, indent=2) + "\n"
        )
        (staging / "world.json").write_text(json.dumps(summary, indent=2) + "\n")
        _put_in_place(staging, to)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return summary


def read_world(folder: Path) -> World:
    """The settings of a world on disk. Raises `NotOursError` where there is none."""
    try:
        return World.from_json(json.loads((folder / "world.json").read_text())["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotOursError(
            f"{folder} holds no carmaker world: write one with python -m worlds.carmaker --to {folder}"
        ) from error


def maturity(world: World) -> pa.Table:
    """Per source, the instant before which everything that happened is known."""
    dealer_reports = ("touchpoints", "visits") if world.mess.late else ()
    days = {
        name: LATEST_DAYS + 1 if name in dealer_reports else _SETTLED_DAYS.get(name, 1) for name in CANONICAL
    }
    end = datetime(world.end.year, world.end.month, world.end.day)
    complete = [end - timedelta(days=days[name]) for name in CANONICAL]
    return pa.table({"source": list(CANONICAL), "complete_until": pa.array(complete, pa.timestamp("us"))})


def _refuse_foreign(to: Path) -> None:
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return
    try:
        ours = json.loads((to / "world.json").read_text())
        if ours["name"] == "carmaker" and ours["invented"] is True:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise NotOursError(
        f"{to} is not empty and holds no carmaker world: name another folder, or empty this one yourself"
    )


def _put_in_place(staging: Path, to: Path) -> None:
    """Swap folders; the old world is removed only after the new one stands."""
    old = to.parent / f".{to.name}.old-{os.getpid()}"
    if to.exists():
        to.rename(old)
    staging.rename(to)
    shutil.rmtree(old, ignore_errors=True)


def _write_blocks(world: World, folder: Path, threads: int, console: Console) -> dict[str, Any]:
    rows: Counter[str] = Counter()
    mess: Counter[str] = Counter()
    with _progress(world, console) as advance:
        for result in _results(world, folder, threads):
            rows.update(result["rows"])
            mess.update(result["mess"])
            advance(sum(result["rows"].values()))
    return {
        "name": "carmaker",
        "invented": True,
        "about": "an invented carmaker: no row describes a real person",
        "seed": world.seed,
        "customers": world.customers,
        "start": world.start.isoformat(),
        "end": world.end.isoformat(),
        "settings": world.as_json(),
        "rows": {name: rows[name] for name in CANONICAL},
        "mess": dict(sorted(mess.items())),
    }


def _results(world: World, folder: Path, threads: int) -> Iterator[dict[str, Any]]:
    if threads == 1 or world.blocks == 1:
        yield from (write_block(world, block, folder) for block in range(world.blocks))
        return
    # Fresh processes: a fork would copy whatever threads the caller runs.
    with ProcessPoolExecutor(min(threads, world.blocks), mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(write_block, world, block, folder) for block in range(world.blocks)]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _progress(world: World, console: Console) -> Iterator[Any]:
    """Reports rows written: a bar with rows per second and time left on a terminal, plain lines elsewhere."""
    began, written, done = time.monotonic(), 0, 0
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    task = bar.add_task("invented carmaker", total=world.blocks, speed="")

    def advance(rows: int) -> None:
        nonlocal written, done
        written, done = written + rows, done + 1
        speed = f"{written / max(time.monotonic() - began, 1e-9):,.0f} rows/s"
        bar.update(task, advance=1, speed=speed)
        if not console.is_terminal and done * 10 // world.blocks > (done - 1) * 10 // world.blocks:
            console.print(
                f"invented carmaker: {done}/{world.blocks} blocks, {written:,} rows, {speed}", highlight=False
            )

    with bar:
        yield advance
