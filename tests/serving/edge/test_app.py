"""The edge: paths, methods, bodies and failures, whatever the table of routes holds."""

import asyncio
import gzip
import json
import logging
from typing import Any
from urllib.parse import unquote

import pytest

from serving.edge.app import MOST_BYTES
from serving.edge.table import Paths
from tests.serving.edge.counter import ROUTES, client, edge

SUM = {"customer_ids": ["a", "b"], "parts": [{"amount": 2, "times": 3}]}
AS_JSON = {"content-type": "application/json"}


def test_a_question_is_answered_with_the_struct_it_declares() -> None:
    answered = client(edge()).post("/v1/sums", json=SUM)
    assert answered.status_code == 200
    assert answered.json() == {
        "asker": "development",
        "tasks": None,
        "customers": 2,
        "total": 6.0,
        "latest": None,
    }
    assert answered.headers["cache-control"] == "no-store"


def test_path_and_query_make_the_question_of_a_get() -> None:
    asking = client(edge())
    assert asking.get("/v1/numbers/21?twice=true").json() == {"number": 42}
    for path in (
        "/v1/numbers/x",
        "/v1/numbers/1?unknown=1",
        "/v1/numbers/1?twice=yes&twice=no",
        "/v1/numbers/1?twice=%FF",
    ):
        assert asking.get(path).status_code in (400, 422), path


@pytest.mark.parametrize(
    "path",
    [
        "/", "/v1", "/v1/", "/v1/sums/", "//v1/sums", "/v1//sums", "/v1/./sums", "/v1/x/../sums", "/v1/sums;a=b", "/V1/sums",
        "/v1%2fsums", "/v1/numbers/1%2f2", "/v1/numbers/%2e%2e%2fetc", "/v1/numbers/", "/v2/sums", "/schema.json", "/docs.json",
        "/docs/", "/readyz/", "/livez/../metrics", "/static_content/x", "/v1/numbers/1/..;/2",
    ],
)  # fmt: skip
def test_no_other_spelling_reaches_anything(path: str) -> None:
    scope = {"type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode()}
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    # Clients tidy paths up before they send them.
    asyncio.run(edge()(scope | {"query_string": b"", "headers": []}, receive, send))
    assert sent[0]["status"] == 404, path
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND"])
def test_other_methods_are_told_which_ones_there_are(method: str) -> None:
    answered = client(edge()).request(method, "/v1/sums")
    assert (answered.status_code, answered.headers["allow"]) == (405, "POST")


def test_two_rows_for_one_path_are_an_error_at_start() -> None:
    with pytest.raises(ValueError, match="POST /v1/sums"):
        Paths([*ROUTES, ROUTES[0]])


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b" " * (MOST_BYTES + 1), AS_JSON, 413),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {}, 415),
        (b"{}", {"content-type": "application/x-pickle"}, 415),
        (b"{}", {"content-type": "multipart/form-data; boundary=x"}, 415),
        (gzip.compress(json.dumps(SUM).encode(), mtime=0), AS_JSON | {"content-encoding": "gzip"}, 415),
        (b"{}", AS_JSON | {"content-length": "9" * 5_000}, 413),
        (b"{}", AS_JSON | {"content-length": "-1"}, 413),
    ],
)
def test_bodies_that_are_too_large_or_of_another_kind(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    answered = client(edge()).post("/v1/sums", content=body, headers=headers)
    assert answered.status_code == status
    assert answered.json()["status"] == status


def test_a_body_of_a_million_pieces_is_given_up_at_the_limit() -> None:
    sent = 0

    def pieces():  # type: ignore[no-untyped-def]
        nonlocal sent
        for _ in range(1_000_000):
            sent += 10
            yield b" " * 10

    assert client(edge()).post("/v1/sums", content=pieces(), headers=AS_JSON).status_code == 413


def test_ten_thousand_ids_fit() -> None:
    ids = [f"{n:064d}" for n in range(10_000)]
    answered = client(edge()).post("/v1/sums", json={"customer_ids": ids})
    assert answered.json()["customers"] == 10_000


def test_what_the_desk_refuses_is_a_problem_and_what_breaks_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asking = client(edge())
    assert asking.get("/v1/numbers/404").json()["detail"] == "there is no such number"
    with caplog.at_level(logging.DEBUG):
        broken = asking.get("/v1/numbers/500")
    assert broken.status_code == 500
    assert "secret" not in broken.text + caplog.text
    assert "ValueError at" in caplog.text


def test_until_there_is_a_desk_and_while_it_drains_it_is_not_ready() -> None:
    app = edge()
    desk, app.desk = app.desk, None
    asking = client(app)
    for path in ("/v1/numbers/1", "/readyz"):
        assert asking.get(path).status_code == 503
    assert asking.get("/livez").status_code == 200
    app.desk = desk
    assert asking.get("/readyz").json() == {"ready": True, "models": {}}
    app.draining = True
    draining = asking.get("/readyz")
    assert (draining.status_code, draining.headers["connection"]) == (503, "close")
    assert asking.get("/v1/numbers/1").status_code == 200


def test_metrics_count_by_row_and_reason_and_hold_nothing_that_was_sent() -> None:
    asking = client(edge())
    asking.post("/v1/sums", json=SUM | {"customer_ids": ["canary-13800001111"]})
    asking.post("/v1/sums", json={"customer_ids": ["canary 13800001111"]})
    asking.get("/canary-13800001111")
    text = asking.get("/metrics").text
    assert 'propensity_request_seconds_count{route="/sums",status="200"}' in text
    assert 'propensity_refused_total{reason="form"}' in text
    assert "13800001111" not in text
