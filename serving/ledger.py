"""The ledger of settled forecasts: what runs expected beside what happened, a line per list of theirs.

`serving.settle` writes it; the next run's forecast learns from it how far such lists have been off.
"""

from datetime import datetime
from pathlib import Path

import msgspec

__all__ = ["ALL", "LEDGER", "Settled", "ledger"]

LEDGER = "SETTLED.jsonl"
ALL = "all"


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """One list of a run: how many were expected to have the outcome, with the 90 % interval, how many had it, and of both how many among
    those the company contacted in the window (-1: contacts are not recorded)."""

    run: str
    as_of: datetime
    task: str
    model_version: str
    segment: str
    value: str
    grade: str
    outcome: str
    horizon_days: int
    customers: int
    expected: float
    low: float
    high: float
    happened: int
    contacted: int = -1
    expected_contacted: float = -1.0
    happened_contacted: int = -1

    @property
    def inside(self) -> bool:
        """Whether what happened lies within the interval, its ends included."""
        return self.low <= self.happened <= self.high


def ledger(scores: Path) -> list[Settled]:
    """Everything settled so far."""
    try:
        lines = (scores / LEDGER).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [msgspec.json.decode(line, type=Settled) for line in lines]
