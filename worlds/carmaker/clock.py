"""From weeks to seconds: when within its week something happened, and when the company learned of it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker.world import BLOCK, DAY, SPAN, World

__all__ = ["entered_at", "evening_hours", "numbers", "opening_hours"]

Array = npt.NDArray[Any]
HOUR = 3_600
# Hours are UTC; the people live eight hours ahead.
_EVENING = np.cumsum(
    [0.04, 0.04, 0.05, 0.05, 0.07, 0.06, 0.04, 0.04, 0.04, 0.05, 0.06, 0.09, 0.12, 0.13, 0.12]
)


def evening_hours(world: World, week: Array, rng: np.random.Generator) -> Array:
    """A second in each week, on any day with equal chance, between 8 and 23 o'clock local time, mostly in the evening."""
    n = len(week)
    hour = np.minimum(np.searchsorted(_EVENING, rng.random(n)), 14)
    return _second(world, week, rng, hour * HOUR + rng.integers(0, HOUR, n))


def opening_hours(world: World, week: Array, rng: np.random.Generator) -> Array:
    """A second in each week, on any day, between 9 and 18 o'clock local time."""
    return _second(world, week, rng, HOUR + rng.integers(0, 9 * HOUR, len(week)))


def _second(world: World, week: Array, rng: np.random.Generator, in_day: Array) -> Array:
    start = world.at(0) + week.astype(np.int64) * 7 * DAY
    return start + rng.integers(0, 7, len(week)) * DAY + in_day


def numbers(block: int, who: Array) -> Array:
    """Customer numbers of people in a block; second identities follow after BLOCK, still below the next block's."""
    if len(who) and who.max() >= SPAN:
        raise ValueError(
            f"position {who.max()} does not fit the {SPAN} numbers reserved for a block of {BLOCK}"
        )
    return block * SPAN + who.astype(np.int64) + 1


def entered_at(world: World, block: int, entry_week: Array, first_delivery: Array) -> Array:
    """When each person became known: in the entry week, or before the history and before the first car."""
    rng = world.rng(block, "entered")
    entered = evening_hours(world, entry_week, rng)
    early = world.at(0) - rng.integers(190 * DAY, 900 * DAY, len(entry_week))
    before_car = (
        world.at(0)
        + first_delivery.astype(np.int64) * 7 * DAY
        - rng.integers(14 * DAY, 90 * DAY, len(entry_week))
    )
    return np.where(entry_week >= 0, entered, np.where(first_delivery > -10_000, before_car, early))
