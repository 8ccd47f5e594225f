"""A promotion and a roll-back under a running service: it follows, and comes back to the same bits."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from features.warehouse import connect
from tests.serving.server import ask, serving
from training import registry
from training.grow import Settings
from training.plan import plan
from training.promote import back, promote
from training.tasks import task_named
from training.train import train

CUSTOMERS = [f"C{n:05}" for n in range(0, 200, 7)]
PATIENCE_S = 240.0


def asked(port: int) -> tuple[str, list[dict[str, Any]]]:
    """Which version answered, and what it said, but for the scores' ids."""
    status, text = ask(port, "/v1/scores", {"customer_ids": CUSTOMERS, "tasks": ["churn"]})
    assert status == 200, text
    answer = json.loads(text)
    scores = [{name: told for name, told in one.items() if name != "score_id"} for one in answer["scores"]]
    return answer["models"]["churn"]["version"], scores


def followed(port: int, version: str, known: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """What the version answers, once it does; until then every answer is that of a version that is known."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        by, scores = asked(port)
        if by == version:
            return scores
        assert [one["probability"] for one in scores] == known[by]
        time.sleep(0.5)
    raise TimeoutError(f"version {version} did not come to serve")


@pytest.mark.slow
def test_a_service_follows_a_promotion_and_a_roll_back_to_the_same_bits(
    own_shop: Path,
) -> None:
    warehouse = connect()
    task = task_named("churn", warehouse)
    planned = plan(task, warehouse, test_at=task.latest_closed(warehouse), everyone=True)
    with serving(own_shop, env={"PROPENSITY_FOLLOW_S": "1"}) as port:
        version, first = asked(port)
        assert version == "1"
        known = {"1": [one["probability"] for one in first]}
        trained = train(task, warehouse, planned, settings=Settings(rounds=40, chosen_by="a test"))
        if not trained.promoted:
            promote(registry.fetched("churn", "2"), "2", trained.verdict, force="a test of swaps")
        second = followed(port, "2", known)
        known["2"] = [one["probability"] for one in second]
        assert known["2"] != known["1"]
        back("churn")
        again = followed(port, "1", known)
        assert [one["probability"] for one in again] == known["1"]
        end = time.monotonic() + PATIENCE_S
        while (
            again != first and time.monotonic() < end
        ):  # percentiles come back when everybody is ranked anew
            time.sleep(0.5)
            _, again = asked(port)
        assert again == first
        assert ask(port, "/readyz")[0] == 200
