"""Run the comparison on the small invented shop of the tests, or on `--folder` where something was promoted."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import psutil
import typer

from benchmarks.record import record, write
from benchmarks.serving.load import Load, closed_loop
from benchmarks.serving.peers import TASK
from features import nightly
from features.command import run
from tests.serving.server import free_port
from tests.shop import open_shop

SERVE = [sys.executable, "-m", "bentoml", "serve"]
COMMANDS = {
    "ours": [*SERVE, "serving.service:Propensity", "--host", "127.0.0.1", "--port"],
    "bare Starlette": [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.serving.peers:bare", "--log-level", "error", "--no-access-log", "--port"],
    "plain @bentoml.api": [*SERVE, "benchmarks.serving.peers:Plain", "--host", "127.0.0.1", "--port"],
}  # fmt: skip
app = typer.Typer(add_completion=False)


@contextmanager
def started(name: str, folder: Path) -> Iterator[tuple[int, float, psutil.Process]]:
    """A server's port, the seconds from start to ready, and its process."""
    port = free_port()
    environment = os.environ | {
        "PYTHONPATH": str(Path.cwd()),
        "PROPENSITY_DRAIN_S": "0",
        "PROPENSITY_FOLLOW_S": "0",
    }
    begun = time.perf_counter()
    with subprocess.Popen(
        [*COMMANDS[name], str(port)],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            while not _ready(port):
                if time.perf_counter() - begun > 300 or server.poll() is not None:
                    raise RuntimeError(f"{name} does not become ready")
                time.sleep(0.05)
            yield port, time.perf_counter() - begun, psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait(timeout=60)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def worker_megabytes(process: psutil.Process) -> float:
    """Of the largest process: the one that answers."""
    family = [process, *process.children(recursive=True)]
    return max(one.memory_info().rss for one in family) / 2**20


def bodies(ids: list[str], size: int) -> Callable[[int], bytes]:
    def body(n: int) -> bytes:
        chosen = random.Random(n).sample(ids, size)
        return json.dumps({"customer_ids": chosen, "tasks": [TASK]}).encode()

    return body


@app.command()
def main(
    folder: Annotated[
        Path | None, typer.Option(help="where something was promoted; default: a shop of its own")
    ] = None,
    seconds: Annotated[float, typer.Option(help="of each run")] = 5.0,
    rounds: Annotated[int, typer.Option()] = 3,
    crowd: Annotated[int, typer.Option(help="clients of the overload run; 0: none")] = 300,
    crowd_seconds: Annotated[float, typer.Option()] = 15.0,
) -> None:
    """Print the table of ratios."""
    place = folder or open_shop(Path(tempfile.mkdtemp()))
    here = Path.cwd()
    os.chdir(place)
    ids = [str(one) for one in nightly.latest().table()["customer_id"].to_pylist()]
    os.chdir(here)
    ids = ids[:: max(len(ids) // 20_000, 1)]
    with ExitStack() as stack:
        servers = {name: stack.enter_context(started(name, place)) for name in COMMANDS}
        one, many = bodies(ids, 1), bodies(ids, min(500, len(ids)))
        for port, _, _ in servers.values():
            closed_loop(port, one, 2, 1.0)
        by_id: dict[str, list[Load]] = {name: [] for name in servers}
        in_bulk: dict[str, list[Load]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, (port, _, _) in servers.items():
                by_id[name].append(closed_loop(port, one, 8, seconds))
                in_bulk[name].append(closed_loop(port, many, 1, seconds / 2))
        rows = {}
        for name, (_, ready_s, process) in servers.items():
            rows[name] = {
                "by id, requests/s": [load.per_second for load in by_id[name]],
                "ours / theirs": [
                    a.per_second / b.per_second for a, b in zip(by_id["ours"], by_id[name], strict=True)
                ],
                "p50 ms": [1e3 * load.percentile(50) for load in by_id[name]],
                "p99 ms": [1e3 * load.percentile(99) for load in by_id[name]],
                "500 ids, p50 ms": [1e3 * load.percentile(50) for load in in_bulk[name]],
                "start to ready s": [ready_s],
                "worker MB": [worker_megabytes(process)],
            }
        record("serving", f"One worker each, 8 clients, {rounds} rounds of {seconds:g} s", rows)
        if crowd:
            _crowded(servers["ours"], one, by_id["ours"], crowd, crowd_seconds)


def _crowded(
    server: tuple[int, float, psutil.Process],
    body: Callable[[int], bytes],
    usual: list[Load],
    crowd: int,
    seconds: float,
) -> None:
    port, _, process = server
    before_mb = worker_megabytes(process)
    load = closed_loop(port, body, crowd, seconds)
    after = closed_loop(port, body, 8, 3.0)
    peak = max(one.per_second for one in usual)
    result = {
        "clients": crowd,
        "statuses": load.statuses,
        "goodput, share of peak": load.per_second / peak,
        "accepted p99 s": load.percentile(99),
        "refused p99 s": load.percentile(99, 503),
        "memory, times before": worker_megabytes(process) / before_mb,
        "afterwards, share of peak": after.per_second / peak,
    }
    for what, value in result.items():
        print(f"{what:28} {value:.3f}" if isinstance(value, float) else f"{what:28} {value}")
    write("serving-crowd", result)


if __name__ == "__main__":
    run(app)
