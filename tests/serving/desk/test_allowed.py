"""An explanation says what the customer allowed when they were scored, and what they allow now, in both languages."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pyarrow as pa
import pytest

from features.errors import NoWarehouse
from features.sources import CANONICAL
from features.standing import Standing
from serving.contract.consents import ConsentsRequest
from serving.contract.events import EventsRequest
from serving.contract.refusals import Refused
from serving.desk import Desk
from serving.desk.allowed import allowed_now, allowed_then
from serving.score_log import LoggedScore

AT = datetime(2024, 6, 1)
LATER = AT + timedelta(days=30)
WHO = "C00001"


def tell(desk: Desk, state: str, purpose: str = "marketing") -> None:
    changes = [{"customer_id": WHO, "purpose": purpose, "state": state}]
    desk.consents(msgspec.convert({"changes": changes}, ConsentsRequest), "crm")


def test_of_a_score_from_rows_then_stays_and_now_follows(own_desk: Desk) -> None:
    (score,) = own_desk.scores([WHO], ["churn"]).scores
    before = own_desk.explanation(score.score_id or "")
    assert [(one.purpose, one.status, one.source) for one in before.allowed_then] == [
        (purpose, "granted", "tables") for purpose in ("marketing", "service", "profiling")
    ]
    assert all(one.recorded_at is not None for one in before.allowed_then)
    assert before.allowed_now == before.allowed_then
    assert (before.allowed_then[0].en, before.allowed_then[0].zh) == ("agreed to marketing", "已同意用于营销")
    began = datetime.now(UTC)
    tell(own_desk, "withdrawn")
    after = own_desk.explanation(score.score_id or "")
    assert after.allowed_then == before.allowed_then
    now = after.allowed_now[0]
    assert (now.status, now.source, now.en, now.zh) == (
        "withdrawn", "told", "withdrew the consent for marketing", "已撤回用于营销的同意",
    )  # fmt: skip
    assert now.recorded_at is not None
    assert began <= now.recorded_at <= datetime.now(UTC)
    assert after.allowed_now[1:] == before.allowed_now[1:]
    tell(own_desk, "granted")
    assert own_desk.explanation(score.score_id or "").allowed_now == before.allowed_now


def test_of_a_score_whose_consent_came_with_the_events(own_desk: Desk) -> None:
    at = "2024-06-18T00:00:00Z"
    granted = [
        {"consent_id": f"x-{purpose}", "happened_at": at, "purpose": purpose, "state": "granted"}
        for purpose in ("service", "marketing", "profiling")
    ]
    events = {
        "customers": [{"profile_id": "p", "happened_at": "2023-01-05T00:00:00Z"}],
        "orders": [{"order_id": "o", "happened_at": "2024-05-01T00:00:00Z", "kind": "order"}],
        "consents": granted,
    }
    body = {"customer_id": "new", "as_of": "2024-06-19T00:00:00Z", "history": "given", "events": events}
    (score,) = own_desk.events(
        msgspec.convert(body | {"tasks": ["churn"]}, EventsRequest, strict=False)
    ).scores
    told = own_desk.explanation(score.score_id or "")
    assert {(one.status, one.source, one.recorded_at) for one in told.allowed_then} == {
        ("granted", "posted", None)
    }
    assert {(one.status, one.source) for one in told.allowed_now} == {("unknown", "tables")}


def row(state: str, day: int, **more: Any) -> dict[str, Any]:
    at = AT + timedelta(days=day)
    empty = dict.fromkeys(CANONICAL["consents"].column_names)
    key = {"consent_id": f"{day}{state}", "customer_id": "a", "happened_at": at, "known_at": at}
    return empty | key | {"purpose": "marketing", "state": state} | more


@pytest.mark.parametrize(
    ("rows", "then", "now"),
    [
        ([row("granted", -9)], ("granted", -9), ("granted", -9)),
        ([row("granted", -9), row("withdrawn", 3)], ("granted", -9), ("withdrawn", 3)),
        ([row("refused", -20), row("granted", -9)], ("granted", -9), ("granted", -9)),
        ([row("granted", -9, expires_at=LATER - timedelta(days=1))], ("granted", -9), ("ended", -9)),
        ([row("granted", -9), row("withdrawn", -2, known_at=AT)], ("granted", -9), ("withdrawn", -2)),
        ([row("granted", -9, superseded_at=AT + timedelta(days=1))], ("granted", -9), ("unknown", None)),
    ],
)
def test_states_are_read_as_they_were_known(rows: list[dict[str, Any]], then: Any, now: Any) -> None:
    score = cast(
        LoggedScore,
        SimpleNamespace(customer_id="a", as_of=AT, origin="rows", model=SimpleNamespace(purpose="marketing")),
    )
    table = pa.Table.from_pylist(rows, CANONICAL["consents"].arrow_schema)
    for found, (status, day) in ((allowed_then(score, table), then), (allowed_now(score, table, LATER), now)):
        at = None if day is None else (AT + timedelta(days=day)).replace(tzinfo=UTC)
        assert (found[0].status, found[0].source, found[0].recorded_at) == (status, "tables", at)


def test_where_consent_is_kept_elsewhere_that_is_said() -> None:
    score = cast(
        LoggedScore,
        SimpleNamespace(customer_id="a", as_of=AT, origin="rows", model=SimpleNamespace(purpose="service")),
    )
    for found in (allowed_then(score, "elsewhere"), allowed_now(score, "elsewhere", LATER)):
        assert [(one.purpose, one.source) for one in found] == [
            ("service", "elsewhere"),
            ("profiling", "elsewhere"),
        ]
    Standing.here().tell([("a", "profiling", "refused")], by="crm")
    assert [one.status for one in allowed_now(score, "elsewhere", LATER)] == ["granted", "refused"]


def test_a_score_is_explained_also_while_the_warehouse_does_not_answer(
    own_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: str) -> None:
        raise NoWarehouse("it is away")

    (score,) = own_desk.scores([WHO], ["churn"]).scores
    monkeypatch.setattr(own_desk.now, "histories", gone)
    told = own_desk.explanation(score.score_id or "")
    assert {(one.status, one.source) for one in told.allowed_then} == {("granted", "unreachable")}
    assert {(one.status, one.source) for one in told.allowed_now} == {("unknown", "unreachable")}
    tell(own_desk, "withdrawn", "service")
    assert [one.status for one in own_desk.explanation(score.score_id or "").allowed_now] == [
        "unknown", "withdrawn", "unknown",
    ]  # fmt: skip


def test_of_whoever_is_to_be_forgotten_nothing_is_explained(own_desk: Desk) -> None:
    (score,) = own_desk.scores([WHO], ["churn"]).scores
    Standing.here().tell([(WHO, "service", "erased")], by="privacy")
    with pytest.raises(Refused) as refused:
        own_desk.explanation(score.score_id or "")
    assert refused.value.status == 404
