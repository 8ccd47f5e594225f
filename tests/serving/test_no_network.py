"""Nothing is asked of the world outside: with every way out closed a night is scored, asked about, exported and erased."""

import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from features.warehouse import connect
from serving.batch import batch
from serving.contract.events import EventsRequest
from serving.desk import Desk
from serving.doctor import examined
from serving.privacy import erase, export
from serving.score_log import ScoreLog
from serving.scorer import Scorer
from tests.shop import END
from training import registry

NOW = datetime(2024, 6, 19, 12, tzinfo=UTC)


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that anybody tries to reach, none of which is reached."""
    found: list[Any] = []

    def refused(_socket: socket.socket, address: Any) -> None:
        found.append(address)
        raise OSError("there is no route")

    def unknown(host: Any, *_: Any, **__: Any) -> None:
        found.append(host)
        raise OSError("there is no name server")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket.socket, "connect_ex", refused)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    return found


def test_a_day_without_a_network(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_for: list[Any]
) -> None:
    shutil.copytree(shop / "var", tmp_path / "here/var", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    batch(connect(), END, valid_days=3)
    scorers = {champion.task: Scorer(champion) for champion in registry.champions()}
    desk = Desk(scorers, Path("var/features"), ScoreLog(Path("var/score-log")), lambda: NOW)
    assert desk.scores(["C00001"]).scores[0].status == "scored"
    posted = {"customer_id": "C00002", "as_of": "2024-06-19T00:00:00Z", "events": {}}
    assert desk.events(msgspec.convert(posted, EventsRequest, strict=False)).scores[0].status == "scored"
    assert export("C00001")["scores_given"]
    assert erase("C00001").gone["runs of scores"] == 2
    assert examined(NOW)
    assert asked_for == []
