"""The true probability of an outcome, given everything hidden about a person at the start of the week.

The stored state is lived on to the week of the moment (the same life, with the same random numbers), then
copied into several paths that go their own ways with the very same code, with one change: the outcome asked
about is held back, and its probability is summed up analytically along the path. Few paths are enough.

Exact for moments at the start of a week (`World.at`). Within a week it is what the state at the week's start
says, given that the outcome has not happened yet.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from worlds.carmaker import hazards
from worlds.carmaker.block import part
from worlds.carmaker.diary import SNAPSHOT_EVERY
from worlds.carmaker.life import arrive, draw, live, move
from worlds.carmaker.state import State
from worlds.carmaker.tasks import HORIZONS
from worlds.carmaker.traits import Traits
from worlds.carmaker.world import SPAN, World
from worlds.carmaker.write import read_world

__all__ = ["PATHS", "Look", "Watch", "ahead", "batches", "probabilities", "state_at"]

Array = npt.NDArray[Any]
# Turning quiet is rare and matters most for churn: more paths there.
PATHS = {"purchase_intent": 16, "churn": 64, "repurchase": 16, "upgrade": 16}
_ROWS = 400_000  # people times paths lived on at once


def probabilities(
    folder: Path, moments: pd.DataFrame, task: str, horizon_days: int, paths: int | None = None
) -> pd.DataFrame:
    """True probabilities of `task` for moments (columns customer_id, as_of; one row each, any order).

    Returns the moments' columns and `probability`; for repurchase `additional`, `replacement` and `defection`
    instead, which sum to at most one. Nobody's second identity has a truth: such rows are null. Whether a moment
    belongs to the task's cohort is not checked. More `paths` make the answer less noisy. Raises `ValueError` for an
    unknown task or a date outside the history.
    """
    if task not in HORIZONS:
        raise ValueError(f"no task {task!r}; there are {', '.join(HORIZONS)}")
    if horizon_days < 1:
        raise ValueError(f"horizon_days must be at least 1, not {horizon_days}")
    paths = paths or PATHS[task]
    world = read_world(folder)
    days = pd.to_datetime(moments["as_of"]).dt.date
    for day in (days.min(), days.max()) if len(days) else ():
        if not world.start <= day <= world.end:
            raise ValueError(
                f"as_of {day} lies outside the history {world.start} to {world.end}: no state is stored there"
            )
    names = ("additional", "replacement", "defection") if task == "repurchase" else ("probability",)
    found = np.full((len(moments), len(names)), np.nan)
    for block, day, rows, who in batches(world, moments["customer_id"], days):
        traits, state = state_at(folder, block, world.week_of(day)[0])
        for begin in range(0, len(rows), max(_ROWS // paths, 1)):
            some = slice(begin, begin + max(_ROWS // paths, 1))
            copies = np.repeat(who[some], paths)
            rng = world.rng(block, "truth", (day - world.start).days * 1_000 + begin)
            look = Look(world, traits.take(copies), state.take(copies), day, horizon_days, rng)
            found[rows[some]] = ahead(look, _WATCH[task]).reshape(-1, paths, len(names)).mean(axis=1)
    return pd.concat(
        [moments[["customer_id", "as_of"]], pd.DataFrame(found, index=moments.index, columns=list(names))],
        axis=1,
    )


def batches(world: World, customers: pd.Series, days: pd.Series) -> Iterator[tuple[int, date, Array, Array]]:
    """Moments of one block on one day: block, day, rows among the moments, positions in the block."""
    number = customers.str.slice(1).astype("int64").to_numpy() - 1
    block, who, day = number // SPAN, number % SPAN, days.to_numpy()
    for b in np.unique(block):
        here = (block == b) & (who < world.people(int(b)))
        for d in sorted(set(day[here])):
            rows = np.nonzero(here & (day == d))[0]
            yield int(b), d, rows, who[rows]


def state_at(folder: Path, block: int, week: int) -> tuple[Traits, State]:
    """Traits and state of one block at the start of a week, from the last stored state before it."""
    world = read_world(folder)
    stored = min(week // SNAPSHOT_EVERY, world.weeks // SNAPSHOT_EVERY) * SNAPSHOT_EVERY
    traits_file, states_file = (
        part(folder / "truth", "traits", block),
        part(folder / "truth", "states", block),
    )
    traits = Traits(**_columns(traits_file, None))
    state = State.from_columns(_columns(states_file, [("week", "=", stored)]))
    for _ in live(world, block, traits, state, range(stored, week)):
        pass  # `state` moves along
    return traits, state


def _columns(file: Path, filters: list[tuple[str, str, int]] | None) -> dict[str, Array]:
    table = pq.read_table(file, filters=filters, partitioning=None)
    return {
        name: table[name].to_numpy() for name in table.column_names if name not in {"customer_id", "week"}
    }


@dataclass(frozen=True)
class Look:
    """People (as many copies as paths) whose next `days` days from `as_of` on are looked at."""

    world: World
    traits: Traits
    state: State
    as_of: date
    days: int
    rng: np.random.Generator


@dataclass(frozen=True)
class Watch:
    """A task's outcomes as intensities: `outcomes` of a week, the `held_back` names whose sum ends the wait.

    With `silence` the outcome is that nothing of it happens, and there are no others.
    """

    held_back: tuple[str, ...]
    outcomes: Callable[[hazards.View, hazards.Rates], list[Array]]
    silence: bool = False


def ahead(look: Look, watch: Watch) -> Array:
    """The outcomes' probability along each path: (people, outcomes)."""
    first, gone = look.world.week_of(look.as_of)
    last, over = look.world.week_of(look.as_of + timedelta(days=look.days))
    survives: Array = np.ones(len(look.traits.affluence))
    sums: list[Array] = []
    for week in range(first, last + (over > 0)):
        share = (over if week == last else 1.0) - (gone if week == first else 0.0)
        drawing, moving = look.rng.spawn(
            2
        )  # two streams: who draws differently is still moved by the same chances
        arrive(look.state, week, moving)
        v = hazards.view(look.world, look.traits, look.state, week)
        rate = hazards.rates(v)
        total = np.sum([rate[name] for name in watch.held_back], axis=0)
        ends = survives * -np.expm1(-total * share)
        survives = survives - ends
        parts = [ends * outcome / np.maximum(total, 1e-30) for outcome in watch.outcomes(v, rate)]
        sums = [before + new for before, new in zip(sums, parts, strict=True)] if sums else parts
        counts, turns = draw(rate | dict.fromkeys(watch.held_back, np.zeros_like(total)), drawing)
        move(v, counts, turns, look.world, moving)
    return np.column_stack([survives] if watch.silence else sums)


def _kept(rate: hazards.Rates, name: str) -> Array:
    """Orders that are not cancelled; a cancelled one ends the wait too, without an outcome."""
    return (1 - hazards.CANCELLED) * rate[name]


_WATCH = {
    "purchase_intent": Watch(("first",), lambda _, rate: [rate["first"]]),
    "churn": Watch(hazards.OWN_DEEDS, lambda *_: [], silence=True),
    "repurchase": Watch(
        ("additional", "replacement", "defection"),
        lambda _, rate: [_kept(rate, "additional"), _kept(rate, "replacement"), rate["defection"]],
    ),
    # The first order decides; a disposal before it changes what is owned, not what was held at the moment.
    "upgrade": Watch(
        ("additional", "replacement"),
        lambda v, rate: [(rate["additional"] + rate["replacement"]) * hazards.upward(v)],
    ),
}
