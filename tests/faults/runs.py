"""Faults of the nightly batch, planted by dice with a seed that is printed: kills, failing calls, flipped bits, readers that never stop looking.

    python -m tests.faults.runs --kills 200 --publishes 100 --flips 100        (make faults)

The batch is the real one on a small shop; kills are SIGKILLs of a process of its own. Each function returns what it counted and raises
`AssertionError`, with the seed, at the first thing that is not as it must be.
"""

import errno
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any
from unittest import mock

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from features import audit, durable, nightly
from features.errors import BadRun, NoWarehouse, RunInProgress
from features.lock import held
from features.nightly import NightlyRows
from features.warehouse import Warehouse, connect
from serving.batch import batch
from serving.runs import Run, current, folder
from tests.serving.nights import night
from tests.shop import END, open_shop_elsewhere
from training import registry

__all__ = ["children", "failing_calls", "flips", "in_small_parts", "kills", "nights_ready", "polled"]

ROWS_PER_PART = 300
CALLS = ("fsync", "replace", "write", "open")


@contextmanager
def nights_ready(scratch: Path) -> Iterator[Warehouse]:
    """Stand in a shop whose feature rows are there, in several parts, and whose models are loaded: what comes after is the batch."""
    rows = in_small_parts(scratch / "rows.arrow", ROWS_PER_PART)
    champions = registry.champions()
    with (
        mock.patch.object(nightly, "materialise", return_value=rows),
        mock.patch.object(registry, "champions", return_value=champions),
        mock.patch.object(audit, "noted", return_value=None),
    ):
        yield connect()


def in_small_parts(file: Path, size: int) -> NightlyRows:
    """The newest feature rows once more, in parts of so many."""
    rows = nightly.latest()
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows.table(), max_chunksize=size)
    return NightlyRows.open(file)


def kills(warehouse: Warehouse, scratch: Path, count: int, seed: int) -> dict[str, int]:
    """SIGKILL the batch `count` times at moments drawn over its whole course, or, where it has workers, one of these. After each kill readers
    see the run before, whole, or the new one, whole; called again it ends with the bytes of a run that was never disturbed."""
    dice, scores = random.Random(seed), scratch / "killed"
    _in_a_process(warehouse, scratch / "undisturbed", 1)
    undisturbed = Run.open(current(scratch / "undisturbed")).manifest.content
    lasts_s = {}
    for processes in (1, 2):
        began = time.monotonic()
        _in_a_process(warehouse, scores, processes)
        lasts_s[processes] = time.monotonic() - began
    seen: Counter[str] = Counter()
    for number in range(count):
        before, processes = current(scores), dice.choice((1, 2))
        child = _started(warehouse, scores, processes)
        time.sleep(dice.uniform(0, 1.1 * lasts_s[processes]))
        workers = children(child)
        victim = dice.choice([child, *workers[:1]])
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) or status
        seen[
            f"killed, {'a worker' if victim != child else f'{processes} at work'}"
            if killed
            else "was done already"
        ] += 1
        _wait_for_the_lock(scores)
        after = current(scores)
        folder.verify(after)
        assert after == before or after.name > before.name, f"seed {seed}, kill {number}: {after.name}"
        assert Run.open(after).manifest.content == undisturbed, f"seed {seed}, kill {number}"
        if dice.random() < 0.5:
            _in_a_process(warehouse, scores, dice.choice((1, 2)))
            assert Run.open(current(scores)).manifest.content == undisturbed, f"seed {seed}, kill {number}"
            seen["ended well when called again"] += 1
            folder.prune(scores, 2)
    _in_a_process(warehouse, scores, 2)
    assert not list(scores.glob(".work-*")), f"seed {seed}: leftovers"
    return dict(seen)


def _started(warehouse: Warehouse, scores: Path, processes: int) -> int:
    """A process that runs the batch; its id. It is forked, so this process must not have used LightGBM's threads: they do not survive it."""
    if child := os.fork():
        return child
    status = 1
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
        batch(warehouse, END, scores=scores, processes=processes)
        status = 0
    finally:
        os._exit(status)


def children(process: int) -> list[int]:
    """The processes that one has started, and that are there; none of one that has ended."""
    with suppress(OSError):
        tasks = Path(f"/proc/{process}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return []


def _wait_for_the_lock(scores: Path) -> None:
    """Workers end by themselves, and at once."""
    for _ in range(500):
        with suppress(RunInProgress), held(scores):
            return
        time.sleep(0.01)
    raise AssertionError("five seconds after the batch was killed something holds its lock")


def _in_a_process(warehouse: Warehouse, scores: Path, processes: int) -> None:
    _, status = os.waitpid(_started(warehouse, scores, processes), 0)
    assert status == 0, f"the batch ended with {status}"


def failing_calls(warehouse: Warehouse, scratch: Path, step: int = 1) -> dict[str, int]:
    """Let the n-th fsync, rename, write or opening fail, for n = 1, 1 + step, ... until none is left to fail. Each time the batch raises, the
    run before is whole and current, and the next call succeeds."""
    scores = scratch / "failing"
    batch(warehouse, END, scores=scores)
    failed: Counter[str] = Counter()
    for call in CALLS:
        nth = 1
        while True:
            before = current(scores)
            with _failing(call, nth) as fired:
                try:
                    batch(warehouse, END, scores=scores)
                    raised = 0
                except OSError as error:
                    raised = error.errno or -1
            now = current(scores)
            folder.verify(now)
            if not fired:
                break
            failed[call] += 1
            # A failure after the pointer was switched comes too late to take it back: the run is whole and there.
            assert raised == errno.ENOSPC or now != before, f"the {nth}-th {call} failed and nobody was told"
            nth += step
            folder.prune(scores, 2)
    batch(warehouse, END, scores=scores)
    return dict(failed)


@contextmanager
def _failing(call: str, nth: int) -> Iterator[list[int]]:
    calls, fired = [0], []  # type: ignore[var-annotated]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*given: Any, **more: Any) -> Any:
            calls[0] += 1
            if calls[0] == nth:
                fired.append(nth)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(given[0]))
            return real(*given, **more)

        return asked

    match call:
        case "write":
            target: tuple[Any, str] = (durable.Hashed, "write")
        case "open":
            target = (durable, "writing")
        case _:
            target = (os, call)
    with mock.patch.object(*target, counted(getattr(*target))):
        yield fired


