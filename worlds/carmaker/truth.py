"""The true probability of an outcome, given everything hidden about a person at the start of the week.

The stored state is lived on to the week of the moment (the same life, with the same random numbers), then
copied into several paths that go their own ways with the very same code, with one change: the outcome asked
about is held back, and its probability is summed up analytically along the path. Few paths are enough.

Exact for moments at the start of a week (`World.at`). Within a week it is what the state at the week's start
says, given that the outcome has not happened yet.
"""

from collections.abc import Callable
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
from worlds.carmaker.life import arrive, draw, move, resume
from worlds.carmaker.state import State
from worlds.carmaker.tasks import HORIZONS
from worlds.carmaker.traits import Traits
from worlds.carmaker.world import BLOCK, SPAN, World
from worlds.carmaker.write import read_world

__all__ = ["PATHS", "probabilities", "state_at"]

Array = npt.NDArray[Any]
PATHS = 16
_ROWS = 400_000  # people times paths lived on at once


def probabilities(folder: Path, moments: pd.DataFrame, task: str, horizon_days: int, paths: int = PATHS) -> pd.DataFrame:
    """True probabilities of `task` for moments (columns customer_id, as_of; one row each, any order).

    Returns the moments' columns and `probability`; for repurchase `additional`, `replacement` and `defection`
    instead, which sum to at most one. Nobody's second identity has a truth: such rows are null. Whether a moment
    belongs to the task's cohort is not checked. Raises `ValueError` for an unknown task or a date outside the history.
    """
    if task not in HORIZONS:
        raise ValueError(f"no task {task!r}; there are {', '.join(HORIZONS)}")
    if horizon_days < 1:
        raise ValueError(f"horizon_days must be at least 1, not {horizon_days}")
    world = read_world(folder)
    number = moments["customer_id"].str.slice(1).astype("int64").to_numpy() - 1
    day = pd.to_datetime(moments["as_of"]).dt.date
    names = ("additional", "replacement", "defection") if task == "repurchase" else ("probability",)
    result = pd.DataFrame(np.nan, index=moments.index, columns=list(names))
    frame = pd.DataFrame({"block": number // SPAN, "who": number % SPAN, "day": day.to_numpy(), "row": np.arange(len(number))})
    frame = frame[frame["who"] < frame["block"].map(world.people).clip(upper=BLOCK)]
    for (block, as_of), group in frame.groupby(["block", "day"]):
        if not world.start <= as_of <= world.end:
            raise ValueError(f"as_of {as_of} lies outside the history {world.start} to {world.end}: no state is stored there")
        traits, state = state_at(folder, int(block), world.week_of(as_of)[0])
        chunk = max(_ROWS // paths, 1)
        for begin in range(0, len(group), chunk):
            rows = group.iloc[begin : begin + chunk]
            who = np.repeat(rows["who"].to_numpy(), paths)
            rng = world.rng(int(block), "truth", (as_of - world.start).days * 1_000 + begin // chunk)
            found = _look_ahead(world, traits.take(who), state.take(who), as_of, horizon_days, task, rng)
            result.iloc[rows["row"].to_numpy()] = found.reshape(len(rows), paths, len(names)).mean(axis=1)
    return pd.concat([moments[["customer_id", "as_of"]], result], axis=1)


def state_at(folder: Path, block: int, week: int) -> tuple[Traits, State]:
    """Traits and state of one block at the start of a week, from the last stored state before it."""
    world = read_world(folder)
    stored = min(week // SNAPSHOT_EVERY, world.weeks // SNAPSHOT_EVERY) * SNAPSHOT_EVERY
    traits_file, states_file = part(folder / "truth", "traits", block), part(folder / "truth", "states", block)
    traits = Traits(**_columns(traits_file, None))
    state = State.from_columns(_columns(states_file, [("week", "=", stored)]))
    for _, moved, _ in resume(world, block, traits, state, stored, week):
        state = moved
    return traits, state


def _columns(file: Path, filters: list[tuple[str, str, int]] | None) -> dict[str, Array]:
    table = pq.read_table(file, filters=filters, partitioning=None)
    return {name: table[name].to_numpy() for name in table.column_names if name not in {"customer_id", "week"}}


def _look_ahead(world: World, traits: Traits, state: State, as_of: date, days: int, task: str, rng: np.random.Generator) -> Array:
    """The outcome's probability along each path: (people, outcomes)."""
    first, gone = world.week_of(as_of)
    last, over = world.week_of(as_of + timedelta(days=days))
    survives = np.ones(len(traits.affluence))
    parts: list[Array] = []
    for week in range(first, last + (over > 0)):
        share = (over if week == last else 1.0) - (gone if week == first else 0.0)
        arrive(traits, state, week, rng)
        v = hazards.view(world, traits, state, week)
        rate = hazards.rates(v)
        held_back, outcomes, total = _WATCH[task](v, rate)
        ends = survives * -np.expm1(-total * share)
        parts.append(np.column_stack([ends * outcome / np.maximum(total, 1e-30) for outcome in outcomes]))
        survives = survives - ends
        for name in held_back:
            rate[name] = np.zeros_like(rate[name])
        counts, turns = draw(rate, rng)
        move(v, counts, turns, world, rng)
    if task == "churn":
        return survives[:, None]
    return np.sum(parts, axis=0)


Watched = tuple[tuple[str, ...], list[Array], Array]


def _purchase(v: hazards.View, rate: hazards.Rates) -> Watched:
    return ("first",), [rate["first"]], rate["first"]


def _silence(v: hazards.View, rate: hazards.Rates) -> Watched:
    total = np.sum([rate[name] for name in hazards.OWN_DEEDS], axis=0)
    return hazards.OWN_DEEDS, [total], total


def _repurchase(v: hazards.View, rate: hazards.Rates) -> Watched:
    """A cancelled order ends the wait too, without an outcome."""
    kept = 1 - hazards.CANCELLED
    names = ("additional", "replacement", "defection")
    return names, [kept * rate["additional"], kept * rate["replacement"], rate["defection"]], np.sum([rate[n] for n in names], axis=0)


def _upgrade(v: hazards.View, rate: hazards.Rates) -> Watched:
    """The first order decides; a disposal before it changes what is owned, not what was held at the moment."""
    orders = rate["additional"] + rate["replacement"]
    return ("additional", "replacement"), [orders * hazards.upward(v)], orders


_WATCH: dict[str, Callable[[hazards.View, hazards.Rates], Watched]] = {
    "purchase_intent": _purchase,
    "churn": _silence,
    "repurchase": _repurchase,
    "upgrade": _upgrade,
}
