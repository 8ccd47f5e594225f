"""The hosted service under signals: a stop loses no request, a killed worker comes back, a crowd is borne."""

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.serving.server import ask, free_port, serve_command

pytestmark = pytest.mark.slow
TIMES = int(os.environ.get("PROPENSITY_SIGNALS", "1"))
"""So often a service is stopped under load, and so often a worker is killed; `make faults` does it 20 times."""

BODY = {"customer_ids": ["C00001"], "tasks": ["churn"]}


@contextmanager
def replica(folder: Path, drain_s: float) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    environment = os.environ | {"PROPENSITY_DRAIN_S": str(drain_s), "PROPENSITY_FOLLOW_S": "0"}
    with subprocess.Popen(
        serve_command(port),
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            ready_within(port, 240)
            yield server, port
        finally:
            if server.poll() is None:
                server.terminate()
                server.wait(timeout=60)


def is_ready(port: int) -> bool:
    try:
        return ask(port, "/readyz")[0] == 200
    except OSError:
        return False


def ready_within(port: int, seconds: float) -> float:
    begun = time.monotonic()
    while not is_ready(port):
        assert time.monotonic() - begun < seconds, "not ready"
        time.sleep(0.2)
    return time.monotonic() - begun


@pytest.mark.parametrize("time_", range(TIMES))
def test_a_stop_under_load_fails_no_request(in_shop: Path, time_: int) -> None:
    """Clients behave as behind a balancer: they go on until readiness, looked at five times a second, says no."""
    with replica(in_shop, drain_s=3) as (server, port):
        ready, statuses, broken = threading.Event(), Counter[int](), []
        ready.set()

        def client() -> None:
            while ready.is_set():
                try:
                    status, text = ask(port, "/v1/scores", BODY)
                    statuses[status] += 1
                    if status == 200:
                        assert json.loads(text)["scores"][0]["status"] == "scored"
                except OSError as error:
                    broken.append(repr(error))

        def balancer() -> None:
            while is_ready(port):
                time.sleep(0.2)
            ready.clear()

        threads = [threading.Thread(target=client) for _ in range(4)] + [threading.Thread(target=balancer)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        server.terminate()
        for thread in threads:
            thread.join(60)
        assert server.wait(60) == 0
        assert not broken
        assert set(statuses) == {200}
        assert statuses[200] > 20


def test_a_killed_worker_comes_back_and_its_port_stays(
    in_shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back = []
    with replica(in_shop, drain_s=0) as (server, port):
        for _ in range(TIMES):
            workers = [
                c
                for c in psutil.Process(server.pid).children()
                if "_bentoml_impl.worker" in " ".join(c.cmdline())
            ]
            assert len(workers) == 1
            begun = time.monotonic()
            os.kill(workers[0].pid, signal.SIGKILL)
            time.sleep(0.5)
            ready_within(port, 240)
            back.append(time.monotonic() - begun)
            assert ask(port, "/v1/scores", BODY)[0] == 200
    with capsys.disabled():
        print(f"\nkilled {len(back)} times: ready again after {max(back):.1f} s at most")


def test_it_refuses_to_be_reached_from_elsewhere_without_a_token(in_shop: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        serve_command(port, "0.0.0.0"), cwd=in_shop, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        try:
            assert server.stdout is not None
            said = b""
            deadline = time.monotonic() + 240
            while b"serving.edge.askers make" not in said and time.monotonic() < deadline:
                said += server.stdout.readline()
            assert b"serving.edge.askers make" in said
            assert not is_ready(port)
        finally:
            server.terminate()
            server.wait(timeout=60)
