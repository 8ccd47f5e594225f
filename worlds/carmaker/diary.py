"""A block's life written down as flat lists: one entry per thing that happened, with the week it happened in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker import hazards
from worlds.carmaker.life import Week, at_start, live
from worlds.carmaker.state import State
from worlds.carmaker.traits import Traits, draw_traits
from worlds.carmaker.world import BURN_IN, World

__all__ = ["CAMPAIGN_EVERY", "SNAPSHOT_EVERY", "Diary", "keep_diary"]

Array = npt.NDArray[Any]
List = dict[str, Array]
CAMPAIGN_EVERY = 4  # weeks between ordinary campaigns
SNAPSHOT_EVERY = 13  # weeks between stored states; weeks between are lived again from there


@dataclass
class Diary:
    """What happened to one block. `who` is a position in the block, `week` counts from the start.

    `behaviour` has one entry per session, visit or charge (kind indexes `hazards.BEHAVIOUR`), from week 0 on.
    `orders`, `deliveries`, `left` (old cars leaving), `parted` (defections), `withdrawn` include the burn-in.
    `moods` holds mode, engagement and presence of everybody in campaign weeks. `states` are the snapshots.
    """

    traits: Traits
    start: State
    behaviour: List
    orders: List
    deliveries: List
    left: List
    parted: List
    withdrawn: List
    moods: dict[int, List]
    states: dict[int, State]


def keep_diary(world: World, block: int) -> Diary:
    """Live one block from the burn-in to the end of the history and write it down."""
    weeks: list[Week] = []
    behaviour: list[List] = []
    states: dict[int, State] = {}
    moods: dict[int, List] = {}
    everybody = np.arange(world.people(block))
    traits = draw_traits(world, block)
    start = at_start(world, block, traits)
    for state, week in live(world, block, traits, start.take(everybody), range(-BURN_IN, world.weeks)):
        now = -10_000 if week is None else week.week + 1
        if week is not None:
            if week.week >= 0:
                behaviour.append(_behaviour(week))
            if week.week >= 0 and (week.week % CAMPAIGN_EVERY == 0 or week.week == world.campaign_week):
                moods[week.week] = {
                    "mode": week.mode,
                    "engagement": week.engagement,
                    "present": week.present,
                    "owner": week.garage.owner,
                }
            weeks.append(_without_bulk(week))
        if now >= 0 and now % SNAPSHOT_EVERY == 0:
            states[now] = state.take(everybody)
    return Diary(
        traits=traits,
        start=start,
        behaviour=_join(behaviour),
        orders=_gather(weeks, lambda w: w.ordered),
        deliveries=_gather(weeks, lambda w: w.arrived["delivered"]),
        left=_gather(weeks, lambda w: w.arrived["left"]),
        parted=_gather(weeks, lambda w: w.parted),
        withdrawn=_gather(weeks, lambda w: w.arrived["withdrawn"]),
        moods=moods,
        states=states,
    )


def _behaviour(week: Week) -> List:
    """One entry per session, visit or charge of a week."""
    parts: list[List] = []
    for kind, name in enumerate(hazards.BEHAVIOUR):
        count = week.counts[name]
        some = np.nonzero(count)[0]
        who = np.repeat(some, count[some]).astype(np.int32)
        car = week.garage.plug_number if name == "charge" else week.garage.oldest_number
        parts.append(
            {
                "who": who,
                "kind": np.full(len(who), kind, np.int8),
                "interest": week.interest[who],
                "owner": week.garage.owner[who] > 0,
                "car": car[who],
                "age": week.garage.age[who],
                "price_class": week.garage.top_class[who],
            }
        )
    return _dated(_join(parts), week.week)


def _without_bulk(week: Week) -> Week:
    """Drop the arrays over everybody: only the lists are kept."""
    week.counts = {}
    week.interest = week.engagement = week.mode = week.present = np.empty(0)
    return week


def _gather(weeks: list[Week], part: Callable[[Week], List]) -> List:
    return _join([_dated(part(week), week.week) for week in weeks])


def _dated(entries: List, week: int) -> List:
    return entries | {"week": np.full(len(entries["who"]), week, np.int16)}


def _join(parts: list[List]) -> List:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
