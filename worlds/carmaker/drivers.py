"""The planted drivers: what moves which outcome, which way and how strongly, to check a model's reasons against.

Nothing is stated twice: each driver changes one thing about a reference person, and the effect is read off `hazards`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from worlds.carmaker import hazards
from worlds.carmaker.state import ACTIVE, DORMANT, FADING, NEVER, NONE, SLOTS, State
from worlds.carmaker.traits import Traits
from worlds.carmaker.world import World

__all__ = ["DRIVERS", "Driver", "planted"]

WEEK_OF_REFERENCE = 60
Change = Callable[[Traits, State], None]


@dataclass(frozen=True)
class Driver:
    """One driver of one outcome. `through` names the intensity it acts on; an intensity in `AGAINST` works against the outcome."""

    task: str
    outcome: str
    name: str
    through: str
    seen_in: str
    change: Change
    owner: bool = True


def _set(part: str, name: str, value: float) -> Change:
    """A change of one trait or state variable of the reference person."""

    def change(traits: Traits, state: State) -> None:
        getattr(traits if part == "traits" else state, name)[...] = value

    return change


def _complained(_: Traits, state: State) -> None:
    state.grievance[...], state.satisfaction[...] = 1, -0.5


def _aged(_: Traits, state: State) -> None:
    state.delivered[:, 0] = WEEK_OF_REFERENCE - 6 * 52


def _second_class(_: Traits, state: State) -> None:
    state.car_class[:, 0] = 5


_FINANCE_ENDS = _set("state", "finance_end", WEEK_OF_REFERENCE)
_WARRANTY_ENDS = _set("state", "warranty_end", WEEK_OF_REFERENCE)
_OUT_OF_WARRANTY = _set("state", "warranty_end", WEEK_OF_REFERENCE - 60)
_WISH, _DROVE = _set("state", "interest", 0.0), _set("state", "tested", 1.0)
_DEEDS, _FADE = "own deeds", "fade"
AGAINST = {_DEEDS}

DRIVERS: tuple[Driver, ...] = (
    Driver(
        "purchase_intent",
        "order",
        "interest up by 1",
        "first",
        "model pages, configurator depth, quotes, showroom visits",
        _WISH,
        owner=False,
    ),
    Driver(
        "purchase_intent",
        "order",
        "a test drive this week",
        "first",
        "touchpoints test_drive",
        _DROVE,
        owner=False,
    ),
    Driver(
        "purchase_intent",
        "order",
        "price sensitivity up by 1",
        "first",
        "reads about price",
        _set("traits", "price_sensitivity", 1),
        owner=False,
    ),
    Driver(
        "purchase_intent",
        "order",
        "liking for the brand up by 1",
        "first",
        "engagement over years",
        _set("traits", "affinity", 1),
        owner=False,
    ),
    Driver(
        "purchase_intent",
        "order",
        "a better dealer (+0.35)",
        "first",
        "dealer_id",
        _set("traits", "dealer_quality", 0.35),
        owner=False,
    ),
    Driver(
        "purchase_intent",
        "order",
        "fading",
        "first",
        "growing silence",
        _set("state", "mode", FADING),
        owner=False,
    ),
    Driver("churn", "silence", "fading", _DEEDS, "growing silence", _set("state", "mode", FADING)),
    Driver("churn", "silence", "dormant", _DEEDS, "silence", _set("state", "mode", DORMANT)),
    Driver(
        "churn",
        "silence",
        "engagement up by 1",
        _DEEDS,
        "frequency of touchpoints",
        _set("state", "engagement", 1),
    ),
    Driver(
        "churn",
        "silence",
        "follows no private channel",
        _DEEDS,
        "channels used",
        _set("traits", "private", 0),
    ),
    Driver(
        "churn", "silence", "out of warranty", _FADE, "warranty_ends_at, workshop visits", _OUT_OF_WARRANTY
    ),
    Driver("churn", "silence", "a complaint", _FADE, "touchpoints complaint", _complained),
    Driver(
        "churn",
        "silence",
        "satisfaction up by 1",
        _FADE,
        "few complaints and repairs",
        _set("state", "satisfaction", 1),
    ),
    Driver(
        "repurchase",
        "replacement",
        "interest up by 1",
        "replacement",
        "model pages, valuation requests, showroom visits",
        _WISH,
    ),
    Driver(
        "repurchase", "replacement", "a test drive this week", "replacement", "touchpoints test_drive", _DROVE
    ),
    Driver("repurchase", "replacement", "finance ends", "replacement", "finance_ends_at", _FINANCE_ENDS),
    Driver("repurchase", "replacement", "warranty ends", "replacement", "warranty_ends_at", _WARRANTY_ENDS),
    Driver("repurchase", "replacement", "car of 6 years instead of 2", "replacement", "delivery date", _aged),
    Driver(
        "repurchase",
        "replacement",
        "liking for the brand up by 1",
        "replacement",
        "engagement over years",
        _set("traits", "affinity", 1),
    ),
    Driver("repurchase", "replacement", "a complaint", "replacement", "touchpoints complaint", _complained),
    Driver(
        "repurchase",
        "additional",
        "growing household",
        "additional",
        "model pages, showroom visits of owners of young cars",
        _set("state", "growing", 1),
    ),
    Driver(
        "repurchase", "additional", "interest up by 1", "additional", "model pages, showroom visits", _WISH
    ),
    Driver(
        "repurchase",
        "additional",
        "affluence up by 1",
        "additional",
        "price class, city tier",
        _set("traits", "affluence", 1),
    ),
    Driver(
        "repurchase", "additional", "a test drive this week", "additional", "touchpoints test_drive", _DROVE
    ),
    Driver("repurchase", "defection", "a complaint", "defection", "touchpoints complaint", _complained),
    Driver("repurchase", "defection", "finance ends", "defection", "finance_ends_at", _FINANCE_ENDS),
    Driver("repurchase", "defection", "car of 6 years instead of 2", "defection", "delivery date", _aged),
    Driver(
        "repurchase",
        "defection",
        "satisfaction up by 1",
        "defection",
        "few complaints, regular service",
        _set("state", "satisfaction", 1),
    ),
    Driver(
        "repurchase", "defection", "fading", "defection", "growing silence", _set("state", "mode", FADING)
    ),
    Driver(
        "upgrade",
        "higher class",
        "affluence up by 1",
        "upward",
        "price class, city tier",
        _set("traits", "affluence", 1),
    ),
    Driver(
        "upgrade",
        "higher class",
        "price sensitivity up by 1",
        "upward",
        "reads about price",
        _set("traits", "price_sensitivity", 1),
    ),
    Driver("upgrade", "higher class", "holds class 5 instead of 3", "upward", "price_class", _second_class),
    Driver("upgrade", "higher class", "finance ends", "replacement", "finance_ends_at", _FINANCE_ENDS),
)


def planted() -> list[dict[str, Any]]:
    """All drivers as JSON values: `ratio` multiplies the weekly intensity named in `through`, `sign` is towards the outcome."""
    world, found = World(customers=1, campaign=False), []
    for driver in DRIVERS:
        plain, changed = _reference(driver.owner), _reference(driver.owner)
        driver.change(*changed)
        ratio = _intensity(world, *changed, driver.through) / _intensity(world, *plain, driver.through)
        helps = (ratio > 1) != (driver.through in AGAINST)
        found.append(
            {
                "task": driver.task,
                "outcome": driver.outcome,
                "driver": driver.name,
                "through": driver.through,
                "ratio": round(ratio, 3),
                "sign": "+" if helps else "-",
                "seen_in": driver.seen_in,
            }
        )
    return found


def _intensity(world: World, traits: Traits, state: State, through: str) -> float:
    v = hazards.view(world, traits, state, WEEK_OF_REFERENCE)
    if through == "upward":
        return float(hazards.upward(v)[0])
    rate = hazards.rates(v)
    return float(sum(rate[name][0] for name in hazards.OWN_DEEDS) if through == _DEEDS else rate[through][0])


def _reference(owner: bool) -> tuple[Traits, State]:
    """An average person of 2022 who has known the brand for long, with a two-year-old car or none."""
    traits = Traits(**{name: np.zeros(1, np.float32) for name in Traits.__dataclass_fields__})
    for name, value in {
        "household": 3,
        "birth_year": 1985,
        "city_tier": 3,
        "private": 1,
        "cycle": 5.2,
        "km_per_year": 13_000,
    }.items():
        getattr(traits, name)[...] = value
    traits.entry_week[...] = -20
    one_per_slot = (
        "delivered",
        "leaves",
        "finance_end",
        "warranty_end",
        "car_class",
        "car_power",
        "car_number",
    )
    state = State(
        **{name: np.zeros((1, SLOTS) if name in one_per_slot else 1) for name in State.__dataclass_fields__}
    )
    state.mode = np.full(1, ACTIVE, np.int8)
    state.growing = np.zeros(1, bool)
    state.interest[...] = -1
    state.hold_until[...], state.arrives[...], state.delivered[...], state.leaves[...] = (
        NONE,
        NEVER,
        NONE,
        NEVER,
    )
    state.last_visit[...] = WEEK_OF_REFERENCE - 20
    state.finance_end[...] = state.warranty_end[...] = WEEK_OF_REFERENCE + 60
    state.car_class[...] = 3
    if owner:
        state.delivered[:, 0] = WEEK_OF_REFERENCE - 104
    return traits, state
