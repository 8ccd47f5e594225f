"""Lists for a campaign: whom to call, how many outcomes to expect, what it brings."""

from datetime import datetime
from typing import Annotated

import msgspec

from serving.contract.words import Cautioned, Grade, ModelUsed, TaskName

__all__ = ["Filters", "Found", "ListAnswer", "ListRequest", "Listed", "Money", "Size"]

MOST_LISTED = 50_000
Choice = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=100)]],
    msgspec.Meta(min_length=1, max_length=200),
]


class Filters(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Only customers for whom each filter that is given holds one of its values."""

    region: Choice | None = None
    dealer: Choice | None = None
    model: Choice | None = None
    power_type: Choice | None = None
    stage: Choice | None = None
    city_tier: Choice | None = None


class ListRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The first `capacity` customers of a task, best first, within filters. `show` is how many of them are named."""

    task: TaskName
    capacity: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
    filters: Filters = msgspec.field(default_factory=Filters)
    show: Annotated[int, msgspec.Meta(ge=0, le=MOST_LISTED)] = 1_000


class Listed(msgspec.Struct, frozen=True, omit_defaults=True):
    """One customer of the list; the best has rank 1."""

    rank: int
    customer_id: str
    probability: float
    grade: Grade
    percentile: float


class Found(msgspec.Struct, frozen=True):
    """Outcomes to expect, with a 95 % interval. `chance_sd` is the standard deviation if every probability were true,
    `calibration_sd` what comes on top because they may all be off together, as far as they were on the test."""

    expected: float
    low: float
    high: float
    chance_sd: float
    calibration_sd: float


class Money(msgspec.Struct, frozen=True):
    """What a list of that size brings, in yuan, with the interval of its outcomes: outcomes x `outcome_yuan` less customers
    x `contact_yuan`. It counts as if reaching someone with the outcome earned the sum."""

    contact_yuan: float
    outcome_yuan: float
    expected: float
    low: float
    high: float
    why_en: str
    why_zh: str


class Size(msgspec.Struct, frozen=True, omit_defaults=True):
    """A point of the gains curve: a list of so many customers."""

    customers: int
    outcomes: Found
    yuan: float | None = None


class ListAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`eligible` customers pass the filters and were scored; `listed` are on the list. `at_random` is what as many drawn
    by lot from the eligible would hold; `best_size` the size that brings most."""

    task: str
    as_of: datetime
    expires_at: datetime
    model: ModelUsed
    eligible: int
    listed: int
    outcomes: Found
    at_random: float
    sizes: list[Size]
    customers: list[Listed]
    money: Money | None = None
    best_size: int | None = None
    warnings: list[Cautioned] = []