def flips(run: Run, count: int, seed: int) -> dict[str, int]:
    """Flip one bit of one file of the run, `count` times; each is found by name, and put back."""
    dice = random.Random(seed)
    files = sorted(file for file in run.folder.rglob("*") if file.is_file())
    seen: Counter[str] = Counter()
    for number in range(count):
        file = dice.choice(files)
        place, bit = dice.randrange(file.stat().st_size), dice.randrange(8)
        _flip(file, place, bit)
        told = _complaint(run.folder)
        assert str(file) in told, (
            f"seed {seed}, flip {number}: bit {bit} of byte {place} of {file} was not found"
        )
        seen["found"] += 1
        _flip(file, place, bit)
    folder.verify(run.folder)
    return dict(seen)


def _complaint(place: Path) -> str:
    try:
        folder.verify(place)
    except BadRun as error:
        return str(error)
    return ""


def _flip(file: Path, place: int, bit: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(place)
        byte = opened.read(1)[0]
        opened.seek(place)
        opened.write(bytes([byte ^ (1 << bit)]))


def polled(scratch: Path, publishes: int) -> dict[str, int]:
    """Publish runs whose every row says which run it is, while readers (DuckDB, PyArrow, ours) look every 10 ms. Nobody sees a mixture, a
    part or an error."""
    scores, over = scratch / "polled", threading.Event()
    seen: Counter[str] = Counter()
    wrong: list[str] = []

    def keep_looking(name: str, read: Callable[[Path], set[float]]) -> None:
        while not over.is_set():
            try:
                place = current(scores)
                found = read(place)
                number = int(place.name.split("-")[1])
                if found != {number / 1000}:
                    wrong.append(f"{name} saw {found} in {place.name}")
                seen[name] += 1
            except NoWarehouse:
                pass
            except Exception as error:  # a reader that fails is what this is about
                wrong.append(f"{name}: {error!r}")
            time.sleep(0.01)

    readers = {
        "DuckDB": lambda place: {row[0] for row in duckdb.connect().execute(
            "SELECT DISTINCT probability FROM read_parquet($1)", [f"{place}/long/*.parquet"]).fetchall()},
        "PyArrow": lambda place: {p for file in sorted((place / "long").glob("*.parquet"))
                                  for p in pq.read_table(file)["probability"].to_pylist()},
        "ours": lambda place: set(Run.open(place).scores([f"c{n}" for n in range(6)])["probability"].to_pylist()),
    }  # fmt: skip
    threads = [threading.Thread(target=keep_looking, args=given) for given in readers.items()]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, publishes + 1):
            drawn = "\n".join(f"c{n} churn {number / 1000} A visits 1 1" for n in range(6))
            night(scores, drawn)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:3]
    return dict(seen)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    kill: Annotated[int, typer.Option("--kills")] = 200,
    publishes: Annotated[int, typer.Option()] = 100,
    flip: Annotated[int, typer.Option("--flips")] = 100,
    step: Annotated[int, typer.Option(help="of failing calls, every so-manieth")] = 1,
    seed: Annotated[int, typer.Option(help="0: drawn")] = 0,
    shop: Annotated[Path | None, typer.Option(help="a shop that is there already")] = None,
) -> None:
    """Plant the faults and print what was counted."""
    if os.environ.get("OMP_NUM_THREADS") != "1":  # threads of LightGBM would not survive the forks
        os.execve(sys.executable, sys.orig_argv, os.environ | {"OMP_NUM_THREADS": "1"})
    seed = seed or random.SystemRandom().randrange(1, 10**6)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        if shop:
            shutil.copytree(shop / "var", scratch / "var", symlinks=True)
        else:
            open_shop_elsewhere(scratch)
        os.chdir(scratch)
        with nights_ready(scratch) as warehouse:
            print(f"kills: {kills(warehouse, scratch, kill, seed)}", flush=True)
            print(f"flips: {flips(Run.open(current(scratch / 'killed')), flip, seed)}", flush=True)
            print(f"failing calls: {failing_calls(warehouse, scratch, step)}", flush=True)
            print(
                f"looked at while {publishes} runs were published: {polled(scratch, publishes)}", flush=True
            )


if __name__ == "__main__":
    app()
