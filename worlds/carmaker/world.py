"""What defines one invented world: size, seed, dates, switches, and the random streams that follow from them."""

from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

__all__ = ["BLOCK", "BURN_IN", "DAY", "SPAN", "WEEK", "Mess", "World", "seconds"]

DAY = 86_400
WEEK = 7 * DAY
BLOCK = 10_000  # people simulated together; part of the world's definition: another size is another world
SPAN = 10_500  # customer numbers reserved per block: its people first, then second identities of some of them
BURN_IN = 26  # weeks lived before the history starts, so that it does not begin with everyone at once


def seconds(day: date) -> int:
    """Midnight of `day` as whole seconds since 1970 (naive UTC)."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


@dataclass(frozen=True)
class Mess:
    """Which imperfections of real data are planted. Each is counted in `world.json`."""

    late: bool = True
    corrections: bool = True
    duplicates: bool = True
    late_day: bool = True
    merges: bool = True
    wrong_clock: bool = True
    missing_columns: bool = True
    withdrawals: bool = True
    unknown_kinds: bool = True
    leaks: bool = True

    @classmethod
    def none(cls) -> "Mess":
        return cls(**{switch.name: False for switch in fields(cls)})


@dataclass(frozen=True)
class World:
    """A world is its settings: equal settings give equal content, whatever the number of processes.

    Weeks are counted from `start`; week `w` is `[start + 7w, start + 7w + 7)` days. History is `[start, end)`.
    """

    customers: int
    seed: int = 7
    start: date = date(2022, 7, 1)
    years: int = 3
    drift_from: date | None = None
    campaign: bool = True
    mess: Mess = field(default_factory=Mess)

    def __post_init__(self) -> None:
        if self.customers < 1:
            raise ValueError(f"customers must be at least 1, not {self.customers}")
        if not 1 <= self.years <= 10:
            raise ValueError(
                f"years must be between 1 and 10, not {self.years}: cars are slow, one year is the least"
            )
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, it is {self.seed}")
        if self.drift_from is not None and not self.start <= self.drift_from < self.end:
            raise ValueError(
                f"drift-from {self.drift_from} lies outside the history {self.start} to {self.end}"
            )

    @property
    def end(self) -> date:
        """First day after the history."""
        first_leap_safe = (
            self.start - timedelta(days=1) if (self.start.month, self.start.day) == (2, 29) else self.start
        )
        return first_leap_safe.replace(year=first_leap_safe.year + self.years)

    @property
    def weeks(self) -> int:
        """Weeks to live so that the whole history is covered; the last may reach beyond `end`."""
        return -(-(self.end - self.start).days // 7)

    @property
    def blocks(self) -> int:
        return -(-self.customers // BLOCK)

    @property
    def drift_week(self) -> int:
        """Week from which the market is another one; far away in a world without drift."""
        return 10_000 if self.drift_from is None else (self.drift_from - self.start).days // 7

    @property
    def campaign_week(self) -> int:
        """Week of the campaign with a random hold-out."""
        return int(self.weeks * 0.6)

    def people(self, block: int) -> int:
        """People in one block; the last may be smaller."""
        return min(BLOCK, self.customers - block * BLOCK)

    def at(self, week: int) -> int:
        """First second of a week, since 1970."""
        return seconds(self.start) + week * WEEK

    def week_of(self, day: date) -> tuple[int, float]:
        """The week that contains midnight of `day`, and the share of that week already gone then."""
        days = (day - self.start).days
        return days // 7, (days % 7) / 7

    def rng(self, block: int, stream: str, week: int = 0) -> np.random.Generator:
        """The random numbers of one purpose in one week of one block: independent of all others and of their order."""
        key = [self.seed, block, int.from_bytes(stream.encode()[:8], "big"), week + 1_000]
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))

    def as_json(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return asdict(self) | {
            "start": self.start.isoformat(),
            "drift_from": None if self.drift_from is None else self.drift_from.isoformat(),
        }

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> "World":
        """The world that `as_json` described."""
        drift = settings["drift_from"]
        return cls(
            **settings
            | {
                "start": date.fromisoformat(settings["start"]),
                "drift_from": None if drift is None else date.fromisoformat(drift),
                "mess": Mess(**settings["mess"]),
            }
        )
