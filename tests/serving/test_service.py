"""The hosted service: BentoML around the routes, ready only after a golden prediction."""

import asyncio
import json
from pathlib import Path

import pytest

from serving.service import Propensity, edge
from tests.serving.server import ask, serving
from training.artefact import Loaded


@pytest.mark.slow
def test_it_starts_answers_and_stops(in_shop: Path) -> None:
    with serving(in_shop) as port:
        status, text = ask(port, "/v1/scores", {"customer_ids": ["C00001", "nobody"], "tasks": ["churn"]})
        assert status == 200, text
        assert [score["status"] for score in json.loads(text)["scores"]] == ["scored", "unknown"]
        assert [ask(port, path)[0] for path in ("/v1/tasks", "/livez", "/readyz")] == [200, 200, 200]
        assert ask(port, "/v1/scores", {"customer_ids": []})[0] == 422


def test_readiness_is_a_golden_prediction(in_shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Propensity.inner()
    service.watch.stop()
    assert asyncio.run(service.__is_ready__())
    scorer = edge.desk.scorers["churn"]
    churn = scorer.loaded
    off_by_a_bit = Loaded(churn.model, churn.card, churn.digest, churn.golden, churn.expected + 1e-15)
    monkeypatch.setattr(scorer, "loaded", off_by_a_bit)
    assert not asyncio.run(service.__is_ready__())
