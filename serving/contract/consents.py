"""What customers allow, told to the service: given, taken back or refused, for one of the purposes consents are given for."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from features.consent import PURPOSES
from serving.contract.words import CustomerId

__all__ = ["ConsentChange", "ConsentsAnswer", "ConsentsRequest"]

EVERYWHERE_WITHIN_S = 5.0


class ConsentChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One customer, one purpose. `withdrawn` takes a consent back, `refused` objects; `granted` takes that back again, and then
    what the tables say decides."""

    customer_id: CustomerId
    purpose: Literal[tuple(sorted(PURPOSES))]  # type: ignore[valid-type]
    state: Literal["granted", "withdrawn", "refused"]


class ConsentsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """1 to 1,000 changes, taken in all together."""

    changes: Annotated[list[ConsentChange], msgspec.Meta(min_length=1, max_length=1_000)]


class ConsentsAnswer(msgspec.Struct, frozen=True):
    """They are recorded and on the disk; every replica minds them within so many seconds."""

    at: datetime
    taken_in: int
    everywhere_within_s: float = EVERYWHERE_WITHIN_S
