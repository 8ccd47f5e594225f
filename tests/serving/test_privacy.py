"""To be forgotten: not a byte is left anywhere, others lose nothing, an old file brings nobody back, a kill ends well all the same."""

import json
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from features.audit import verify
from features.audit.verify import records
from features.home import anchors_folder, audit_folder, scores_folder
from features.warehouse import connect
from serving.batch import batch
from serving.contract.events import EventsRequest
from serving.privacy import erase, export, finish
from serving.privacy.erasure import _stores, unfinished
from serving.runs import folder, runs
from serving.runs.reader import Run
from tests.serving.canaries import CANARIES, desk_here, lived_in, loaded, traces, words_of
from tests.serving.server import serving
from tests.shop import END

OTHER = "C00001"
WORDS = [word for canary in CANARIES for word in words_of(canary)]


@pytest.fixture
def deployment(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    lived_in(shop, Path.cwd())
    return Path.cwd()


@pytest.mark.slow
def test_of_five_who_are_erased_not_a_byte_is_left_and_others_lose_nothing(deployment: Path) -> None:
    assert len(traces(deployment / "var", WORDS)) > 10
    before = desk_here().scores([OTHER])
    given = {one.score_id for one in desk_here().scores([OTHER]).scores}
    held = {run.name: Run.open(run).manifest.tasks["churn"].scored for run in runs(scores_folder())}
    named = {run.name: Run.open(run).scores(CANARIES, ["churn"]).num_rows for run in runs(scores_folder())}
    assert sorted(named.values()) == [0, 5, 5]
    asked = [sys.executable, "-m", "serving.privacy", "erase", CANARIES[0]]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.count("(2 ids)") == 1
    for canary in CANARIES[1:]:
        receipt = erase(canary)
        assert receipt.identities == 2
        assert receipt.gone["rows of the warehouse"] >= 8
    assert traces(deployment / "var", WORDS) == []
    desk = desk_here()
    assert [one.probability for one in desk.scores([OTHER]).scores] == [
        one.probability for one in before.scores
    ]
    assert {one.status for one in desk.scores([CANARIES[0]]).scores} == {"unknown"}
    assert all(desk.explanation(one).customer_id == OTHER for one in given if one)
    for run in runs(scores_folder()):
        manifest = folder.verify(run)
        assert manifest.tasks["churn"].scored == held[run.name] - named[run.name]
        assert Run.open(run).scores([OTHER]).num_rows
    assert [r.entry.result for r in records(audit_folder()) if r.entry.action == "erasure"].count("done") == 5
    verify(audit_folder(), anchors_folder())
    report = loaded()  # the very same delivery
    assert sum(row.get("erased", 0) for row in report.counts.values()) > 0
    assert sum(row["rejected"] for row in report.counts.values()) == 0
    batch(connect(), END, valid_days=4)
    assert traces(deployment / "var", WORDS) == []


@pytest.mark.slow
def test_an_erasure_that_broke_off_anywhere_is_finished_when_called_again(
    deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def broken(_: object) -> int:
        raise Killed

    for canary, stops in zip(CANARIES, _stores(), strict=True):
        steps = {**_stores(), stops: broken}
        with monkeypatch.context() as there:
            there.setattr("serving.privacy.erasure._stores", lambda steps=steps: steps)
            with pytest.raises(Killed):
                erase(canary)
        assert len(unfinished()) == 1
        assert {one.status for one in desk_here().scores([canary]).scores} == {"unknown"}
        (receipt,) = finish()
        assert not unfinished()
        assert receipt.identities == 2
        assert traces(deployment / "var", words_of(canary)) == []


@pytest.mark.slow
def test_the_batch_and_the_service_go_on_with_an_erasure_that_broke_off(
    deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> int:
        raise OSError("the disk went away")

    for canary in CANARIES[:2]:
        with monkeypatch.context() as there:
            there.setattr("serving.privacy.erasure._stores", lambda: {"anything": broken})
            with pytest.raises(OSError, match="went away"):
                erase(canary)
        assert traces(deployment / "var", words_of(canary))
        if canary == CANARIES[0]:
            night = [sys.executable, "-m", "serving.batch", "--valid-days", "5"]
            done = subprocess.run(night, capture_output=True, text=True, check=True)
            assert done.stdout.count("finished an erasure that was interrupted") == 1
        else:
            with serving(deployment):
                deadline = time.monotonic() + 60
                while unfinished() and time.monotonic() < deadline:
                    time.sleep(0.2)
        assert not unfinished()
        assert traces(deployment / "var", words_of(canary)) == []


@pytest.mark.slow
def test_by_no_road_comes_back_who_was_erased(deployment: Path) -> None:
    """Loading the old delivery, the night after it, and events posted again, with and without a key."""
    canary = CANARIES[0]
    erase(canary)
    loaded()
    batch(connect(), END, valid_days=4)
    desk = desk_here()
    for key in (None, "a-key-of-the-canary"):
        for history in ("stored", "given"):
            asked = {"customer_id": canary, "as_of": "2024-06-19T00:00:00Z", "history": history, "idempotency_key": key,
                     "events": {"orders": [{"order_id": f"o-{canary}", "happened_at": "2024-06-18T00:00:00Z", "kind": "order"}]}}  # fmt: skip
            answer = desk.events(msgspec.convert(asked, EventsRequest, strict=False))
            assert "scored" not in {one.status for one in answer.scores}
    assert traces(deployment / "var", words_of(canary)) == []


@pytest.mark.slow
def test_a_person_is_told_everything_that_is_held_and_the_telling_is_recorded(deployment: Path) -> None:
    told = export(CANARIES[0])
    written = json.dumps(told, default=str)
    assert all(word in written for word in words_of(CANARIES[0]))
    assert set(told["recorded"]) == {"customers", "consents", "orders"}
    assert {one["task"] for one in told["scores"]} == {"churn", "purchase_intent"}
    assert {one["task"] for one in told["scores_given"]} == {"churn", "purchase_intent"}
    assert any(one["name"] == "orders_ever" and one["value"] == 2 for one in told["features"])
    (entry,) = [r.entry for r in records(audit_folder()) if r.entry.action == "export"]
    assert CANARIES[0] not in str(entry)
