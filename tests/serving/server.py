"""A scoring service in a process of its own, for the time of a `with` block."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ask", "free_port", "serve_command", "serving", "wait_until_ready"]


def ask(port: int, path: str, body: object = None, token: str = "") -> tuple[int, str]:
    """GET, or POST with a JSON body: status and text."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def serve_command(port: int, host: str = "127.0.0.1") -> list[str]:
    """How the service is started."""
    service = "serving.service:Propensity"
    return [sys.executable, "-m", "bentoml", "serve", service, "--host", host, "--port", str(port)]


@contextmanager
def serving(
    folder: Path,
    seconds: float = 240,
    env: Mapping[str, str] | None = None,
    said: Path | None = None,
    token: str = "",
) -> Iterator[int]:
    """The port of a service that is ready, started in `folder`; it is told to stop, and must, at the end. What its processes
    say goes into the file `said`. Where it has tokens, it is asked with one whether it is ready."""
    port = free_port()
    with (
        (said or Path(os.devnull)).open("wb") as words,
        subprocess.Popen(
            serve_command(port),
            cwd=folder,
            env=os.environ | {"PROPENSITY_DRAIN_S": "0"} | dict(env or {}),
            stdout=words,
            stderr=words,
        ) as server,
    ):
        try:
            wait_until_ready(port, seconds, token)
            yield port
        finally:
            server.terminate()
            server.wait(timeout=60)


def wait_until_ready(port: int, seconds: float, token: str = "") -> None:
    """Return once the service is ready, stored histories are at hand too. Raises `TimeoutError`."""
    nobody = {"customer_id": "nobody", "as_of": "2020-01-01T00:00:00Z", "events": {}}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if (
                ask(port, "/readyz", token=token)[0] == 200
                and ask(port, "/v1/scores/events", nobody, token)[0] != 503
            ):
                return
        except OSError:  # nobody listens yet, or the worker is still being loaded
            pass
        time.sleep(0.3)
    raise TimeoutError("the service did not become ready")
