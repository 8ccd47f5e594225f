"""What goes over the wire: the requests that are accepted and the answers that are given.

Decoding is strict: an unknown field, a wrong type or an id outside the alphabet is an error that points at
the place, and never a guess.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from features.reasons import Reason

__all__ = [
    "Chance",
    "ModelUsed",
    "Reason",
    "Score",
    "ScoreRequest",
    "ScoresAnswer",
    "TaskOffered",
    "TasksAnswer",
]

CustomerId = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")
]
TaskName = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]
Status = Literal["scored", "not_eligible", "unknown"]


class ScoreRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Scores of 1 to 10,000 customers for the named tasks; without names, for all that are offered."""

    customer_ids: Annotated[list[CustomerId], msgspec.Meta(min_length=1, max_length=10_000)]
    tasks: Annotated[list[TaskName], msgspec.Meta(min_length=1, max_length=50)] | None = None


class Chance(msgspec.Struct, frozen=True):
    """How likely one outcome is within so many days. Per outcome it never falls with the days (a silence never
    rises), and competing outcomes never sum past one."""

    outcome: str
    horizon_days: int
    probability: float


class ModelUsed(msgspec.Struct, frozen=True):
    version: str
    trained_through: datetime


class Score(msgspec.Struct, frozen=True, omit_defaults=True):
    """One customer's answer for one task: the probability of what the task wants within its longest horizon, and the
    `outlook` for every outcome and horizon. Without a score, `note` says why in words."""

    customer_id: str
    task: str
    status: Status
    probability: float | None = None
    horizon_days: int | None = None
    grade: Literal["A", "B", "C"] | None = None
    outlook: list[Chance] = []
    reasons: list[Reason] = []
    note: str | None = None


class ScoresAnswer(msgspec.Struct, frozen=True):
    """Answers in the order asked, task by task; `as_of` is the moment they speak about."""

    as_of: datetime
    models: dict[str, ModelUsed]
    scores: list[Score]


class TaskOffered(msgspec.Struct, frozen=True):
    name: str
    question: str
    cohort: str
    outcomes: tuple[str, ...]
    wanted: tuple[str, ...]
    horizons_days: tuple[int, ...]
    horizon_days: int
    purpose: str
    model: ModelUsed
    grade_a_from: float
    grade_b_from: float
    grades_dated: datetime
    roc_auc: float
    roc_auc_low: float
    roc_auc_high: float


class TasksAnswer(msgspec.Struct, frozen=True):
    tasks: list[TaskOffered]
