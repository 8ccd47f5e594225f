"""What a person at the console looks at: a customer's history, what lists may be filtered by, how today's customers differ."""

from datetime import datetime
from typing import Annotated

import msgspec

from serving.contract.words import CustomerId

__all__ = [
    "Activity",
    "AtMonth",
    "Choices",
    "Drift",
    "DriftAnswer",
    "DriftLine",
    "FiltersAnswer",
    "History",
    "HistoryRequest",
    "Kind",
    "Value",
]


class HistoryRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A customer's last so many months."""

    customer_id: CustomerId
    months: Annotated[int, msgspec.Meta(ge=1, le=36)] = 12


class Kind(msgspec.Struct, frozen=True):
    """How many rows of a kind there were in each month."""

    kind: str
    rows: list[int]


class Activity(msgspec.Struct, frozen=True):
    """What is stored of a customer in one source, by kind."""

    source: str
    kinds: list[Kind]


class AtMonth(msgspec.Struct, frozen=True):
    """How today's model would have scored the customer then, from what was known then; None where it may not be asked."""

    task: str
    probabilities: list[float | None]


class History(msgspec.Struct, frozen=True):
    """Month by month, oldest first: `months` are the moments at which each ends. `would_have_been` is computed anew and no
    score that was given."""

    customer_id: str
    as_of: datetime
    months: list[datetime]
    activity: list[Activity]
    would_have_been: list[AtMonth]


class Value(msgspec.Struct, frozen=True):
    value: str
    customers: int


class Choices(msgspec.Struct, frozen=True):
    """What a filter may ask for, most frequent first."""

    filter: str
    values: list[Value]


class FiltersAnswer(msgspec.Struct, frozen=True):
    filters: list[Choices]


class DriftLine(msgspec.Struct, frozen=True):
    """A column today against what the model learned from: the population stability index, what the test had already seen of
    it, and the share of what the trees gained by it. Above .10 it is worth a look, above .25 and twice the test's a deed."""

    feature: str
    en: str
    zh: str
    psi: float
    tested: float
    weight: float


class Drift(msgspec.Struct, frozen=True):
    """`scores_psi` compares today's scores with those of the calibration part."""

    task: str
    customers: int
    scores_psi: float
    scores_tested: float
    heaviest: list[DriftLine]


class DriftAnswer(msgspec.Struct, frozen=True):
    """The customers of tonight's rows whom each model may be asked about; `python -m training.monitor` tells all columns."""

    as_of: datetime
    drift: list[Drift]
