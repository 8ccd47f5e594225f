"""An MLflow server in a process of its own, with its runs in a PostgreSQL, for the time of a `with` block."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.engines import postgres_server

__all__ = ["tracking_server"]

SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else ten processes, of which some outlive their parent
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@contextmanager
def tracking_server(folder: Path, seconds: float = 150) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a server that answers, and its process; artefacts lie in `folder` and travel through the server."""
    with postgres_server() as database, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", "1", "--artifacts-destination", str(folder / "artefacts")),
            *("--backend-store-uri", database.replace("postgresql:", "postgresql+psycopg:", 1)),
        ]
        log = folder / "server.log"
        with (
            log.open("wb") as written,
            subprocess.Popen(
                command, stdout=written, stderr=subprocess.STDOUT, env=os.environ | SETTINGS, cwd=folder,
                start_new_session=True,
            ) as server,
        ):  # fmt: skip
            try:
                _wait_for(f"http://127.0.0.1:{port}/health", server, log, time.monotonic() + seconds)
                yield f"http://127.0.0.1:{port}", server
            finally:
                stop(server)


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server with every process it started."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGTERM)
    server.wait(timeout=60)


def _wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path, deadline: float) -> None:
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.3)
    raise RuntimeError(f"the tracking server did not start:\n{log.read_text()[-2000:]}")
