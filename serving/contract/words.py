"""Names, instants and words that several requests and answers are made of."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

__all__ = [
    "Cautioned",
    "CustomerId",
    "Grade",
    "Instant",
    "ModelUsed",
    "ScoreId",
    "TaskName",
    "Tasks",
    "Told",
    "Warned",
]

CustomerId = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*(?!\n)$",
        description="a customer's id, as in the event tables",
    ),
]
TaskName = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*(?!\n)$")]
Tasks = Annotated[
    list[TaskName], msgspec.Meta(min_length=1, max_length=50, description="default: all that are offered")
]
ScoreId = Annotated[
    str,
    msgspec.Meta(pattern=r"^[0-9a-f]{16}-[0-9a-f]{1,12}-[0-9a-f]{1,8}(?!\n)$", description="names one score"),
]
Instant = Annotated[
    datetime, msgspec.Meta(tz=True, description="with its offset, such as 2026-06-30T12:00:00Z")
]
Grade = Literal["A", "B", "C"]

Warned = Literal[
    "unseen_category",
    "rows_are_old",
    "not_ranked",
    "events_after_as_of",
    "events_delivered_twice",
    "events_of_unknown_words",
]


class Cautioned(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something to know about an answer that was given all the same; `feature` names the column, `count` how many."""

    code: Warned
    en: str
    zh: str
    feature: str | None = None
    count: int | None = None


class Told(msgspec.Struct, frozen=True):
    """A sentence in both languages."""

    en: str
    zh: str


class ModelUsed(msgspec.Struct, frozen=True):
    """The model that answered, and what its grades mean: A from `grade_a_from` up, C below `grade_b_from`, terciles of
    the population scored at `grades_dated`."""

    version: str
    trained_through: datetime
    grade_a_from: float
    grade_b_from: float
    grades_dated: datetime
