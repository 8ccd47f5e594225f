"""Posted events: scores of a customer whose events arrived a second ago, and of one who would be otherwise.

A struct per source is made of its declaration in `features.sources`: key, both clocks, columns with their types,
vocabularies and bounds. `known_at` is when your systems learned of it; without one, when it happened.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from features.sources import CANONICAL, Column, Source
from serving.contract.scores import Score
from serving.contract.words import Cautioned, CustomerId, Instant, ModelUsed, Tasks

__all__ = [
    "EVENT_TYPES",
    "EventsRequest",
    "Fact",
    "Pair",
    "Suppose",
    "WhatIfAnswer",
    "WhatIfRequest",
]

MOST_EVENTS = 5_000
LARGEST = 2**53
FRAME = ("customer_id", "happened_at", "known_at", "superseded_at")

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+(?!\n)$")]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+(?!\n)$")]


def _type(column: Column) -> Any:
    match column.type:
        case "timestamp":
            return Instant
        case "boolean":
            return bool
        case "int64":
            least = -LARGEST if column.minimum is None else column.minimum
            most = LARGEST if column.maximum is None else column.maximum
            return Annotated[int, msgspec.Meta(ge=least, le=most, description=column.meaning)]
    if column.values:
        return Literal[tuple(sorted(column.values))]
    return CustomerId if column.references == "customers" else Word


def _event(source: Source) -> type[msgspec.Struct]:
    fields: list[Any] = [(source.key, Key), ("happened_at", Instant), ("known_at", Instant | None, None)]
    columns = [c for c in source.columns if c.name not in (source.key, *FRAME)]
    fields += [(c.name, _type(c)) for c in columns if c.required]
    fields += [(c.name, _type(c) | None, None) for c in columns if not c.required]
    name = "".join(part.title() for part in source.name.split("_")) + "Event"
    made = msgspec.defstruct(name, fields, frozen=True, forbid_unknown_fields=True, kw_only=True)
    made.__doc__ = f"A row of {source.name}: {source.meaning}."
    return made


EVENT_TYPES: dict[str, type[msgspec.Struct]] = {name: _event(source) for name, source in CANONICAL.items()}

if TYPE_CHECKING:
    Events = Any
else:
    Events = msgspec.defstruct(
        "Events",
        [
            (
                name,
                Annotated[list[event], msgspec.Meta(max_length=MOST_EVENTS)],
                msgspec.field(default_factory=list),
            )
            for name, event in EVENT_TYPES.items()
        ],
        frozen=True,
        forbid_unknown_fields=True,
    )
    Events.__doc__ = "Events of one customer, by source."


class EventsRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Scores of one customer as of a moment, from events that are posted: added to the `stored` history, or standing for
    all of it (`given`). Events that happened or were known at `as_of` or later do not count. The same
    `idempotency_key` gives the same answer and score ids for a day, whatever repeats the request."""

    customer_id: CustomerId
    as_of: Instant
    events: Events
    history: Literal["stored", "given"] = "stored"
    tasks: Tasks | None = None
    idempotency_key: (
        Annotated[str, msgspec.Meta(min_length=8, max_length=64, pattern=r"^[\x21-\x7e]+(?!\n)$")] | None
    ) = None


FeatureName = Annotated[str, msgspec.Meta(min_length=1, max_length=80, pattern=r"^[a-z][a-z0-9_]*(?!\n)$")]
FeatureValue = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)] | Word | None


class Suppose(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What would be otherwise: events that did not happen, from which all features follow, or features set to a value
    each. One of the two."""

    events: Events | None = None
    features: Annotated[dict[FeatureName, FeatureValue], msgspec.Meta(min_length=1, max_length=20)] | None = (
        None
    )


class WhatIfRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The same customer twice: as is, and as supposed. With `as_of`, from the stored history at that moment (needed for
    events); without, from the nightly rows."""

    customer_id: CustomerId
    suppose: Suppose
    as_of: Instant | None = None
    tasks: Tasks | None = None


class Fact(msgspec.Struct, frozen=True):
    """A feature that differs between the two."""

    feature: str
    en: str
    zh: str
    as_is: float | str | None
    supposed: float | str | None


class Pair(msgspec.Struct, frozen=True, omit_defaults=True):
    """The two scores of a task, and the difference of their probabilities where both are scored."""

    task: str
    as_is: Score
    supposed: Score
    difference: float | None = None


class WhatIfAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Nothing of this is a score of the customer: it has no score id and stands in no log."""

    hypothetical: Literal[True]
    as_of: datetime
    models: dict[str, ModelUsed]
    pairs: list[Pair]
    differs: list[Fact]
    warnings: list[Cautioned] = []
