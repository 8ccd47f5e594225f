"""The explanation of a score that was given, from the log: neither the model nor its rows need to be there any more."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import cast

import numpy as np

from features.standing import Standing
from serving.contract.explanation import Contribution, Explanation, Input
from serving.contract.refusals import Refused
from serving.contract.scores import Chance
from serving.contract.words import Grade
from serving.desk.allowed import Held, allowed_now, allowed_then
from serving.score_log import Column, LogFailed, LoggedScore, ScoreLog
from serving.scorer import Scorer

__all__ = ["explanation"]


def explanation(
    log: ScoreLog,
    score_id: str,
    champions: Mapping[str, Scorer],
    consents: Callable[[str], Held],
    asked_at: datetime,
) -> Explanation:
    """`consents` tells what is held of a customer's consent. Raises `Refused` (404) when the log holds no such score, or no longer,
    `LedgerUnreadable` when nobody knows what was told since."""
    try:
        found = log.read(score_id)
    except KeyError as error:
        raise Refused(404, "the log holds no score by this id") from error
    except LogFailed as error:
        raise Refused(404, f"this score can no longer be explained: {error}") from error
    if Standing.here().now().erased([found.customer_id]):
        raise Refused(404, "the log holds no score by this id")
    model, said = found.model, consents(found.customer_id)
    now = champions.get(model.task)
    contributions = [
        Contribution(concept, zh, value)
        for concept, zh, value in zip(
            model.concepts, model.concepts_zh, found.contributions.tolist(), strict=True
        )
    ]
    return Explanation(
        score_id=score_id,
        customer_id=found.customer_id,
        task=model.task,
        origin=found.origin,
        scored_at=found.scored_at,
        as_of=found.as_of,
        model_version=model.version,
        model_digest=model.digest,
        serves_now=now is not None and now.loaded.digest == model.digest,
        probability=found.probability,
        horizon_days=model.horizons_days[-1],
        first_horizon_days=model.horizons_days[0],
        grade=cast(Grade, found.grade),
        outlook=_outlook(found),
        reasons=found.reasons,
        base=found.base,
        contributions=sorted(contributions, key=lambda one: -abs(one.log_odds)),
        log_odds=found.base + sum(one.log_odds for one in contributions),
        inputs=[
            Input(column.name, column.concept, _value(column, value), column.unit, column.en, column.zh)
            for column, value in zip(model.columns, found.inputs.tolist(), strict=True)
        ],
        allowed_then=allowed_then(found, said),
        allowed_now=allowed_now(found, said, asked_at),
    )


def _outlook(found: LoggedScore) -> list[Chance]:
    """Outcome by outcome, as an answer tells it."""
    model = found.model
    return [
        Chance(kind, days, float(found.outlook[place, number]))
        for number, kind in enumerate(model.kinds)
        for place, days in enumerate(model.horizons_days)
    ]


def _value(column: Column, value: float) -> float | str | None:
    if np.isnan(value):
        return None
    return value if column.levels is None else column.levels[int(value)]
