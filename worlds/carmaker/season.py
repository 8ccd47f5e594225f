"""The year as the trade knows it: Spring Festival, golden week, motor shows, the year-end push.

All values are log multipliers per week, so they add to the log hazards of `hazards.py`.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker.world import BURN_IN

__all__ = ["SPRING_FESTIVAL", "Season", "season", "shows"]

Array = npt.NDArray[Any]
AHEAD = 600  # weeks after the start that have a season: ten years of history and a long outcome window

SPRING_FESTIVAL = {
    2018: date(2018, 2, 16), 2019: date(2019, 2, 5), 2020: date(2020, 1, 25), 2021: date(2021, 2, 12),
    2022: date(2022, 2, 1), 2023: date(2023, 1, 22), 2024: date(2024, 2, 10), 2025: date(2025, 1, 29),
    2026: date(2026, 2, 17), 2027: date(2027, 2, 6), 2028: date(2028, 1, 26), 2029: date(2029, 2, 13),
    2030: date(2030, 2, 3), 2031: date(2031, 1, 23), 2032: date(2032, 2, 11), 2033: date(2033, 1, 31),
}  # fmt: skip


@dataclass(frozen=True)
class Season:
    """Log multipliers by week, first entry is week `-BURN_IN`; read one with `at`."""

    demand: Array
    activity: Array
    showroom: Array

    def at(self, week: int) -> tuple[float, float, float]:
        """Demand, activity and showroom effect of one week."""
        i = week + BURN_IN
        return float(self.demand[i]), float(self.activity[i]), float(self.showroom[i])


def shows(year: int) -> list[tuple[str, date, date]]:
    """Motor shows of a year with first and last day: Shanghai in odd years, Beijing in even ones, Chengdu, Guangzhou."""
    spring = (
        ("Shanghai", date(year, 4, 18), date(year, 4, 27))
        if year % 2
        else ("Beijing", date(year, 4, 25), date(year, 5, 4))
    )
    known = [
        spring,
        ("Chengdu", date(year, 8, 26), date(year, 9, 4)),
        ("Guangzhou", date(year, 11, 17), date(year, 11, 26)),
    ]
    if year == 2022:  # Beijing was called off; Guangzhou moved to the turn of the year
        return [known[1], ("Guangzhou", date(2022, 12, 30), date(2023, 1, 8))]
    return known


def _overlap(week_start: date, first: date, last: date) -> float:
    """Share of the week's days within `[first, last]`."""
    begin, finish = max(week_start, first), min(week_start + timedelta(days=6), last)
    return max((finish - begin).days + 1, 0) / 7


def _week(monday: date) -> tuple[float, float, float]:
    demand = activity = showroom = 0.0
    for year in (monday.year, monday.year + 1):
        festival = SPRING_FESTIVAL.get(year, date(year, 2, 5))
        before = _overlap(monday, festival - timedelta(days=28), festival - timedelta(days=8))
        during = _overlap(monday, festival - timedelta(days=3), festival + timedelta(days=10))
        demand += 0.25 * before - 1.1 * during
        activity += 0.15 * during
        showroom += 0.2 * before - 1.3 * during
    for year in (monday.year - 1, monday.year):
        for _, first, last in shows(year):
            share = _overlap(monday, first, last)
            demand, activity, showroom = (
                demand + 0.2 * share,
                activity + 0.25 * share,
                showroom + 0.45 * share,
            )
    demand += 0.35 * _overlap(monday, date(monday.year, 12, 1), date(monday.year, 12, 31))
    golden_week = _overlap(monday, date(monday.year, 10, 1), date(monday.year, 10, 7))
    summer = _overlap(monday, date(monday.year, 7, 1), date(monday.year, 8, 15))
    return (
        demand + 0.15 * golden_week - 0.12 * summer,
        activity - 0.1 * golden_week,
        showroom + 0.3 * golden_week - 0.1 * summer,
    )


@lru_cache(maxsize=8)
def season(start: date) -> Season:
    """The season of every week of a world that starts on `start`."""
    table = np.array(
        [_week(start + timedelta(days=7 * week)) for week in range(-BURN_IN, AHEAD)], dtype=np.float32
    )
    return Season(demand=table[:, 0], activity=table[:, 1], showroom=table[:, 2])
