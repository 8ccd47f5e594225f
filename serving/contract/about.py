"""What may be asked, and what stands behind the answers: tasks, model cards, the catalogue of features."""

from datetime import datetime

import msgspec

from serving.contract.words import ModelUsed, TaskName, Told

__all__ = [
    "CardRequest",
    "Catalogue",
    "FeatureDescribed",
    "Figure",
    "Group",
    "ModelCard",
    "Outcome",
    "TaskOffered",
    "TasksAnswer",
]


class TaskOffered(msgspec.Struct, frozen=True):
    """A task that the service answers: who may be asked about, what may happen, by when, and how good it was out of
    sample. `called` and `outcomes_called` are for people to read."""

    name: str
    called: Told
    question: str
    cohort: str
    outcomes: tuple[str, ...]
    outcomes_called: tuple[Told, ...]
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


class Figure(msgspec.Struct, frozen=True):
    """A metric of a scorer (the model, a rule) on the test, with its 95 % interval."""

    scorer: str
    metric: str
    value: float
    low: float
    high: float


class Outcome(msgspec.Struct, frozen=True):
    """One outcome by one horizon on the test: how many were promised, how many came."""

    outcome: str
    horizon_days: int
    promised: float
    happened: int


class Group(msgspec.Struct, frozen=True, omit_defaults=True):
    """A segment or month of the test; no `roc_auc` where it is too small to judge."""

    segment: str
    value: str
    rows: int
    promised: float
    happened: int
    roc_auc: float | None = None


class CardRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The page of the model that serves a task."""

    task: TaskName


class ModelCard(msgspec.Struct, frozen=True):
    """A model's page: what it was asked, what it learned from, how good it was on customers or dates it had not seen."""

    task: str
    version: str
    digest: str
    question: str
    cohort: str
    purpose: str
    outcomes: tuple[str, ...]
    wanted: tuple[str, ...]
    horizons_days: tuple[int, ...]
    gap_days: int
    trained_through: datetime
    made_at: datetime
    tested_at: list[datetime]
    kept_apart: str
    rows_fit: int
    rows_test: int
    outcomes_test: int
    base_rate: float
    grade_a_from: float
    grade_b_from: float
    grades_dated: datetime
    figures: list[Figure]
    promised: list[Outcome]
    segments: list[Group]
    rules: dict[str, str]
    beaten: list[str]
    unbeaten: list[str]
    features: dict[str, str]
    settings: dict[str, float]
    settings_by: str
    leaks: str
    too_good: str
    data_digest: str
    code_revision: str


class FeatureDescribed(msgspec.Struct, frozen=True):
    """A column of the catalogue, and which tasks' models read it."""

    name: str
    en: str
    zh: str
    unit: str
    window: str
    nothing: str
    concept: str
    concept_zh: str
    kind: str
    sources: list[str]
    fingerprint: str
    read_by: list[str]


class Catalogue(msgspec.Struct, frozen=True):
    features: list[FeatureDescribed]
