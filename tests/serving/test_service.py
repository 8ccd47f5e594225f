"""The hosted service: BentoML around the routes, ready only after a golden prediction."""

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from serving.service import Propensity, app
from training.artefact import Loaded


def get(port: int, path: str, body: object = None) -> tuple[int, str]:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.slow
def test_it_starts_answers_and_stops(in_shop: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        "serving.service:Propensity",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline:
                try:
                    if get(port, "/readyz")[0] == 200:
                        break
                except (urllib.error.URLError, ConnectionError):
                    pass
                time.sleep(0.3)
            status, text = get(port, "/v1/scores", {"customer_ids": ["C00001", "nobody"], "tasks": ["churn"]})
            assert status == 200, text
            assert [score["status"] for score in json.loads(text)["scores"]] == ["scored", "unknown"]
            assert get(port, "/v1/tasks")[0] == 200
            assert get(port, "/livez")[0] == 200
            assert get(port, "/v1/scores", {"customer_ids": []})[0] == 422
        finally:
            server.terminate()
            assert server.wait(timeout=60) is not None


def test_readiness_is_a_golden_prediction(in_shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Propensity.inner()
    assert asyncio.run(service.__is_ready__())
    desk = app.state.desk
    churn = desk.scorers["churn"].loaded
    monkeypatch.setattr(
        desk.scorers["churn"],
        "loaded",
        Loaded(churn.model, churn.card, churn.digest, churn.golden, churn.expected + 1e-15),
    )
    assert not asyncio.run(service.__is_ready__())
