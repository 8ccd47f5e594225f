"""The explanation of a score that was given, from the log: also after the model was replaced."""

from datetime import datetime
from typing import Literal

import msgspec

from features.reasons import Reason
from serving.contract.scores import Chance
from serving.contract.words import Grade, ScoreId

__all__ = ["Allowed", "Contribution", "Explanation", "ExplanationRequest", "Input", "Source", "Status"]

Status = Literal["granted", "withdrawn", "refused", "ended", "unknown", "other"]
Source = Literal["tables", "told", "posted", "elsewhere", "not_held", "unreachable"]


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


class Allowed(msgspec.Struct, frozen=True):
    """What a customer said about a purpose, and where that stands: in the `tables` that were loaded, `told` to this service since,
    `posted` with the events, kept `elsewhere`, `not_held` any more, or `unreachable` at present. `recorded_at` is when it was said,
    null without a record."""

    purpose: str
    status: Status
    source: Source
    recorded_at: datetime | None
    en: str
    zh: str


class Explanation(msgspec.Struct, frozen=True):
    """Why a score was what it was, and what the customer allowed at `as_of` and allows now, for each purpose that it needs. `base`
    and all `contributions` add up to `log_odds`, those of what the task wants within its first horizon; where there is one outcome,
    1 / (1 + exp(-log_odds)) is its probability in `outlook`. Later horizons rise with the same margin."""

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
    allowed_then: list[Allowed]
    allowed_now: list[Allowed]
