"""Lives, week by week: what is due happens, intensities are drawn, the state moves.

`arrive`, `draw` and `move` are used twice: by `live`, which tells what happens, and by `truth`, which goes on from a
stored state with some outcomes held back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker import hazards
from worlds.carmaker.state import ACTIVE, DORMANT, FADING, NEVER, NONE, SLOTS, Garage, State
from worlds.carmaker.traits import Traits
from worlds.carmaker.world import BURN_IN, World

__all__ = ["Week", "arrive", "at_start", "draw", "live", "move"]

Array = npt.NDArray[Any]
Entries = dict[str, Array]  # columns of a list of deeds; `who` is a position in the block
HOLD = 19  # weeks after an order without another decision: longer than delivery and the old car's leaving
HOLD_AFTER_DEFECTION = 11
KIND_OF_ORDER = ("first", "additional", "replacement")


@dataclass
class Week:
    """What happened to one block in one week."""

    week: int
    counts: dict[str, Array]  # behaviour: events per person
    interest: Array
    engagement: Array
    mode: Array
    garage: Garage
    present: Array
    arrived: dict[str, Entries]  # what was agreed earlier: delivered, left (old cars), withdrawn (orders)
    ordered: Entries
    parted: Entries  # disposals without an order: defection


def at_start(world: World, block: int, traits: Traits) -> State:
    """The state in which people enter the burn-in (or, for later ones, their first week)."""
    rng, n = world.rng(block, "start"), len(traits.affluence)

    def normal(scale: float) -> Array:
        return (scale * rng.standard_normal(n)).astype(np.float32)

    def slots(first: Array, empty: int, dtype: type) -> Array:
        table: Array = np.full((n, SLOTS), empty, dtype=dtype)
        table[:, 0] = np.where(traits.owner_at_start, first, empty)
        return table

    age = np.minimum(rng.gamma(1.5, 1.9, n) * 52, 11 * 52)
    delivery = np.floor(-BURN_IN - age)
    financed = rng.random(n) < 0.55
    finance = np.where(financed, delivery + rng.choice([104, 156, 208], n, p=[0.25, 0.5, 0.25]), NONE)
    plug = rng.random(n) < 1 / (1 + np.exp(1.4 - 0.7 * traits.electric + 0.15 * age / 52))
    interest = np.where(traits.owner_at_start, -1.3 + 0.1 * age / 52, -0.5) + normal(0.8)
    asleep = rng.random(n) < np.where(traits.owner_at_start, 0.12 + 0.035 * age / 52, 0.35)
    return State(
        interest=interest.astype(np.float32),
        engagement=(0.35 * traits.affinity + 0.4 * traits.digital + normal(0.5)).astype(np.float32),
        satisfaction=(0.4 * traits.affinity + 0.8 * traits.dealer_quality + normal(0.6)).astype(np.float32),
        grievance=np.zeros(n, np.float32),
        tested=np.zeros(n, np.float32),
        mode=np.where(asleep & (traits.entry_week < 0), DORMANT, ACTIVE).astype(np.int8),
        growing=rng.random(n) < 0.05,
        hold_until=np.full(n, NONE, np.int16),
        last_visit=(-BURN_IN - rng.integers(0, 40, n)).astype(np.int16),
        cars_ever=traits.owner_at_start.astype(np.int8),
        arrives=np.full(n, NEVER, np.int16),
        cancelled=np.zeros(n, bool),
        arriving_class=np.zeros(n, np.int8),
        arriving_power=np.zeros(n, np.int8),
        arriving_plan=np.zeros(n, np.int8),
        delivered=slots(delivery, NONE, np.int16),
        leaves=np.full((n, SLOTS), NEVER, np.int16),
        finance_end=slots(finance, NONE, np.int16),
        warranty_end=slots(delivery + 156, NONE, np.int16),
        car_class=slots(_class_of_taste(traits, rng), 0, np.int8),
        car_power=slots(
            np.where(plug, rng.choice([2, 3], n), rng.choice([0, 1], n, p=[0.85, 0.15])), 0, np.int8
        ),
        car_number=slots(np.ones(n), 0, np.int8),
    )


def arrive(state: State, week: int, rng: np.random.Generator) -> dict[str, Entries]:
    """Let what was agreed for `week` happen: deliveries, cancellations, old cars leaving. Changes `state`."""
    who, slot = np.nonzero(state.leaves == week)
    left = _car(state, who, slot)
    state.delivered[who, slot], state.leaves[who, slot] = NONE, NEVER
    due = state.arrives == week
    withdrawn = {"who": np.nonzero(due & state.cancelled)[0]}
    who = np.nonzero(due & ~state.cancelled)[0]
    slot = (state.delivered[who] == NONE).argmax(axis=1)
    state.cars_ever[who] += 1
    plan = state.arriving_plan[who]
    loan_weeks = rng.choice([104, 156, 208], len(who), p=[0.25, 0.5, 0.25])
    state.delivered[who, slot] = week
    state.finance_end[who, slot] = np.select([plan == 0, plan == 2], [NONE, week + 156], week + loan_weeks)
    state.warranty_end[who, slot] = week + 156
    state.car_class[who, slot] = state.arriving_class[who]
    state.car_power[who, slot] = state.arriving_power[who]
    state.car_number[who, slot] = state.cars_ever[who]
    # The new car answers the wish and wakes its owner up.
    state.interest[who] = -1.6
    state.engagement[who] += 0.7
    state.satisfaction[who] += 0.4
    state.grievance[who] = 0
    state.mode[who], state.last_visit[who] = ACTIVE, week
    state.arrives[due] = NEVER
    delivered = _car(state, who, slot) | {"plan": plan}
    return {"delivered": delivered, "left": left, "withdrawn": withdrawn}


def draw(rate: hazards.Rates, rng: np.random.Generator) -> tuple[dict[str, Array], dict[str, Array]]:
    """Counts of behaviour and at most one decision per person, and hidden turns, from the intensities."""
    turns = {
        name: rng.random(len(rate[name]), dtype=np.float32) < -np.expm1(-rate[name]) for name in hazards.TURNS
    }
    stacked = np.cumsum([rate[name] for name in hazards.DECISIONS], axis=0)
    total = stacked[-1]
    decided = rng.random(len(total)) < -np.expm1(-total)
    pointer = rng.random(len(total)) * total
    which = (pointer >= stacked[:-1]).sum(axis=0)
    counts = {name: rng.poisson(rate[name]) for name in hazards.BEHAVIOUR}
    return counts, turns | {name: decided & (which == i) for i, name in enumerate(hazards.DECISIONS)}


def move(
    v: hazards.View, counts: dict[str, Array], turns: dict[str, Array], world: World, rng: np.random.Generator
) -> tuple[Entries, Entries]:
    """Move the state of `v` to the start of the next week. Returns the orders placed and the cars parted with."""
    s, t = v.state, v.traits
    ordered = _place_orders(v, turns, rng)
    parted = _let_go(v, turns["defection"], rng)
    tests, complaints = np.minimum(counts["test_drive"], 2), np.minimum(counts["complaint"], 2)
    noise = rng.standard_normal((3, len(s.interest)), dtype=np.float32)
    here = v.present > 0
    interest = (
        s.interest
        + 0.025 * (hazards.interest_mean(v) - s.interest)
        + 0.2 * noise[0]
        + 0.25 * tests
        + 1.5 * turns["spark"]
    )
    if v.week == world.campaign_week and world.campaign:
        interest = interest + t.treated * (t.marketing_until > v.week) * t.campaign_effect
    interest = np.where(turns["lost"], -2.2, interest)
    s.interest = np.where(here, interest, t.entry_interest).astype(np.float32)
    engagement = s.engagement + 0.04 * (hazards.engagement_mean(v) - s.engagement) + 0.16 * noise[1]
    s.engagement = np.where(here, engagement, s.engagement).astype(np.float32)
    satisfaction = (
        s.satisfaction
        + 0.03 * (hazards.satisfaction_mean(v) - s.satisfaction)
        + 0.12 * noise[2]
        - 0.5 * complaints
    )
    # Bounded: complaints feed on dissatisfaction and would otherwise feed themselves.
    s.satisfaction = np.clip(satisfaction - 0.1 * counts["repair"], -3, 3).astype(np.float32)
    s.grievance = np.minimum(0.92 * s.grievance + complaints, 3).astype(np.float32)
    s.tested = (0.85 * s.tested + tests).astype(np.float32)
    s.last_visit = np.where(counts["maintenance"] > 0, v.week, s.last_visit).astype(np.int16)
    s.growing = (s.growing | turns["grow"]) & ~turns["settle"]
    mode = np.where(turns["fade"], FADING, s.mode)
    mode = np.where(turns["sleep"], DORMANT, mode)
    s.mode = np.where(turns["wake"] | turns["come_back"], ACTIVE, mode).astype(np.int8)
    return ordered, parted


def live(
    world: World, block: int, traits: Traits, state: State, weeks: range
) -> Iterator[tuple[State, Week | None]]:
    """Live a whole block from its state at the start of the first week: yields the state before each week, and what happened the week before.

    Begun again from a stored state it is the same life, because each week has its own random numbers.
    Changes `state`.
    """
    yield state, None
    for now in weeks:
        rng = world.rng(block, "week", now)
        arrived = arrive(state, now, rng)
        v = hazards.view(world, traits, state, now)
        counts, turns = draw(hazards.rates(v), rng)
        before = (state.interest, state.engagement, state.mode)
        ordered, parted = move(v, counts, turns, world, rng)
        yield state, Week(now, counts, *before, v.garage, v.present, arrived, ordered, parted)


def _class_of_taste(traits: Traits, rng: np.random.Generator) -> Array:
    taste = (
        2.8
        + 0.9 * traits.affluence
        - 0.3 * traits.price_sensitivity
        + 0.6 * rng.standard_normal(len(traits.affluence))
    )
    return np.clip(np.rint(taste), 1, 6).astype(np.int8)


def _car(state: State, who: Array, slot: Array) -> Entries:
    names = ("delivered", "finance_end", "warranty_end", "car_class", "car_power", "car_number")
    return {"who": who} | {name: getattr(state, name)[who, slot] for name in names}


def _place_orders(v: hazards.View, turns: dict[str, Array], rng: np.random.Generator) -> Entries:
    s, t = v.state, v.traits
    kind = np.select([turns[name] for name in KIND_OF_ORDER], [0, 1, 2], -1)
    who = np.nonzero(kind >= 0)[0]
    kind, n = kind[who], len(who)
    up = rng.random(n) < hazards.upward(v)[who]
    top = v.garage.top_class[who]
    step_down = np.maximum(top - (rng.random(n) < 0.25), 1)
    wanted = np.where(kind == 0, _class_of_taste(t.take(who), rng), np.where(up, top + 1, step_down))
    plug = rng.random(n) < hazards.electrified(v)[who]
    s.arriving_class[who] = wanted
    s.arriving_power[who] = np.where(plug, 2 + (rng.random(n) < 0.65), rng.random(n) < 0.2)
    s.arriving_plan[who] = np.searchsorted([0.42, 0.9], rng.random(n))
    s.cancelled[who] = rng.random(n) < hazards.CANCELLED
    wait = np.where(s.cancelled[who], rng.integers(1, 5, n), np.minimum(2 + rng.poisson(3, n), 10))
    s.arrives[who], s.hold_until[who] = v.week + wait, v.week + HOLD
    swap = (kind == 2) & ~s.cancelled[who]
    leaving = who[swap]
    s.leaves[leaving, v.garage.oldest[leaving]] = (
        v.week + wait + rng.choice([-1, 0, 1, 2, 4], n, p=[0.1, 0.5, 0.2, 0.1, 0.1])
    )[swap]
    terms = {"power": s.arriving_power[who], "plan": s.arriving_plan[who], "cancelled": s.cancelled[who]}
    return {"who": who, "kind": kind, "wanted": wanted} | terms


def _let_go(v: hazards.View, gone: Array, rng: np.random.Generator) -> Entries:
    """Owners who leave the brand part with their oldest car."""
    who = np.nonzero(gone)[0]
    slot = v.garage.oldest[who]
    parted = _car(v.state, who, slot)
    v.state.delivered[who, slot] = NONE
    v.state.hold_until[who] = v.week + HOLD_AFTER_DEFECTION
    v.state.interest[who] = -1.8 + 0.3 * rng.standard_normal(len(who), dtype=np.float32)
    return parted
