"""The change feed: only what changed, replayable, and delivered to a receiver that fails, stalls and repeats."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from features.errors import NotDelivered
from serving.feed import changes
from serving.feed import webhook as webhook_module
from serving.feed.webhook import Patience, deliver
from serving.feed.wecom import tags
from serving.runs import Run
from tests.serving.nights import night

MONDAY = """
a   churn  .9  A  visits  1.0  1
a   order  .2  C  visits  0.5  1
b   churn  .5  B  visits  0.3  1
c   churn  .1  C  points  0.2  1
d   churn  .4  B  points  0.2  1
"""
TUESDAY = """
a   churn  .9  A  visits  1.0  1
a   order  .6  A  visits  0.9  1
b   churn  .5  B  points  0.3  1
d   churn  .2  C  points  0.1  2
e   churn  .7  A  visits  0.4  1
"""
WEDNESDAY = """
a   churn  .3  C  visits  0.1  1
b   churn  .5  B  points  0.3  1
d   churn  .2  C  points  0.1  2
e   churn  .7  A  visits  0.4  1
"""


@pytest.fixture
def week(tmp_path: Path) -> list[Run]:
    return [night(tmp_path, day) for day in (MONDAY, TUESDAY, WEDNESDAY)]


def test_only_what_changed_with_before_and_after(week: list[Run]) -> None:
    found = list(changes(week[1], week[0]))
    assert [(c.customer_id, c.task, c.kind, c.previous_grade, c.grade, c.previous_reason, c.reason) for c in found] == [
        ("a", "order", "changed", "C", "A", "visits", "visits"),
        ("b", "churn", "changed", "B", "B", "visits", "points"),
        ("c", "churn", "gone", "C", None, "points", None),
        ("d", "churn", "changed", "B", "C", "points", "points"),
        ("e", "churn", "new", None, "A", None, "visits"),
    ]  # fmt: skip
    assert {c.expires_at for c in found} == {week[1].manifest.expires_at}
    assert (found[0].previous_probability, found[0].probability) == (0.2, 0.6)
    assert not list(changes(week[1], week[1]))


def test_which_groups_moved_is_known_between_any_two_runs_of_one_model(week: list[Run]) -> None:
    order, _, _, other_model, _ = changes(week[1], week[0])
    (moved,) = order.moved
    assert (moved.concept, moved.change, moved.feature) == ("visits", 0.4, None)
    assert moved.en == "visits makes it more likely than before"
    assert moved.zh == "visits较上次提高可能性"
    assert other_model.model_version != other_model.previous_model_version
    assert other_model.moved == []


def test_from_any_run_and_always_the_same(week: list[Run]) -> None:
    held: dict[str, set[str]] = {}
    for now, since in ((week[0], None), (week[1], week[0]), (week[2], week[1])):
        for line in tags(changes(now, since)):
            mine = held.setdefault(line.customer_id, set())
            mine -= set(line.remove_tag)
            mine |= set(line.add_tag)
    leap: dict[str, set[str]] = {}
    for now, since in ((week[0], None), (week[2], week[0]), (week[2], week[0])):  # and sent twice
        for line in tags(changes(now, since)):
            mine = leap.setdefault(line.customer_id, set())
            mine -= set(line.remove_tag)
            mine |= set(line.add_tag)
    whole = {line.customer_id: set(line.add_tag) for line in tags(changes(week[2]))}
    assert {who: some for who, some in held.items() if some} == {who: some for who, some in leap.items() if some} == whole  # fmt: skip
    first, again = (list(changes(week[2], week[0])) for _ in range(2))
    assert first == again
    keys = [c.key for c in first] + [c.key for c in changes(week[1], week[0])]
    assert len(set(keys)) == len(keys)


class Receiver(BaseHTTPRequestHandler):
    """Answers by the script: a status, `stall`, `cut` (read, kept and no answer); keeps what it acknowledged or kept."""

    script: list[object]
    kept: dict[str, bytes]
    asked: int

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        at, signed = (part.split("=")[1] for part in self.headers["x-propensity-signature"].split(","))
        expected = hmac.new(SECRET, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(signed.encode(), expected.encode())
        cls = type(self)
        cls.asked += 1
        what = cls.script.pop(0) if cls.script else 200
        if what == "stall":
            time.sleep(1.0)
            return
        if what in ("cut", 200):
            cls.kept[self.headers["idempotency-key"]] = body
        if what == "cut":
            self.connection.close()
            return
        self.send_response(int(str(what)))
        if what == 429:
            self.send_header("retry-after", "0")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


SECRET = b"a secret of some length"
QUICK = Patience(retries=6, pause_s=0.01, longest_pause_s=0.05, answer_s=0.3)


@contextmanager
def receiving(*script: object) -> Iterator[tuple[str, type[Receiver]]]:
    class Mine(Receiver):
        pass

    Mine.script, Mine.kept, Mine.asked = list(script), {}, 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", Mine
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def received(receiver: type[Receiver]) -> list[dict[str, object]]:
    return [json.loads(line) for body in receiver.kept.values() for line in body.splitlines()]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "script",
    [
        [],
        [503, 500, 200],
        ["stall", 200, "stall"],
        ["cut", 200, "cut", 502],
        [429, 408, 200, 425, "cut", "stall"],
    ],
)
def test_every_line_arrives_once_whatever_the_receiver_does(
    week: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: list[object]
) -> None:
    monkeypatch.setattr(webhook_module, "LINES_PER_REQUEST", 2)
    lines = list(changes(week[1], week[0]))
    with receiving(*script) as (url, receiver):
        done = deliver(lines, url, SECRET, "feed", tmp_path / "state", QUICK)
        assert (done.lines, done.complete) == (5, True)
        assert received(receiver) == [json.loads(msgspec.json.encode(line)) for line in lines]
        asked = receiver.asked
        assert deliver(lines, url, SECRET, "feed", tmp_path / "state", QUICK) == done
        assert receiver.asked == asked, "what was acknowledged is not sent again"


def test_a_refusal_stops_and_the_next_call_goes_on_there(
    week: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_module, "LINES_PER_REQUEST", 2)
    lines = list(changes(week[1], week[0]))
    with receiving(200, 401) as (url, receiver):
        with pytest.raises(NotDelivered, match=r"answer 401 from http.*; 2 lines are acknowledged"):
            deliver(lines, url, SECRET, "feed", tmp_path / "state", QUICK)
        deliver(lines, url, SECRET, "feed", tmp_path / "state", QUICK)
        assert [line["key"] for line in received(receiver)] == [line.key for line in lines]
        assert receiver.asked == 4
    with pytest.raises(NotDelivered, match="no answer"):
        deliver(lines, url, SECRET, "another", tmp_path / "state", Patience(1, 0.01, 0.01, 0.2))
    with pytest.raises(NotDelivered, match="shorter than 16 bytes"):
        deliver(lines, url, b"short", "feed", tmp_path / "state", QUICK)
