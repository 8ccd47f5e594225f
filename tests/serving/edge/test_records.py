"""Every answer about customers and every failed login is one record, without an id in it; no record, no answer."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from features.audit import Trail, verify
from features.audit.trail import Record
from features.audit.verify import records
from features.pseudonyms import Pseudonyms
from serving.desk import Desk
from serving.edge import door
from serving.edge import records as edge_records
from serving.edge.app import Edge
from serving.edge.askers import TokenFile
from serving.edge.door import Door
from serving.edge.records import MOST_FAILURES_A_SECOND, Records
from serving.score_log import ScoreLog
from serving.scorer import Scorer
from tests.serving.edge.counter import client
from training import registry

CHAINS, ANCHORS = Path("trail/audit"), Path("trail/anchors")


@pytest.fixture
def asked_edge(in_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """The service's edge before the shop's desk, with records of its own."""
    scorers = {champion.task: Scorer(champion) for champion in registry.champions()}
    edge = Edge()
    edge.desk = Desk(scorers, in_shop / "var/features", ScoreLog(tmp_path / "score-log"))
    monkeypatch.chdir(tmp_path)
    edge.records = Records(Trail(CHAINS, ANCHORS), Pseudonyms.open(Path("pseudonym.key")))
    return edge


def noted() -> list[Record]:
    verify(CHAINS, ANCHORS)
    return list(records(CHAINS))


def asking(edge: Edge) -> TestClient:
    return client(edge)


def test_a_question_about_customers_is_one_record_that_names_nobody(asked_edge: Edge) -> None:
    answer = asking(asked_edge).post(
        "/v1/scores", json={"customer_ids": ["C00001", "nobody"], "tasks": ["churn"]}
    )
    assert answer.status_code == 200
    (record,) = noted()
    pseudonyms = Pseudonyms.open(Path("pseudonym.key"))
    assert record.entry.who == "development"
    assert record.entry.action == "score"
    assert record.entry.purpose == asked_edge.desk.scorers["churn"].card.purpose
    assert record.entry.models == {"churn": asked_edge.desk.scorers["churn"].version}
    assert list(record.entry.subjects) == pseudonyms.all(["C00001", "nobody"])
    written = b"".join(file.read_bytes() for file in Path("trail").rglob("*") if file.is_file())
    assert b"C00001" not in written
    assert b"nobody" not in written


def test_an_alarm_is_one_record_more_and_counted(asked_edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPENSITY_ALARM_TIMES_PER_HOUR", "3")
    asked_edge.records = Records(Trail(CHAINS, ANCHORS), Pseudonyms.open(Path("pseudonym.key")))
    for _ in range(6):
        assert asking(asked_edge).post("/v1/scores", json={"customer_ids": ["C00001"]}).status_code == 200
    told = [record.entry for record in noted()]
    (alarm,) = (entry for entry in told if entry.action == "alarm")
    assert (alarm.who, alarm.result, alarm.count, alarm.subjects) == ("development", "feels out", 4, ())
    assert len(told) == 7
    assert 'propensity_alarms_total{kind="feels out"}' in asking(asked_edge).get("/metrics").text


def test_a_question_about_models_or_one_refused_is_no_record_of_a_customer(asked_edge: Edge) -> None:
    assert asking(asked_edge).get("/v1/tasks").status_code == 200
    assert asking(asked_edge).post("/v1/scores", json={"customer_ids": []}).status_code == 422
    assert noted() == []


def test_what_cannot_be_recorded_is_not_answered(asked_edge: Edge) -> None:
    CHAINS.parent.mkdir()
    CHAINS.touch()
    answer = asking(asked_edge).post("/v1/scores", json={"customer_ids": ["C00001"]})
    assert answer.status_code == 503
    assert "could not be recorded" in answer.json()["detail"]
    assert "scores" not in answer.json()


def test_who_is_not_let_in_is_recorded_and_knocking_does_not_fill_the_disk(
    asked_edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: float) -> None:
        """Whoever knocks from many places at the same time is not slowed down by the pause after each."""

    clock = [1.0]
    monkeypatch.setattr(door, "pause", at_once)
    monkeypatch.setattr(edge_records, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    asked_edge.door = Door(TokenFile(Path("tokens.json")))
    knocks = 10 * MOST_FAILURES_A_SECOND
    for _ in range(knocks):
        assert asking(asked_edge).get("/v1/tasks").status_code == 401
    assert [record.entry.count for record in noted()] == [1] * MOST_FAILURES_A_SECOND
    clock[0] = 2.0
    assert asking(asked_edge).get("/v1/tasks").status_code == 401
    found = noted()
    assert {record.entry.action for record in found} == {"login-failed"}
    assert found[-1].entry.count == knocks - MOST_FAILURES_A_SECOND + 1
