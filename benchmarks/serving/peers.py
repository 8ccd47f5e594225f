"""The two peers: what is left when everything but the booster is taken away, and BentoML as its first page shows it."""

import os
from typing import Any

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import bentoml
import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from features import nightly
from features.matrix import matrix
from serving.scorer import Scorer
from training.copies import copy_of

TASK = "churn"


class Booster:
    """Row by id, probability, and the three features that weigh most."""

    def __init__(self) -> None:
        self.scorer, self.rows = Scorer(copy_of(TASK).read()), nightly.latest()
        self.names = list(self.scorer.card.features)

    def score(self, customer_ids: list[str]) -> list[dict[str, Any]]:
        found = self.rows.find(customer_ids)
        values = matrix(found, self.names, self.scorer.card.levels)
        probabilities = self.scorer.model.probabilities(values)
        parts = self.scorer.model.contributions(values)[:, :-1]
        strongest = np.argsort(-np.abs(parts), axis=1)[:, :3]
        return [
            {"customer_id": c, "probability": float(p), "reasons": [self.names[n] for n in names]}
            for c, p, names in zip(customer_ids, probabilities, strongest, strict=True)
        ]


def bare() -> Starlette:
    """`uvicorn --factory benchmarks.serving.peers:bare`"""
    booster = Booster()

    async def scores(request: Request) -> Response:
        asked = msgspec.json.decode(await request.body())
        return Response(
            msgspec.json.encode(booster.score(asked["customer_ids"])), media_type="application/json"
        )

    async def ready(_: Request) -> Response:
        return Response("ok")

    return Starlette(routes=[Route("/v1/scores", scores, methods=["POST"]), Route("/readyz", ready)])


@bentoml.service(name="plain")
class Plain:
    """`bentoml serve benchmarks.serving.peers:Plain`"""

    def __init__(self) -> None:
        self.booster = Booster()

    @bentoml.api(route="/v1/scores")
    def scores(self, customer_ids: list[str], tasks: list[str]) -> list[dict[str, Any]]:  # noqa: ARG002
        return self.booster.score(customer_ids)
