"""The client: typed answers, batches, and retries that wait as long as the service says."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from serving.client import Client, Gone, Refusal
from tests.serving.edge.counter import Desk, OneAnswer, SumAnswer, SumRequest, edge


class Direct(httpx.BaseTransport):
    """Requests reach an application in this process, after what `before` has to say."""

    def __init__(self, before: Callable[[int], httpx.Response | None] = lambda _: None) -> None:
        from starlette.testclient import TestClient  # noqa: PLC0415

        self.app, self.before, self.asked = edge(), before, 0
        self.inner = TestClient(self.app, raise_server_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if (said := self.before(self.asked)) is not None:
            return said
        got = self.inner.request(
            request.method, str(request.url), content=request.read(), headers=dict(request.headers)
        )
        return httpx.Response(got.status_code, headers=dict(got.headers), content=got.content)


def asking(
    before: Callable[[int], httpx.Response | None] = lambda _: None, **options: Any
) -> tuple[Client, Direct, list[float]]:
    transport, slept = Direct(before), []
    return Client("http://service", transport=transport, sleep=slept.append, **options), transport, slept


def test_answers_are_structs() -> None:
    with asking()[0] as service:
        assert service.get("/v1/numbers/21", OneAnswer, twice="true") == OneAnswer(42)
        assert service.post("/v1/sums", SumRequest(["a", "b"]), SumAnswer).customers == 2


def test_a_busy_service_is_asked_again_no_earlier_than_it_says() -> None:
    def busy(n: int) -> httpx.Response | None:
        return httpx.Response(503 if n == 1 else 429, headers={"retry-after": "7"}) if n < 3 else None

    service, transport, slept = asking(busy)
    assert service.get("/v1/numbers/1", OneAnswer) == OneAnswer(1)
    assert transport.asked == 3
    assert all(7 <= wait < 8 for wait in slept)


def test_a_broken_connection_is_tried_again_with_jitter_and_then_given_up() -> None:
    def broken(_: int) -> httpx.Response | None:
        raise httpx.ConnectError("refused")

    waits = []
    for _ in range(20):
        service, transport, slept = asking(broken, tries=4)
        with pytest.raises(Gone, match="ConnectError"):
            service.tasks()
        assert (transport.asked, len(slept)) == (4, 3)
        waits.append(slept)
    assert all(wait <= 0.2 * 2**n for slept in waits for n, wait in enumerate(slept))
    assert len({slept[0] for slept in waits}) == 20


def test_a_refusal_is_not_tried_again_and_says_where() -> None:
    service, transport, slept = asking()
    with pytest.raises(Refusal, match="422") as caught:
        service.post("/v1/sums", SumRequest(["a b"]), SumAnswer)
    assert caught.value.errors[0][0] == "/customer_ids/0"
    assert (transport.asked, slept) == (1, [])
    with pytest.raises(Refusal, match="is this the service"):
        asking(lambda _: httpx.Response(404, content=b"<html>"))[0].tasks()


def test_many_customers_are_asked_about_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    service, _transport, _ = asking()
    sizes: list[int] = []
    monkeypatch.setattr(service, "scores", lambda ids, _tasks: sizes.append(len(ids)))
    list(service.scores_of_many((f"C{n}" for n in range(1_250)), at_once=500))
    assert sizes == [500, 500, 250]


def test_a_wait_that_is_no_number_counts_as_none() -> None:
    service, _, slept = asking(
        lambda n: httpx.Response(503, headers={"retry-after": "soon"}) if n < 2 else None
    )
    service.get("/v1/numbers/1", OneAnswer)
    assert slept[0] <= 0.2


def test_what_is_asked_leaves_out_what_says_nothing() -> None:
    sent: list[bytes] = []
    transport = Direct()
    desk = transport.app.desk
    assert isinstance(desk, Desk)
    kept = transport.handle_request

    def seen(request: httpx.Request) -> httpx.Response:
        sent.append(request.read())
        return kept(request)

    transport.handle_request = seen  # type: ignore[method-assign]
    Client("http://service", transport=transport).post("/v1/sums", SumRequest(["a"]), SumAnswer)
    assert "tasks" not in msgspec.json.decode(sent[0])
