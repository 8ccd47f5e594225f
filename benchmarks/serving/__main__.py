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
from benchmarks.serving.load import Load, Right, closed_loop, open_loop
from benchmarks.serving.peers import TASK
from features import nightly
from features.command import run
from tests.serving.server import free_port, wait_until_ready
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


def _right(port: int, ids: list[str]) -> Right:
    """Whether an answer by id holds the probability that the server gives when nothing else is asked."""
    told: dict[str, float] = {}
    for at in range(0, len(ids), 5_000):
        question = json.dumps({"customer_ids": ids[at : at + 5_000], "tasks": [TASK]}).encode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/scores", question, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            told |= {one["customer_id"]: one.get("probability") for one in json.load(answer)["scores"]}

    def right(n: int, answer: bytes) -> bool:
        (score,) = json.loads(answer)["scores"]
        (asked_for,) = random.Random(n).sample(ids, 1)
        return score["customer_id"] == asked_for and score.get("probability") == told[asked_for]

    return right


def posted(ids: list[str], events: int) -> Callable[[int], bytes]:
    """Questions about one customer with so many orders of before the moment asked about."""

    def body(n: int) -> bytes:
        luck = random.Random(n)
        orders = [
            {
                "order_id": f"posted-{n}-{place}",
                "happened_at": f"202{luck.randint(2, 3)}-{luck.randint(1, 12):02}-{luck.randint(1, 28):02}T12:00:00Z",
                "kind": "order",
                "quantity": luck.randint(1, 5),
                "amount_cents": luck.randint(1_000, 50_000),
            }
            for place in range(events)
        ]
        asked = {
            "customer_id": luck.choice(ids),
            "as_of": "2024-06-19T12:00:00Z",
            "events": {"orders": orders},
        }
        return json.dumps(asked | {"tasks": [TASK]}).encode()

    return body


def processor_s(process: psutil.Process) -> float:
    """What a server and its workers have used so far."""
    times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
    return float(sum(one.user + one.system for one in times))


@app.command()
def main(
    folder: Annotated[
        Path | None, typer.Option(help="where something was promoted; default: a shop of its own")
    ] = None,
    seconds: Annotated[float, typer.Option(help="of each run")] = 5.0,
    rounds: Annotated[int, typer.Option()] = 3,
    crowd: Annotated[int, typer.Option(help="clients of the overload run; 0: none")] = 1_000,
    crowd_seconds: Annotated[float, typer.Option()] = 60.0,
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
        wait_until_ready(servers["ours"][0], 60)
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
        _events(servers["ours"], ids, rounds, seconds)
        _at_rates(servers, one, by_id, seconds)
        if crowd:
            _crowded(servers["ours"], one, crowd, crowd_seconds, _right(servers["ours"][0], ids))


def _events(server: tuple[int, float, psutil.Process], ids: list[str], rounds: int, seconds: float) -> None:
    """Posted events, which no peer answers: alone for the time of one, eight at once for how many."""
    port, _, process = server
    body, path = posted(ids, 200), "/v1/scores/events"
    closed_loop(port, body, 1, 1.0, path=path)
    alone, many, spent = [], [], []
    for _ in range(rounds):
        alone.append(closed_loop(port, body, 1, seconds, path=path))
        before = processor_s(process)
        many.append(closed_loop(port, body, 8, seconds, path=path))
        spent.append((processor_s(process) - before) / max(len(many[-1].took.get(200, ())), 1))
    rows = {
        "ours": {
            "p50 ms": [1e3 * load.percentile(50) for load in alone],
            "p99 ms": [1e3 * load.percentile(99) for load in alone],
            "8 clients, requests/s": [load.per_second for load in many],
            "processor ms each": [1e3 * one for one in spent],
        }
    }
    record("serving-events", "200 posted events beside the stored history, one task", rows)


def _at_rates(
    servers: dict[str, tuple[int, float, psutil.Process]],
    body: Callable[[int], bytes],
    by_id: dict[str, list[Load]],
    seconds: float,
) -> None:
    """By id at a quarter and at half of what bare Starlette can do."""
    peak = max(load.per_second for load in by_id["bare Starlette"])
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in servers}
    for share in (0.25, 0.5):
        for name, (port, _, _) in servers.items():
            load = open_loop(port, body, peak * share, seconds)
            every = sum(load.statuses.values())
            rows[name][f"{share:.0%}: p50 ms"] = [1e3 * load.percentile(50)]
            rows[name][f"{share:.0%}: p99 ms"] = [1e3 * load.percentile(99)]
            rows[name][f"{share:.0%}: answered"] = [load.statuses.get(200, 0) / max(every, 1)]
    record("serving-open", f"Open loop by id, at shares of bare Starlette's {peak:,.0f} requests/s", rows)


def _crowded(
    server: tuple[int, float, psutil.Process],
    body: Callable[[int], bytes],
    crowd: int,
    seconds: float,
    right: Right,
) -> None:
    """Many more than can be answered, beside the same server with eight who ask just before; every answer looked at."""
    port, _, process = server
    peak = closed_loop(port, body, 8, 5.0, right=right).per_second
    before_mb = worker_megabytes(process)
    load = closed_loop(port, body, crowd, seconds, right=right)
    after = closed_loop(port, body, 8, 5.0, right=right)
    result = {
        "clients": crowd,
        "statuses": load.statuses,
        "wrong": load.wrong + after.wrong,
        "goodput, share of peak": load.per_second / peak,
        "accepted p99 s": load.percentile(99),
        "refused p99 s": load.percentile(99, 503),
        "memory, times before": worker_megabytes(process) / before_mb,
        "the 5 s afterwards, share of peak": after.per_second / peak,
    }
    for what, value in result.items():
        print(f"{what:34} {value:.3f}" if isinstance(value, float) else f"{what:34} {value}")
    write("serving-crowd", result)


if __name__ == "__main__":
    run(app)
