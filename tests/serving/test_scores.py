"""Scores: service and batch agree bit for bit, every id has an answer, and bad requests are told what is wrong."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from features import nightly
from features.errors import BadModel, NoChampion, NoWarehouse, UnknownName
from features.feature_set import FEATURES
from features.matrix import matrix
from serving.desk import Desk
from serving.edge.app import Edge
from serving.runs import Run, current
from serving.scorer import Scorer
from training import registry
from training.hazards import Hazards

Ask = Callable[..., Any]


@pytest.fixture
def ask(in_shop: Path) -> Ask:
    """POST /v1/scores on the shop's champions."""
    edge = Edge()
    edge.desk = Desk.open()
    client = TestClient(edge, raise_server_exceptions=False)

    def post(body: Any, **options: Any) -> Any:
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        return client.post(
            "/v1/scores", content=content, headers={"content-type": "application/json", **options}
        )

    post.client = client  # type: ignore[attr-defined]
    return post


def published(task: str) -> dict[str, dict[str, Any]]:
    rows = pa.concat_tables(Run.open().rows()).to_pylist()
    return {row["customer_id"]: row for row in rows if row["task"] == task}


def test_service_and_batch_agree_bit_for_bit(ask: Ask) -> None:
    for task in ("churn", "purchase_intent"):
        batched = published(task)
        ids = sorted(batched)
        answers = ask({"customer_ids": ids, "tasks": [task]}).json()["scores"]
        assert [answer["customer_id"] for answer in answers] == ids
        for answer in answers:
            row = batched[answer["customer_id"]]
            assert answer["probability"] == row["probability"]
            assert answer["grade"] == row["grade"]
            assert [reason["en"] for reason in answer["reasons"]] == [
                reason["en"] for reason in row["reasons"]
            ]


def test_one_customer_alone_scores_like_among_all(ask: Ask) -> None:
    batched = published("churn")
    for customer in sorted(batched)[::100]:
        (answer,) = ask({"customer_ids": [customer], "tasks": ["churn"]}).json()["scores"]
        assert answer["probability"] == batched[customer]["probability"]


def test_an_unknown_id_is_an_answer(ask: Ask) -> None:
    answered = ask({"customer_ids": ["nobody", "C00001", "nobody"]})
    assert answered.status_code == 200
    by_task = [(s["task"], s["customer_id"], s["status"]) for s in answered.json()["scores"]]
    assert by_task == [
        ("churn", "nobody", "unknown"),
        ("churn", "C00001", "scored"),
        ("purchase_intent", "nobody", "unknown"),
        ("purchase_intent", "C00001", "scored"),
    ]


def test_an_answer_says_when_by_which_model_and_why(ask: Ask) -> None:
    answered = ask({"customer_ids": ["C00001"], "tasks": ["churn"]}).json()
    assert answered["as_of"] == "2024-06-19T00:00:00"
    assert answered["models"]["churn"]["version"] == "1"
    (score,) = answered["scores"]
    assert 0 < score["probability"] < 1
    assert score["horizon_days"] == 273
    assert 1 <= len(score["reasons"]) <= 3
    for reason in score["reasons"]:
        assert reason["en"].endswith(("more likely", "less likely"))
        assert reason["zh"].endswith("可能性")
        assert (
            ("more likely" in reason["en"]) == (reason["direction"] == "raises") == ("提高" in reason["zh"])
        )


def test_every_outcome_and_horizon_is_answered_coherently_in_service_and_batch(ask: Ask) -> None:
    for task, outcome, sign in (("churn", "no order", -1), ("purchase_intent", "order", 1)):
        batched = published(task)
        for answer in ask({"customer_ids": sorted(batched)[:200], "tasks": [task]}).json()["scores"]:
            assert answer["outlook"] == batched[answer["customer_id"]]["outlook"]
            assert {chance["outcome"] for chance in answer["outlook"]} == {outcome}
            days = [chance["horizon_days"] for chance in answer["outlook"]]
            chances = [sign * chance["probability"] for chance in answer["outlook"]]
            assert days == sorted(days)
            assert chances == sorted(chances)
            assert answer["probability"] == answer["outlook"][-1]["probability"]


