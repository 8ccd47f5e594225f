"""Posted events: the night's numbers for the same past, to the bit; what cannot be believed is pointed at; repeats are one."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import nightly
from features.consent import PURPOSES
from features.pointer import pointed
from features.warehouse import connect
from serving.contract.events import EventsRequest, WhatIfRequest
from serving.contract.refusals import Refused
from serving.contract.scores import Score
from serving.contract.words import Told
from serving.desk import Desk, now
from serving.desk.histories import histories_of
from serving.desk.now import Now
from serving.score_log import ScoreLog
from serving.scorer import Scorer
from tests.serving.desk.conftest import NOW
from tests.shop import END

AS_OF = "2024-06-19T00:00:00Z"
AGREED = {
    "consents": [
        {"consent_id": purpose, "happened_at": "2024-01-01T00:00:00Z", "purpose": purpose, "state": "granted"}
        for purpose in PURPOSES
    ]
}


def asked(customer_id: str = "C00001", as_of: str = AS_OF, events: Any = None, **more: Any) -> EventsRequest:
    body = {"customer_id": customer_id, "as_of": as_of, "events": events or {}, **more}
    return msgspec.json.decode(msgspec.json.encode(body), type=EventsRequest)


def numbers(score: Score) -> tuple[Any, ...]:
    return (
        score.status,
        score.probability,
        score.grade,
        score.outlook,
        score.reasons,
        score.percentile,
        score.next_step,
    )


def stored(customer: str) -> dict[str, list[dict[str, Any]]]:
    """The shop's rows of a customer, as a system would post them."""
    folder = Path("var/warehouse") / pointed(Path("var/warehouse"))
    found: dict[str, list[dict[str, Any]]] = {}
    for name in ("customers", "consents", "orders"):
        rows = pq.read_table(folder / name, filters=[("customer_id", "==", customer)]).to_pylist()
        found[name] = [
            {
                key: f"{value.isoformat()}Z" if isinstance(value, datetime) else value
                for key, value in row.items()
                if key not in ("customer_id", "superseded_at") and value is not None
            }
            for row in rows
        ]
    return found


def order(key: str, at: str, **more: Any) -> dict[str, Any]:
    return {"order_id": key, "happened_at": at, "kind": "order", "quantity": 2, "amount_cents": 5_000, **more}


