"""Nothing is asked of the world outside: with every way out closed a night is scored, asked about, exported and erased."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

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
from tests.no_way_out import no_way_out
from tests.shop import END
from training import registry

NOW = datetime(2024, 6, 19, 12, tzinfo=UTC)


IN_THE_DARK = """
import fcntl, socket, struct
from pathlib import Path
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:  # a new namespace has its loopback down, and nothing else
    fcntl.ioctl(asked, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))
assert [name for _, name in socket.if_nameindex()] == ["lo"]
from tests.serving.server import ask, serving
with serving(Path.cwd()) as port:
    status, answer = ask(port, "/v1/scores", {"customer_ids": ["C00001"]})
    assert status == 200 and '"status":"scored"' in answer, answer
    assert ask(port, "/v1/drift")[0] == ask(port, "/docs")[0] == ask(port, "/console")[0] == 200
"""


def test_the_closed_ways_are_closed() -> None:
    with no_way_out() as asked_for:
        with socket.socket() as line, pytest.raises(OSError, match="no route"):
            line.connect(("192.0.2.1", 80))
        with pytest.raises(OSError, match="no name server"):
            socket.getaddrinfo("example.org", 80)
    assert asked_for == [("192.0.2.1", 80), "example.org"]


def test_loading_training_and_the_batch_ask_nothing_outside(shop: Path) -> None:
    """The shop of all these tests is made with every way out closed; its fixture fails when any was tried."""
    assert {"warehouse", "models", "promotions", "scores"} <= {one.name for one in (shop / "var").iterdir()}


@pytest.mark.slow
def test_the_service_answers_where_there_is_no_route(in_shop: Path) -> None:
    """In a network namespace of its own, which has no interface but loopback."""
    alone = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [*alone, sys.executable, "-c", IN_THE_DARK], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]


@pytest.mark.usefixtures("own_shop")
def test_a_day_without_a_network() -> None:
    with no_way_out() as asked_for:
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
