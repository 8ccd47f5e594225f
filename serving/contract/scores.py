"""Scores of customers by their ids: 1 to 10,000 of them, for one task or several."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from features.reasons import Reason
from serving.contract.words import Cautioned, CustomerId, Grade, ModelUsed, Tasks, Told

__all__ = [
    "Chance",
    "Change",
    "Decided",
    "Moved",
    "NextStep",
    "Reason",
    "Score",
    "ScoreRequest",
    "ScoresAnswer",
    "Status",
    "Step",
    "Within",
]

Status = Literal["scored", "not_eligible", "no_consent", "unknown"]
Step = Literal["automatic", "human", "none"]


class ScoreRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Scores of 1 to 10,000 customers for the named tasks; without names, for all that are offered."""

    customer_ids: Annotated[list[CustomerId], msgspec.Meta(min_length=1, max_length=10_000)]
    tasks: Tasks | None = None


class Chance(msgspec.Struct, frozen=True):
    """How likely one outcome is within so many days. Per outcome it never falls with the days (a silence never
    rises), and competing outcomes never sum past one."""

    outcome: str
    horizon_days: int
    probability: float


class Within(msgspec.Struct, frozen=True):
    """Where a score stands among the scored customers of one segment: 100 is the top."""

    segment: str
    value: str
    percentile: float
    customers: int


class Moved(msgspec.Struct, frozen=True):
    """A group of features that moved a score since the last one, in words, and by how much in log-odds."""

    concept: str
    log_odds: float
    en: str
    zh: str


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has changed since the score before: `difference` of the probabilities, and what the customer did or did not do
    that moved it, strongest first. Both by the model that answers now, so that none of it is a change of model."""

    since: datetime
    probability: float
    grade: Grade
    difference: float
    why: list[Moved] = []


class NextStep(msgspec.Struct, frozen=True):
    """A suggestion: contact `automatic`ally, hand to a `human` (three contacts without an answer), or `none`."""

    step: Step
    en: str
    zh: str


class Decided(msgspec.Struct, frozen=True):
    """Somebody contested the scores of this customer for this task, or a human decided instead, and since when."""

    decision: Literal["contested", "human_decided"]
    since: datetime


class Score(msgspec.Struct, frozen=True, omit_defaults=True):
    """One customer's answer for one task: the probability of what the task wants within its longest horizon, and the
    `outlook` for every outcome and horizon. `percentile` is the share of the scored population below, equals counting
    half; 100 is the top. Without a score, `note` says why in words; `no_consent` is for those
    who do not allow it."""

    customer_id: str
    task: str
    status: Status
    score_id: str | None = None
    probability: float | None = None
    horizon_days: int | None = None
    grade: Grade | None = None
    percentile: float | None = None
    within: list[Within] = []
    outlook: list[Chance] = []
    reasons: list[Reason] = []
    change: Change | None = None
    next_step: NextStep | None = None
    warnings: list[Cautioned] = []
    decided: Decided | None = None
    note: Told | None = None


class ScoresAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Answers in the order asked, task by task; `as_of` is the moment they speak about, and after `expires_at` one asks
    again."""

    as_of: datetime
    expires_at: datetime
    models: dict[str, ModelUsed]
    scores: list[Score]
    warnings: list[Cautioned] = []
