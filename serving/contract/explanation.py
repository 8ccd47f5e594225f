"""The explanation of a score that was given, from the log: also after the model was replaced."""

from datetime import datetime
from typing import Literal

import msgspec

from features.reasons import Reason
from serving.contract.scores import Chance
from serving.contract.words import Grade, ScoreId

__all__ = ["Contribution", "Explanation", "ExplanationRequest", "Input"]


class ExplanationRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A score that was given, by its id."""

    score_id: ScoreId


class Input(msgspec.Struct, frozen=True):
    """A column that the model reads, as it was."""

    feature: str
    concept: str
    value: float | str | None
    unit: str
    en: str
    zh: str


class Contribution(msgspec.Struct, frozen=True):
    """What a group of features added to the log-odds."""

    concept: str
    zh: str
    log_odds: float


class Explanation(msgspec.Struct, frozen=True):
    """Why a score was what it was. `base` and all `contributions` add up to `log_odds`, those of what the task wants within
    its first horizon; where there is one outcome, 1 / (1 + exp(-log_odds)) is its probability in `outlook`. Later horizons
    rise with the same margin."""

    score_id: str
    customer_id: str
    task: str
    origin: Literal["rows", "events"]
    scored_at: datetime
    as_of: datetime
    model_version: str
    model_digest: str
    serves_now: bool
    probability: float
    horizon_days: int
    first_horizon_days: int
    grade: Grade
    outlook: list[Chance]
    reasons: list[Reason]
    base: float
    contributions: list[Contribution]
    log_odds: float
    inputs: list[Input]