def test_a_category_nobody_has_seen_is_missing_and_said_once_without_its_value(
    in_shop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    champion = registry.champion("churn")
    card = msgspec.structs.replace(
        champion.loaded.card,
        features=champion.loaded.card.features | {"region": FEATURES["region"].fingerprint},
        levels={"region": ("north",)},
    )
    names = (*champion.loaded.model.names, "region")
    scorer = Scorer(replace(champion, loaded=replace(champion.loaded, card=card)))
    rows = nightly.latest().table()
    region = pa.array(["atlantis"] * 3 + ["north"] * 2 + [None] * (rows.num_rows - 5))
    rows = rows.set_column(rows.column_names.index("region"), "region", region)
    numbers = matrix(rows, names, card.levels)[:, -1]
    assert np.array_equal(numbers[:5], [np.nan] * 3 + [0.0] * 2, equal_nan=True)
    with pytest.raises(lightgbm.basic.LightGBMError):  # the old booster does not know the column
        scorer.score(rows)
    assert "region in 3 rows" in caplog.text
    assert "atlantis" not in caplog.text


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"customer_ids": []}, 422, "/customer_ids"),
        ({"customer_ids": ["a b"]}, 422, "/customer_ids/0"),
        ({"customer_ids": ["a", "b" * 65]}, 422, "/customer_ids/1"),
        ({"customer_ids": ["a\u0000"]}, 422, "/customer_ids/0"),
        ({"customer_ids": [1]}, 422, "/customer_ids/0"),
        ({"customer_ids": "a"}, 422, "/customer_ids"),
        ({"customer_ids": [None]}, 422, "/customer_ids/0"),
        ({"customer_ids": ["a"] * 10_001}, 422, "/customer_ids"),
        ({"customer_ids": ["a"], "tasks": []}, 422, "/tasks"),
        ({"customer_ids": ["a"], "tasks": ["chrun"]}, 422, "/tasks"),
        ({"customer_ids": ["a"], "task": ["churn"]}, 422, ""),
        ({}, 422, "/customer_ids"),
        ([], 422, ""),
        ("", 400, None),
        ("{", 400, None),
        (b"\xff\xfe", 400, None),
        ('{"customer_ids": [NaN]}', 400, None),
        ("[" * 100_000, 400, None),
    ],
)
def test_bad_requests_are_problems_that_point_at_the_place(
    ask: Ask, body: Any, status: int, pointer: str | None
) -> None:
    answered = ask(body)
    assert answered.status_code == status
    assert answered.headers["content-type"] == "application/problem+json"
    problem = answered.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    assert "b" * 65 not in answered.text
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer


def test_a_body_that_is_too_large_or_of_another_kind_is_refused(ask: Ask) -> None:
    assert ask(b" " * 1_000_001).status_code == 413
    assert ask("{}", **{"content-type": "text/plain"}).status_code == 415


def test_other_paths_and_methods_are_problems_too(ask: Ask) -> None:
    client = ask.client  # type: ignore[attr-defined]
    for answered, status in (
        (client.get("/v1/scores"), 405),
        (client.post("/v1/tasks"), 405),
        (client.get("/nothing"), 404),
    ):
        assert answered.status_code == status
        assert answered.headers["content-type"] == "application/problem+json"


def test_a_failure_inside_says_nothing_about_the_inside(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret of customer C00001")

    monkeypatch.setattr(Desk, "scores", fail)
    answered = ask({"customer_ids": ["C00001"]})
    assert answered.status_code == 500
    assert answered.headers["content-type"] == "application/problem+json"
    assert "secret" not in answered.text
    assert "C00001" not in answered.text


def test_tasks_tell_the_question_and_how_good_the_answers_are(ask: Ask) -> None:
    offered = ask.client.get("/v1/tasks").json()["tasks"]  # type: ignore[attr-defined]
    assert [task["name"] for task in offered] == ["churn", "purchase_intent"]
    for task in offered:
        assert task["roc_auc_low"] < task["roc_auc"] < task["roc_auc_high"]
        assert task["grade_a_from"] > task["grade_b_from"]


def test_nothing_promoted_and_nothing_published_say_what_to_do() -> None:
    with pytest.raises(NoChampion, match="make demo"):
        Desk.open()
    with pytest.raises(NoChampion, match=r"training\.train --task churn"):
        registry.champion("churn")
    with pytest.raises(NoWarehouse, match=r"serving\.batch"):
        current(Path("scores"))


def test_a_model_whose_feature_has_moved_is_refused_by_name(in_shop: Path) -> None:
    champion = registry.champion("churn")
    scorer = Scorer(champion)
    moved = {**champion.loaded.card.features, "orders_90d": "123456789abc"}
    with pytest.raises(
        BadModel, match=r"churn version 1 was trained on orders_90d as \w{12}, but it is now 123456789abc"
    ):
        scorer.require(moved)
    card = champion.loaded.card
    gone = replace(
        champion,
        loaded=replace(
            champion.loaded, card=type(card)(**{**_fields(card), "features": {"orders_9d": "0" * 12}})
        ),
    )
    with pytest.raises(UnknownName, match="orders_9d"):
        Scorer(gone)


def test_a_score_that_is_no_number_is_never_handed_out(in_shop: Path) -> None:
    champion = registry.champion("churn")
    broken = replace(
        champion,
        loaded=replace(
            champion.loaded,
            model=replace(champion.loaded.model, hazards=Hazards(((np.nan,) * 1,) * 3, ((0.0,),) * 3)),
        ),
    )
    with pytest.raises(BadModel, match="not a number"):
        Scorer(broken).score(nightly.latest().table())


def test_the_service_starts_from_its_copy_when_the_registry_is_gone(
    in_shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = registry.champion("churn")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    alone = registry.champion("churn")
    assert (alone.version, alone.loaded.digest) == (served.version, served.loaded.digest)
    assert [champion.task for champion in registry.champions()] == ["churn", "purchase_intent"]


def test_a_damaged_copy_is_fetched_again(in_shop: Path) -> None:
    digest = registry.champion("churn").loaded.digest
    for file in Path("var/models/churn").glob("m-*/booster.txt"):
        file.write_text(file.read_text()[:-100])
    assert registry.champion("churn").loaded.digest == digest


def _fields(card: Any) -> dict[str, Any]:
    return {name: getattr(card, name) for name in card.__struct_fields__}


def test_our_own_default_store_is_not_taken_for_the_users_wish(in_shop: Path) -> None:
    registry.champion("churn")
    assert "MLFLOW_TRACKING_URI" not in os.environ
