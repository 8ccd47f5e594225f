"""The planted drivers: for each task what moves its outcome, which way and how strongly, to check reasons against.

Read off `hazards.py`; a test changes each driver there and compares. `ratio` multiplies the weekly intensity of
the outcome (of silence, for churn: of becoming quiet) when `driver` rises as `change` says, all else equal.
"""

from typing import Any

__all__ = ["DRIVERS"]


def _driver(task: str, outcome: str, driver: str, change: str, *, ratio: float, seen_in: str) -> dict[str, Any]:
    return {
        "task": task,
        "outcome": outcome,
        "driver": driver,
        "change": change,
        "sign": "+" if ratio > 1 else "-",
        "ratio": ratio,
        "seen_in": seen_in,
    }


DRIVERS: list[dict[str, Any]] = []
