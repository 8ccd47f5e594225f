"""A person overrules: whatever is said about the customer and task from then on says so, until it is settled."""

import msgspec
import pyarrow as pa
import pytest

from features.audit.verify import records
from features.decisions import Decided, Decisions
from features.errors import LedgerUnreadable, UnknownName
from features.home import audit_folder, ledgers_folder
from features.warehouse import connect
from serving.batch import batch
from serving.contract.decisions import DecisionsRequest
from serving.contract.events import EventsRequest
from serving.desk import Desk
from tests.shop import END

WHO, OTHER = "C00001", "C00002"


@pytest.fixture
def desk(own_desk: Desk) -> Desk:
    return own_desk


def decide(desk: Desk, decision: str, task: str = "churn") -> None:
    told = [{"customer_id": WHO, "task": task, "decision": decision}]
    desk.decisions(msgspec.convert({"decisions": told}, DecisionsRequest), None, "an adviser")


def test_later_scores_say_so_from_the_service_and_from_the_batch(desk: Desk) -> None:
    assert {one.decided for one in desk.scores([WHO, OTHER]).scores} == {None}
    decide(desk, "contested")
    said = {(one.customer_id, one.task): one.decided for one in desk.scores([WHO, OTHER]).scores}
    assert [pair for pair, decided in said.items() if decided] == [(WHO, "churn")]
    assert said[WHO, "churn"].decision == "contested"  # type: ignore[union-attr]
    asked = {"customer_id": WHO, "as_of": "2024-06-19T00:00:00Z", "events": {}, "tasks": ["churn"]}
    (posted,) = desk.events(msgspec.convert(asked, EventsRequest, strict=False)).scores
    assert posted.decided == said[WHO, "churn"]
    decide(desk, "human_decided")
    run = batch(connect(), END, valid_days=3)
    rows = pa.concat_tables(run.rows("long", ["decided"])).to_pylist()
    assert [row["decided"] for row in rows if row["decided"]] == ["human_decided"]
    decide(desk, "settled")
    assert {one.decided for one in desk.scores([WHO]).scores} == {None}


def test_each_is_recorded_and_names_nobody_and_one_about_no_task_is_refused(desk: Desk) -> None:
    decide(desk, "contested")
    (entry,) = [
        record.entry
        for record in records(audit_folder())
        if record.entry.action == "decision" and record.entry.who == "an adviser"
    ]
    assert (entry.who, entry.purpose, entry.result) == ("an adviser", "churn", "contested")
    assert WHO.encode() not in (ledgers_folder() / "decisions.ledger").read_bytes()
    with pytest.raises(UnknownName):
        decide(desk, "contested", "no_such_task")


def test_another_process_minds_it_and_a_damaged_ledger_is_no_silence(desk: Desk) -> None:
    decide(desk, "contested")
    other = Decisions(type(Decisions.here().ledger)(ledgers_folder() / "decisions.ledger", Decided))
    assert set(other.of([WHO, OTHER], "churn")) == {WHO}
    (ledgers_folder() / "decisions.ledger").write_bytes(b"ledger 1\nnonsense\n")
    with pytest.raises(LedgerUnreadable):
        desk.scores([WHO])