def test_while_histories_are_made_elsewhere_posted_events_are_put_off_and_nothing_else(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = desk.events(asked()).scores
    begun, over = threading.Event(), threading.Event()
    commands: list[Sequence[str]] = []

    def elsewhere(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        begun.set()
        over.wait(10)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(now.subprocess, "run", elsewhere)
    desk.now = Now(connect, desk.folder.with_name("histories"))
    day = desk.day()
    desk.now.expect(day.name)
    with pytest.raises(Refused, match="being prepared"):  # before the other process has begun, too
        desk.events(asked())
    warming = threading.Thread(
        target=desk.now.warm, args=(day.name, desk.scorers, frozenset(day.rows.fingerprints))
    )
    warming.start()
    begun.wait(10)
    with pytest.raises(Refused, match="being prepared") as refused:
        desk.events(asked())
    assert refused.value.status == 503
    assert desk.scores(["C00001"]).scores[0].probability is not None
    over.set()
    warming.join(10)
    assert [numbers(one) for one in desk.events(asked()).scores] == [numbers(one) for one in expected]
    assert [command[1:] for command in commands] == [["-m", "serving.warm"]]
    desk.now.expect(day.name)
    assert desk.events(asked()).scores, "what is at hand is never waited for"


def test_the_command_copies_histories_once(in_shop: Path) -> None:
    folder = Path("var/histories")
    shutil.rmtree(folder, ignore_errors=True)
    made = []
    for _ in range(2):
        subprocess.run([sys.executable, "-m", "serving.warm"], check=True)
        (copy,) = (one for one in folder.iterdir() if one.is_dir())
        made.append((copy / "everybody.npy").stat().st_mtime_ns)
    assert made[0] == made[1]
    assert copy.name == connect().digest[:32]


def test_histories_hold_every_row_of_everybody_once(in_shop: Path, tmp_path: Path) -> None:
    warehouse = connect()
    histories = histories_of(warehouse, tmp_path / "histories")
    everyone = [one.decode() for one in histories.customers.tolist()]
    for name, table in warehouse.tables.items():
        wanted = warehouse.engine.to_pyarrow(table).select(list(table.columns))
        found = pa.concat_tables([histories.of(customer)[name] for customer in everyone])
        order_by = [(wanted.column_names[0], "ascending")]
        assert found.sort_by(order_by).equals(wanted.cast(found.schema).sort_by(order_by))
    assert {name: len(table) for name, table in histories.of("nobody").items()} == {
        "customers": 0,
        "consents": 0,
        "orders": 0,
    }


def test_the_same_past_gives_the_nights_numbers_to_the_bit(desk: Desk) -> None:
    """Stored, posted again on top of what is stored, and given whole: three ways to the same bits."""
    for customer in [f"C{n:05d}" for n in range(0, 1500, 60)]:
        wanted = [numbers(one) for one in desk.scores([customer]).scores]
        assert [numbers(one) for one in desk.events(asked(customer)).scores] == wanted
        again = desk.events(asked(customer, events=stored(customer)))
        assert [numbers(one) for one in again.scores] == wanted
        rows = sum(len(some) for some in stored(customer).values())
        assert [(one.code, one.count) for one in again.warnings] == [("events_delivered_twice", rows)]
        given = desk.events(asked(customer, events=stored(customer), history="given"))
        assert [numbers(one) for one in given.scores] == wanted
        assert given.warnings == []


def test_earlier_moments_see_what_the_night_of_that_date_saw(
    desk: Desk, scorers: dict[str, Scorer], tmp_path: Path
) -> None:
    earlier = datetime(2024, 2, 1)
    nightly.materialise(connect(), earlier, tmp_path / "features")
    then = Desk(scorers, tmp_path / "features", ScoreLog(tmp_path / "log"), lambda: NOW)
    for customer in [f"C{n:05d}" for n in range(7, 1500, 150)]:
        wanted = [(one.status, one.probability) for one in then.scores([customer]).scores]
        told = desk.events(asked(customer, as_of="2024-02-01T08:00:00+08:00"))
        assert [(one.status, one.probability) for one in told.scores] == wanted
        assert told.as_of == earlier
        assert {one.change for one in told.scores} == {None}


def test_an_event_of_a_second_ago_counts_and_tells_what_it_changed(desk: Desk) -> None:
    before = {one.task: one for one in desk.scores(["C00001"]).scores}
    told = desk.events(
        asked(as_of="2024-06-19T10:00:01Z", events={"orders": [order("new", "2024-06-19T10:00:00Z")]})
    )
    after = {one.task: one for one in told.scores}
    assert (after["churn"].probability or 1) < (before["churn"].probability or 0)
    change = after["churn"].change
    assert change is not None
    assert (change.since, change.probability) == (END, before["churn"].probability)
    assert "order recency" in {one.concept for one in change.why}
    assert (told.expires_at - told.as_of).days == 7
    explained = desk.explanation(after["churn"].score_id or "")
    assert (explained.origin, explained.as_of) == ("events", datetime(2024, 6, 19, 10, 0, 1))
    inputs = {one.feature: one.value for one in explained.inputs}
    assert inputs["days_since_order"] == 0


def test_events_at_or_after_as_of_do_not_count_and_are_counted(desk: Desk) -> None:
    wanted = [numbers(one) for one in desk.events(asked()).scores]
    late = [
        order("n1", "2024-06-19T00:00:00Z"),
        order("n2", "2024-06-18T00:00:00Z", known_at="2024-06-19T00:00:00Z"),
        order("n3", "2024-06-19T09:00:00Z"),
    ]
    told = desk.events(asked(events={"orders": late}))
    assert [numbers(one) for one in told.scores] == wanted
    assert [(one.code, one.count) for one in told.warnings] == [("events_after_as_of", 3)]


def test_a_correction_takes_the_place_of_the_row_it_corrects(desk: Desk) -> None:
    first = stored("C00001")["orders"][0]
    dear = {**first, "amount_cents": 9_999_999, "known_at": "2024-06-01T00:00:00Z"}
    told = desk.events(asked(events={"orders": [dear]}))
    plain = desk.events(asked())
    (new,), (old,) = ([one for one in each.scores if one.task == "churn"] for each in (told, plain))
    inputs, were = (
        {one.feature: one.value for one in desk.explanation(score.score_id or "").inputs}
        for score in (new, old)
    )
    assert (
        inputs["order_value_ever_cents"] - were["order_value_ever_cents"] == 9_999_999 - first["amount_cents"]
    )  # type: ignore[operator]
    assert inputs["days_since_order"] == were["days_since_order"]
    with pytest.raises(Refused) as refused:
        desk.events(asked(events={"orders": [{**dear, "known_at": first["known_at"]}]}))
    assert (refused.value.status, refused.value.pointer) == (422, "/events/orders/0")


def test_someone_of_whom_nothing_is_stored_is_known_by_a_posted_profile(desk: Desk) -> None:
    orders = {"orders": [order("x1", "2024-05-01T00:00:00Z")]}
    assert {one.status for one in desk.events(asked("new1", events=orders)).scores} == {"unknown"}
    profile = {"customers": [{"profile_id": "p", "happened_at": "2024-01-01T00:00:00Z"}]} | AGREED
    assert {one.status for one in desk.events(asked("new1", events=orders | profile)).scores} == {"scored"}
    assert {one.status for one in desk.events(asked("new1", events=profile)).scores} == {"not_eligible"}


@pytest.mark.parametrize(
    ("request_", "pointer"),
    [
        ({"as_of": "2024-06-19T12:05:01Z"}, "/as_of"),
        ({"as_of": "9999-12-31T00:00:00Z"}, "/as_of"),
        ({"as_of": "1969-12-31T00:00:00Z"}, "/as_of"),
        ({"events": {"orders": [order("1", "2024-06-19T12:06:00Z")]}}, "/events/orders/0/happened_at"),
        ({"events": {"orders": [order("1", "1960-06-19T12:06:00Z")]}}, "/events/orders/0/happened_at"),
        (
            {"events": {"orders": [order("1", "2024-05-01T00:00:00Z"), order("2", "2024-05-01T00:00:00Z", known_at="2024-04-01T00:00:00Z")]}},
            "/events/orders/1/known_at",
        ),
        ({"events": {"visits": [{"visit_id": "1", "happened_at": "2024-05-01T00:00:00Z", "kind": "repair"}]}}, "/events/visits"),
    ],
)  # fmt: skip
def test_what_cannot_be_believed_is_pointed_at_and_not_logged(
    desk: Desk, request_: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Refused) as refused:
        desk.events(asked(**request_))
    assert (refused.value.status, refused.value.pointer) == (422, pointer)
    assert not list(desk.log.folder.glob("*.log"))


@pytest.mark.parametrize(
    "body",
    [
        {"customer_id": "C1", "as_of": "2024-06-19T00:00:00", "events": {}},
        {"customer_id": "C1", "as_of": AS_OF, "events": {"orders": [{"order_id": "1", "kind": "order", "happened_at": "2024-06-01T00:00:00"}]}},
        {"customer_id": "C1", "as_of": AS_OF, "events": {"orders": [order("1", AS_OF, quantity=1.5)]}},
        {"customer_id": "C1", "as_of": AS_OF, "events": {"orders": [order("1", AS_OF, quantity=2**53 + 1)]}},
        {"customer_id": "C1", "as_of": AS_OF, "events": {"orders": [order("1", AS_OF, amount_cents=-1)]}},
        {"customer_id": "C1", "as_of": AS_OF, "events": {"orders": [order("1", AS_OF, superseded_at=AS_OF)]}},
        {"customer_id": "C1", "as_of": AS_OF, "events": {"orders": [order("1\n", AS_OF)]}},
        {"customer_id": "C1", "as_of": AS_OF, "events": {"ordres": []}},
        {"customer_id": "C1", "as_of": AS_OF},
        {"customer_id": "C1", "events": {}},
    ],
)  # fmt: skip
def test_what_is_not_of_the_form_is_not_decoded(body: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(body), type=EventsRequest)


def test_repeats_under_a_key_have_one_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"idempotency_key": "key-00001"}
    request = asked(events={"orders": [order("new", "2024-06-18T10:00:00Z")]}, **key)
    written = []
    really = ScoreLog.write
    monkeypatch.setattr(ScoreLog, "write", lambda *given: written.append(1) or really(*given))
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(desk.events(request, None, "crm"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert {msgspec.json.encode(answer) for answer in answers} == {msgspec.json.encode(answers[0])}
    assert len(written) == 2  # one record per task
    with pytest.raises(Refused) as refused:
        desk.events(asked(**key), None, "crm")
    assert refused.value.status == 422
    ours = {one.score_id for one in answers[0].scores}
    others = desk.events(request, None, "another asker")
    assert not ours & {one.score_id for one in others.scores}
    desk.clock = lambda: NOW + timedelta(days=1)
    assert desk.events(request, None, "crm") == answers[0]
    desk.clock = lambda: NOW + timedelta(days=2)
    assert not ours & {one.score_id for one in desk.events(request, None, "crm").scores}


def test_who_may_not_be_asked_about_is_told_why_in_both_languages(desk: Desk) -> None:
    profile = {"customers": [{"profile_id": "p-1", "happened_at": "2024-01-05T00:00:00Z"}]} | AGREED
    told = desk.events(asked("new-1", events=profile, history="given")).scores
    assert {(one.status, one.note) for one in told} == {
        ("not_eligible", Told("has not ordered yet", "尚未下过订单"))
    }
    nobody = desk.events(asked("new-2", history="given")).scores
    assert {(one.status, one.note) for one in nobody} == {
        ("unknown", Told("not known to us before this date", "该日期前无此客户记录"))
    }


def what_if(desk: Desk, **body: Any) -> Any:
    request = msgspec.json.decode(msgspec.json.encode({"customer_id": "C00001", **body}), type=WhatIfRequest)
    return desk.what_if(request)


def test_what_if_sets_both_side_by_side_and_logs_nothing(desk: Desk) -> None:
    told = what_if(desk, as_of=AS_OF, suppose={"events": {"orders": [order("x", "2024-06-18T00:00:00Z")]}})
    assert told.hypothetical is True
    by_id = {one.task: one for one in desk.scores(["C00001"]).scores}
    posted = desk.events(asked(events={"orders": [order("x", "2024-06-18T00:00:00Z")]})).scores
    for pair, other in zip(told.pairs, posted, strict=True):
        assert numbers(pair.as_is) == numbers(by_id[pair.task])
        assert numbers(pair.supposed) == numbers(other)
        assert pair.difference == (pair.supposed.probability or 0) - (pair.as_is.probability or 0)
        assert (pair.as_is.score_id, pair.supposed.score_id) == (None, None)
    assert {"days_since_order", "orders_ever"} <= {fact.feature for fact in told.differs}


def test_what_if_a_feature_were_otherwise(desk: Desk) -> None:
    files = list(desk.log.folder.glob("*.log"))
    told = what_if(desk, suppose={"features": {"days_since_order": 1}}, tasks=["churn"])
    (pair,) = told.pairs
    assert [(fact.feature, fact.supposed) for fact in told.differs] == [("days_since_order", 1.0)]
    assert pair.difference < 0
    assert list(desk.log.folder.glob("*.log")) == files
    none = what_if(desk, suppose={"features": {"days_since_order": None}}, tasks=["churn"])
    assert none.differs[0].supposed is None
    nobody = desk.what_if(
        msgspec.convert(
            {"customer_id": "nobody", "suppose": {"features": {"days_since_order": 1.0}}}, WhatIfRequest
        )
    )
    assert {pair.as_is.status for pair in nobody.pairs} == {"unknown"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"suppose": {}}, "/suppose"),
        ({"suppose": {"features": {"days_since_order": 1}, "events": {}}}, "/suppose"),
        ({"suppose": {"events": {}}}, "/as_of"),
        ({"suppose": {"features": {"shoe_size": 1}}}, "/suppose/features/shoe_size"),
        ({"suppose": {"features": {"days_since_order": "long"}}}, "/suppose/features/days_since_order"),
        ({"as_of": "2030-01-01T00:00:00Z", "suppose": {"features": {"days_since_order": 1}}}, "/as_of"),
    ],
)
def test_what_cannot_be_supposed_is_pointed_at(desk: Desk, body: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Refused) as refused:
        what_if(desk, **body)
    assert (refused.value.status, refused.value.pointer) == (422, pointer)


def test_the_clock_of_a_request_may_run_ahead_a_little(desk: Desk) -> None:
    soon = (NOW + timedelta(minutes=4)).astimezone(UTC).isoformat()
    assert desk.events(asked(as_of=soon)).scores
