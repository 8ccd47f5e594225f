"""Who does not allow it has no score, whichever way one asks, as soon as they have said so; and a run that is published names none."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from features.errors import LedgerUnreadable
from features.home import ledgers_folder
from features.warehouse import connect
from serving.batch import batch
from serving.contract.consents import ConsentsRequest
from serving.contract.events import EventsRequest, WhatIfRequest
from serving.contract.lists import ListRequest
from serving.contract.people import HistoryRequest
from serving.contract.scores import Score
from serving.contract.words import Told
from serving.desk import Desk
from serving.runs import Run, folder
from tests.faults.consents import named_in, withdrawn_meanwhile
from tests.shop import END

AS_OF = "2024-06-19T00:00:00Z"
WHY = Told("withdrew the consent for marketing", "已撤回用于营销的同意")
WHO = "C00001"


@pytest.fixture
def desk(own_desk: Desk) -> Desk:
    return own_desk


def tell(desk: Desk, state: str = "withdrawn", purpose: str = "marketing", who: str = WHO) -> None:
    changes = [{"customer_id": who, "purpose": purpose, "state": state}]
    desk.consents(msgspec.convert({"changes": changes}, ConsentsRequest), "a token")


def by_events(desk: Desk, **more: Any) -> list[Score]:
    body = {"customer_id": WHO, "as_of": AS_OF, "events": {}, "tasks": ["churn"], **more}
    return desk.events(msgspec.convert(body, EventsRequest, strict=False)).scores


def nobody(scores: list[Score], why: Told = WHY) -> bool:
    return all(
        (one.status, one.probability, one.score_id, one.note) == ("no_consent", None, None, why)
        for one in scores
    )


def test_whoever_withdrew_is_refused_with_the_reason_whichever_way_one_asks(desk: Desk) -> None:
    assert desk.scores([WHO]).scores[0].status == "scored"
    tell(desk)
    assert nobody(desk.scores([WHO]).scores)
    assert nobody(by_events(desk))
    assert nobody(by_events(desk, as_of="2024-01-01T00:00:00Z"))
    supposed = {"customer_id": WHO, "as_of": AS_OF, "suppose": {"events": {}}, "tasks": ["churn"]}
    changed = {"customer_id": WHO, "suppose": {"features": {"days_since_order": 1}}, "tasks": ["churn"]}
    for body in (supposed, changed):
        (pair,) = desk.what_if(msgspec.convert(body, WhatIfRequest, strict=False)).pairs
        assert nobody([pair.as_is, pair.supposed])
    everybody = msgspec.convert({"task": "churn", "capacity": 10_000}, ListRequest)
    assert WHO not in {one.customer_id for one in desk.campaign_list(everybody).customers}
    shown = desk.history(msgspec.convert({"customer_id": WHO, "months": 3}, HistoryRequest))
    assert {probability for task in shown.would_have_been for probability in task.probabilities} == {None}


def test_posting_another_past_gives_nothing_back(desk: Desk) -> None:
    tell(desk)
    profile = [{"profile_id": "p", "happened_at": "2023-01-05T00:00:00Z"}]
    granted = [
        {
            "consent_id": f"x-{purpose}",
            "happened_at": "2024-06-18T00:00:00Z",
            "purpose": purpose,
            "state": "granted",
        }
        for purpose in ("service", "marketing", "profiling")
    ]
    orders = [{"order_id": "o", "happened_at": "2024-05-01T00:00:00Z", "kind": "order"}]
    given = {"customers": profile, "consents": granted, "orders": orders}
    assert nobody(by_events(desk, history="given", events=given))
    assert nobody(by_events(desk, events={"consents": granted}))


def test_a_history_given_whole_of_somebody_unknown_says_what_they_allow_or_there_is_no_score(
    desk: Desk,
) -> None:
    profile = [{"profile_id": "p", "happened_at": "2023-01-05T00:00:00Z"}]
    orders = [{"order_id": "o", "happened_at": "2024-05-01T00:00:00Z", "kind": "order"}]
    silent = by_events(
        desk, customer_id="new", history="given", events={"customers": profile, "orders": orders}
    )
    assert nobody(silent, Told("no consent for marketing is known", "未见其同意用于营销"))


def test_an_answer_given_before_is_not_given_again(desk: Desk) -> None:
    assert by_events(desk, idempotency_key="one-key-0001")[0].status == "scored"
    tell(desk)
    assert nobody(by_events(desk, idempotency_key="one-key-0001"))


def test_given_again_the_night_decides_again(desk: Desk) -> None:
    before = desk.scores([WHO], ["churn"]).scores[0].probability
    tell(desk)
    tell(desk, "granted")
    assert desk.scores([WHO], ["churn"]).scores[0].probability == before


def test_an_objection_to_profiling_ends_every_score_and_one_to_marketing_those_for_marketing(
    desk: Desk,
) -> None:
    tell(desk, "refused", "profiling")
    assert {one.status for one in desk.scores([WHO]).scores} == {"no_consent"}


def test_nobody_is_scored_when_the_ledger_cannot_be_read(desk: Desk) -> None:
    tell(desk)
    (ledgers_folder() / "consents.ledger").write_bytes(b"something else\n")
    with pytest.raises(LedgerUnreadable):
        desk.scores(["C00002"])
    before = Path("var/scores/CURRENT").read_text()
    with pytest.raises(LedgerUnreadable):
        batch(connect(), END, ["churn"], valid_days=3)
    assert Path("var/scores/CURRENT").read_text() == before


def test_a_run_names_nobody_who_withdrew_and_counts_them_by_reason(desk: Desk) -> None:
    tell(desk)
    run = batch(connect(), END, valid_days=3)
    assert WHO not in named_in(run.folder)
    for facts in run.manifest.tasks.values():
        assert facts.excluded[WHY.en] == 1
        assert facts.scored + facts.rejected + sum(facts.excluded.values()) == run.manifest.population


def test_a_run_of_before_is_read_without_those_who_withdrew_since(desk: Desk) -> None:
    run = Run.open()
    there = run.scores([WHO]).num_rows
    assert there
    tell(desk)
    assert not Run.open(run.folder).scores([WHO]).num_rows
    assert WHO not in run.ranked("churn")["customer_id"].to_pylist()
    assert all(WHO not in table["customer_id"].to_pylist() for table in run.rows("wide"))
    batch(connect(), END, valid_days=3)
    back = folder.rollback(Path("var/scores"))
    assert not Run.open(back).scores([WHO]).num_rows


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_withdrawals_while_the_batch_works_are_in_no_file_of_the_run(
    desk: Desk, tmp_path: Path, seed: int
) -> None:
    assert desk.scorers
    counted = withdrawn_meanwhile(connect(), tmp_path / "scores", 100, seed, lasts_s=4.0)
    assert counted["withdrew before"] > 0
