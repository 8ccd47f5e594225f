"""A person overrules: a score is contested, or was decided by a human instead; later scores say so."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from serving.contract.words import CustomerId, TaskName

__all__ = ["DecisionsAnswer", "DecisionsRequest", "Overruling"]


class Overruling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """About the scores of one customer for one task, from now on; `settled` ends it."""

    customer_id: CustomerId
    task: TaskName
    decision: Literal["contested", "human_decided", "settled"]


class DecisionsRequest(msgspec.Struct, forbid_unknown_fields=True):
    """1 to 1,000 of them, taken in all together."""

    decisions: Annotated[list[Overruling], msgspec.Meta(min_length=1, max_length=1_000)]


class DecisionsAnswer(msgspec.Struct, frozen=True):
    """They are recorded and on the disk."""

    at: datetime
    taken_in: int
