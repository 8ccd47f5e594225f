"""Every intensity of the world, as a function of traits, state and week: the one definition.

The simulation draws from these and the truth integrates them, so the two cannot disagree. All values are
expected events per person and week. Four families:

    SESSIONS     self-initiated touchpoint sessions, by kind
    upkeep       workshop visits, charging, what the company does
    DECISIONS    the order or disposal that ends a stretch of life
    TURNS        hidden changes of the state itself
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker.season import season
from worlds.carmaker.state import ACTIVE, DORMANT, FADING, Garage, State, garage
from worlds.carmaker.traits import Traits
from worlds.carmaker.world import World

__all__ = [
    "BEHAVIOUR",
    "CANCELLED",
    "DECISIONS",
    "OWN_DEEDS",
    "SESSIONS",
    "TURNS",
    "View",
    "rates",
    "upward",
    "view",
]

Array = npt.NDArray[Any]
Rates = dict[str, Array]

SESSIONS = (
    "browse",
    "content",
    "app",
    "wecom",
    "showroom",
    "test_drive",
    "valuation",
    "insurance",
    "roadside",
    "complaint",
)
VISITS = ("maintenance", "repair")
BEHAVIOUR = (*SESSIONS, *VISITS, "charge", "company")
DECISIONS = ("first", "additional", "replacement", "defection")
TURNS = ("fade", "sleep", "wake", "come_back", "lost", "spark", "grow", "settle")
OWN_DEEDS = (
    *SESSIONS,
    *VISITS,
    "first",
    "additional",
    "replacement",
)  # an order is preceded by a quote request
CANCELLED = 0.07  # share of orders cancelled before delivery


@dataclass(frozen=True)
class View:
    """What all intensities of one week look at."""

    traits: Traits
    state: State
    garage: Garage
    week: int
    present: Array  # float 0/1: already known to the company
    demand: Array  # log multiplier of decisions: season, region, dealer
    activity: float
    showroom: float
    drift: float  # 0 before the market changed, 1 after
    years: float  # since the start


def view(world: World, traits: Traits, state: State, week: int) -> View:
    """Collect what the intensities of `week` need."""
    demand, activity, showroom = season(world.start).at(week)
    return View(
        traits=traits,
        state=state,
        garage=garage(state, week),
        week=week,
        present=(traits.entry_week < week).astype(np.float32),
        demand=demand + traits.region_effect + 0.5 * traits.dealer_quality,
        activity=activity,
        showroom=showroom,
        drift=float(week >= world.drift_week),
        years=week / 52.18,
    )


def rates(v: View) -> Rates:
    """All intensities of one week: {name: float array (people,)}."""
    return {
        name: value * v.present
        for name, value in (_sessions(v) | _upkeep(v) | _decisions(v) | _turns(v)).items()
    }


def _by_mode(v: View, active: float, fading: float, dormant: float) -> Array:
    return np.array([active, fading, dormant], dtype=np.float32)[v.state.mode]


def _sessions(v: View) -> Rates:
    t, s, g = v.traits, v.state, v.garage
    lively = _by_mode(v, 1.0, 0.3, 0.068) * np.float32(np.exp(v.activity))
    seldom = _by_mode(v, 1.0, 0.45, 0.06)
    private = np.where(t.private, np.float32(1.0), np.float32(0.25))
    wish, talk = np.minimum(s.interest, 2), s.engagement  # nobody can look at cars all day
    in_season = np.where(
        np.abs((v.week - s.delivered[np.arange(len(g.oldest)), g.oldest]) % 52 - 49) <= 2, 1.0, 0.0
    )
    return {
        "browse": lively * np.exp(-2.3 + 1.0 * wish - 0.2 * v.drift),
        "content": lively * private * np.exp(-1.75 + 0.7 * talk + 0.15 * wish - 0.3 * v.drift),
        "app": lively * private * np.exp(-2.1 + 1.0 * g.owner + 0.7 * talk + 0.2 * t.digital),
        "wecom": lively * private * np.exp(-2.6 + 0.4 * talk + 0.3 * wish + 0.3 * s.grievance),
        "showroom": lively * np.exp(-4.1 + 0.95 * wish + v.showroom),
        "test_drive": lively * np.exp(-4.15 - 0.4 * g.owner + 1.05 * wish + v.showroom - 0.8 * s.tested),
        "valuation": lively
        * g.owner
        * np.exp(-6.3 + 0.9 * wish + 0.8 * g.finance_near + 0.15 * g.age + 0.4 * v.drift),
        "insurance": seldom
        * g.owner
        * in_season
        * np.exp(-2.2 + 0.25 * s.satisfaction + 0.25 * t.affinity - 0.4 * g.out_of_warranty),
        "roadside": seldom * g.owner * np.exp(-6.3 + 0.12 * g.age),
        "complaint": seldom
        * g.owner
        * np.exp(-5.6 - 0.6 * s.satisfaction + 0.12 * g.age - 0.4 * t.dealer_quality),
    }


def _upkeep(v: View) -> Rates:
    t, s, g = v.traits, v.state, v.garage
    since = np.minimum(v.week - s.last_visit, 80).astype(np.float32)
    due = 1 / (1 + np.exp(-(since * (t.km_per_year / 13_000) - 25) / 2.5))
    loyal = np.exp(
        -2.0
        + 0.25 * s.satisfaction
        + 0.2 * t.affinity
        + 0.4 * t.dealer_quality
        - 0.28 * g.age
        - 0.7 * g.out_of_warranty
    )
    stays = _by_mode(v, 1.0, 0.5, 0.12)
    return {
        "maintenance": g.owner * stays * due * loyal,
        "repair": g.owner
        * (g.age > 0)
        * stays
        * np.exp(-5.2 + 0.16 * g.age - 0.7 * g.out_of_warranty + 0.2 * t.affinity),
        "charge": g.plugs_in
        * _by_mode(v, 1.0, 0.75, 0.5)
        * np.exp(-0.35 + 0.25 * t.digital + 0.2 * s.satisfaction - 0.3 * s.grievance),
        "company": 0.045 + 0.02 * t.private,
    }


def _decisions(v: View) -> Rates:
    t, s, g = v.traits, v.state, v.garage
    drove = np.minimum(s.tested, 1.5)
    free = (v.week >= s.hold_until).astype(np.float32)
    buyer = (
        free * _by_mode(v, 1.0, 0.6, 0.25) * np.exp(v.demand + v.drift * (0.1 + 0.3 * t.price_sensitivity))
    )
    taste = 0.15 * t.affluence - 0.15 * t.price_sensitivity + 0.2 * t.affinity
    ageing = 2.0 * np.log(np.clip(g.age / t.cycle, 0.08, 1.5))
    ending = 1.1 * g.finance_near + 0.7 * g.warranty_near
    trend = 0.14 * v.years
    return {
        "first": buyer
        * (1 - g.owner)
        * np.exp(-5.2 + 0.8 * s.interest + 1.5 * drove + taste - 0.22 * v.years),
        "additional": buyer
        * ((g.cars == 1) & (v.state.grievance < 2))
        * np.exp(
            -7.4
            + 0.8 * s.interest
            + 0.9 * drove
            + 1.2 * s.growing
            + 0.4 * t.affluence
            + taste
            + 0.15 * (t.household - 3)
            + trend
        ),
        "replacement": buyer
        * g.owner
        * np.exp(
            -5.7
            + 0.9 * s.interest
            + 1.0 * drove
            + ageing
            + ending
            + taste
            + 0.3 * s.satisfaction
            - 0.5 * s.grievance
            + trend
        ),
        "defection": free
        * g.owner
        * _by_mode(v, 1.0, 1.7, 1.5)
        * np.exp(
            -6.55
            + 0.4 * s.interest
            + ageing
            + ending
            - 0.55 * s.satisfaction
            + 0.9 * s.grievance
            - 0.35 * t.affinity
            + 0.3 * v.drift
        ),
    }


def _turns(v: View) -> Rates:
    t, s, g = v.traits, v.state, v.garage
    lead = 1 - g.owner
    age = 2022 + v.years - t.birth_year
    young = np.where((age > 24) & (age < 43), np.float32(1), np.float32(0.25))
    return {
        "fade": (s.mode == ACTIVE)
        * np.exp(
            -4.2
            - 0.4 * s.engagement
            - 0.35 * s.satisfaction
            - 0.25 * s.interest * lead
            + 0.45 * lead
            + 0.45 * g.out_of_warranty
            + 0.4 * s.grievance
        ),
        "sleep": (s.mode == FADING) * np.exp(-2.2 - 0.2 * s.engagement),
        "wake": (s.mode == FADING) * np.exp(-2.9 + 0.25 * s.satisfaction + 0.2 * s.interest),
        "come_back": (s.mode == DORMANT) * np.exp(-5.0 + 0.35 * s.interest + 0.25 * t.affinity - 0.3 * lead),
        "lost": lead
        * np.exp(-4.3 + 0.5 * s.interest - 0.25 * t.affinity + 0.2 * v.drift * t.price_sensitivity),
        "spark": np.full(len(t.affluence), 0.006, dtype=np.float32) * np.exp(0.2 * t.affluence),
        "grow": (~s.growing) * young * np.float32(0.0016),
        "settle": s.growing * np.float32(1 / 60),
    }


def interest_mean(v: View) -> Array:
    """Where interest drifts to: down without a reason, up with an ageing or ending car or a growing household."""
    t, s, g = v.traits, v.state, v.garage
    reasons = (
        -1.5 + 0.9 * s.growing + 1.1 * g.finance_near + 0.8 * g.warranty_near + 0.16 * np.minimum(g.age, 8)
    )
    return np.where(g.owner > 0, reasons, -0.7) + 0.25 * t.affinity + 0.15 * t.affluence


def engagement_mean(v: View) -> Array:
    """Where engagement drifts to."""
    return (
        0.35 * v.traits.affinity + 0.4 * v.traits.digital + 0.25 * v.state.satisfaction - 0.1 * v.garage.age
    )


def satisfaction_mean(v: View) -> Array:
    """Where satisfaction drifts to."""
    return (
        0.4 * v.traits.affinity
        + 0.8 * v.traits.dealer_quality
        - 0.6 * v.state.grievance
        - 0.05 * v.garage.age
    )


def upward(v: View) -> Array:
    """Probability that an owner's order is of a higher price class than the highest held."""
    t, s, top = v.traits, v.state, v.garage.top_class
    chance = 1 / (
        1
        + np.exp(-(0.1 + 0.8 * t.affluence + 0.25 * s.interest - 0.4 * t.price_sensitivity - 0.5 * (top - 3)))
    )
    return np.where(top >= 6, 0.0, chance)


def electrified(v: View) -> Array:
    """Probability that an order is for a car with a plug."""
    lean = (
        -0.5
        + 0.7 * v.traits.electric
        + 0.3 * v.years
        + 1.3 * v.garage.plugs_in
        - 0.15 * (v.traits.city_tier - 3)
    )
    return 1 / (1 + np.exp(-lean))
