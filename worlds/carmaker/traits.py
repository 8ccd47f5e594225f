"""Who the people are: traits that do not change, drawn once per block."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker.state import NEVER, NONE
from worlds.carmaker.world import BURN_IN, World

__all__ = ["ACQUISITION", "DEALERS_PER_REGION", "REGIONS", "Traits", "draw_traits"]

Array = npt.NDArray[Any]

REGIONS = ("North", "Northeast", "East", "Yangtze Delta", "Central", "South", "Southwest", "Northwest")
ACQUISITION = ("site", "social", "dealer", "show", "referral", "app", "media")
DEALERS_PER_REGION = 12
EVERY_BLOCK = 1_000_000_000  # the random stream of what all blocks share


@dataclass(frozen=True)
class Traits:
    """One array per trait, one entry per person. Names ending in no unit are standard scores (mean 0, deviation 1)."""

    affluence: Array
    price_sensitivity: Array
    affinity: Array  # liking for the brand
    digital: Array  # habit of using apps and mini-programs
    social: Array  # talks, posts, invites
    reactance: Array  # dislike of being contacted
    electric: Array  # leaning towards electric cars
    private: Array  # follows the brand's private channels (bool)
    household: Array  # people in it at the start
    birth_year: Array
    sex: Array  # 0 female, 1 male, 2 other
    city_tier: Array  # 1..5
    region: Array  # index into REGIONS
    region_effect: Array  # log effect of the region on demand
    dealer: Array  # number of the home dealer
    dealer_quality: Array  # log effect of the dealer on demand, satisfaction and service
    acquisition: Array  # index into ACQUISITION
    entry_week: Array  # week of first contact
    owner_at_start: Array  # bool
    entry_interest: Array  # interest at first contact
    km_per_year: Array
    cycle: Array  # years after which a car feels old
    marketing_until: Array  # week in which marketing consent is withdrawn; NEVER if kept, NONE if refused
    profiling_until: Array  # the same for profiling
    treated: Array  # arm of the campaign with a hold-out (bool)
    campaign_effect: Array  # change of interest if treated; negative for people put off

    def take(self, rows: Array) -> "Traits":
        """The same people in another order or number."""
        return Traits(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def columns(self) -> dict[str, Array]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


def draw_traits(world: World, block: int) -> Traits:
    """Draw the people of one block."""
    rng, n = world.rng(block, "traits"), world.people(block)

    def normal() -> Array:
        return rng.standard_normal(n, dtype=np.float32)

    affluence, affinity, digital, social, reactance = normal(), normal(), normal(), normal(), normal()
    price = -0.5 * affluence + 0.87 * normal()
    city_tier = np.clip(np.rint(3.0 - 0.6 * affluence + 1.0 * normal()), 1, 5).astype(np.int8)
    region = rng.choice(len(REGIONS), n, p=[0.14, 0.08, 0.16, 0.18, 0.13, 0.16, 0.10, 0.05])
    dealer = (region * DEALERS_PER_REGION + rng.integers(0, DEALERS_PER_REGION, n)).astype(np.int16)
    owner = rng.random(n) < 0.30
    early = owner | (rng.random(n) < 0.42)
    # The flow of new leads falls to a third over the history: the market turns to the people it already has.
    arrival = np.floor(world.weeks * (1.5 - np.sqrt(2.25 - 2 * rng.random(n)))).astype(np.int16)
    entry = np.where(early, -BURN_IN, arrival).astype(np.int16)
    acquisition = rng.choice(len(ACQUISITION), n, p=[0.22, 0.24, 0.2, 0.08, 0.08, 0.1, 0.08]).astype(np.int8)
    return Traits(
        affluence=affluence,
        price_sensitivity=price.astype(np.float32),
        affinity=affinity,
        digital=digital,
        social=social,
        reactance=reactance,
        electric=(0.25 * (3 - city_tier) + 0.9 * normal()).astype(np.float32),
        private=rng.random(n) < 1 / (1 + np.exp(-(0.9 + 0.7 * digital))),
        household=np.clip(1 + rng.poisson(1.7, n), 1, 6).astype(np.int8),
        birth_year=np.clip(np.rint(1987 + 9 * normal()), 1945, 2004).astype(np.int16),
        sex=rng.choice(3, n, p=[0.34, 0.64, 0.02]).astype(np.int8),
        city_tier=city_tier,
        region=region.astype(np.int8),
        region_effect=_fixed_effects(world, "regions", len(REGIONS), 0.15)[region],
        dealer=dealer,
        dealer_quality=_fixed_effects(world, "dealers", len(REGIONS) * DEALERS_PER_REGION, 0.35)[dealer],
        acquisition=acquisition,
        entry_week=entry,
        owner_at_start=owner,
        entry_interest=(0.8 + 0.9 * normal() + 0.5 * (acquisition == 4) - 0.4 * (acquisition == 1)).astype(
            np.float32
        ),
        km_per_year=(13_000 * np.exp(0.35 * normal())).astype(np.float32),
        cycle=(5.2 * np.exp(0.35 * normal() - 0.1 * affluence)).astype(np.float32),
        marketing_until=_consent(rng, entry, reactance, 0.08, 0.05),
        profiling_until=_consent(rng, entry, reactance, 0.04, 0.02),
        treated=rng.random(n) < 0.5,
        campaign_effect=(0.35 + 0.35 * price - 0.5 * reactance + 0.15 * normal()).astype(np.float32),
    )


def _consent(
    rng: np.random.Generator, entry: Array, reactance: Array, refused: float, per_year: float
) -> Array:
    """Week in which a consent ends: people who dislike contact withdraw sooner."""
    weeks = (
        np.maximum(entry, 0)
        + 1
        + 52.18 * rng.exponential(1 / per_year, len(entry)) * np.exp(-0.5 * reactance)
    )
    kept = np.where(weeks > 1_500, NEVER, np.floor(weeks))
    return np.where(rng.random(len(entry)) < refused, NONE, kept).astype(np.int16)


def _fixed_effects(world: World, stream: str, count: int, spread: float) -> Array:
    """Effects shared by all blocks: the same dealer is as good in each."""
    return (spread * world.rng(EVERY_BLOCK, stream).standard_normal(count)).astype(np.float32)
