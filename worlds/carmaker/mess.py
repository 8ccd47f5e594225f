"""What happens to clean rows on their way into a warehouse. Each kind has a switch and is counted.

Lives are not touched: with and without mess the same people do the same things.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker.tables import KINDS, Frame, code, join, pick
from worlds.carmaker.world import BLOCK, DAY, SPAN, World, seconds

__all__ = ["LATEST_DAYS", "make_mess"]

Array = npt.NDArray[Any]
Frames = dict[str, Frame]
LATEST_DAYS = 40  # the latest that a late row becomes known after it happened
LATE_DAY_AFTER = 14
REPEATED = ("touchpoints", "visits", "charges", "orders", "contacts", "points")


@dataclass(frozen=True)
class Load:
    """One block on its way: whose world, which block, the random numbers and the counts of one kind of mess."""

    world: World
    block: int
    rng: np.random.Generator
    counts: Counter[str]


def make_mess(world: World, block: int, frames: Frames) -> tuple[Frames, Counter[str]]:
    """The frames with the mess that the world's switches ask for, and how many rows each kind touched."""
    mess, counts = world.mess, Counter[str]()
    steps = (
        (mess.unknown_kinds, _unknown_kinds),
        (world.drift_from is not None, _new_channel),
        (mess.merges, _merges),
        (mess.late, _late),
        (mess.late_day, _late_day),
        (mess.corrections, _corrections),
        (mess.wrong_clock, _wrong_clock),
        (mess.duplicates, _duplicates),
    )
    for number, (wanted, step) in enumerate(steps):
        if wanted:
            frames = step(frames, Load(world, block, world.rng(block, "mess", number), counts))
    return frames, counts


def _unknown_kinds(frames: Frames, load: Load) -> Frames:
    """From four fifths of the history on, a kind and a channel that nobody announced."""
    t = frames["touchpoints"]
    recent = t["happened_at"] >= load.world.at(int(load.world.weeks * 0.8))
    n = len(recent)
    kind = recent & (t["kind"] == KINDS.index("page_view")) & (load.rng.random(n) < 0.3)
    channel = recent & (t["kind"] == KINDS.index("live_stream")) & (load.rng.random(n) < 0.4)
    load.counts["unknown_kinds"] += int(kind.sum()) + int(channel.sum())
    new = t | {
        "kind": np.where(kind, KINDS.index("vr_showroom"), t["kind"]),
        "channel": np.where(channel, code("touchpoints", "channel", "short_video"), t["channel"]),
    }
    return frames | {"touchpoints": new}


def _new_channel(frames: Frames, load: Load) -> Frames:
    """Drift: from its date on, much of what was read elsewhere is watched in a new channel."""
    assert load.world.drift_from is not None
    t = frames["touchpoints"]
    content = np.isin(t["kind"], [KINDS.index(name) for name in ("content_read", "live_stream", "social")])
    moved = (
        content
        & (t["happened_at"] >= seconds(load.world.drift_from))
        & (load.rng.random(len(content)) < 0.35)
    )
    load.counts["drifted_channel"] += int(moved.sum())
    new = t | {"channel": np.where(moved, code("touchpoints", "channel", "short_video"), t["channel"])}
    return frames | {"touchpoints": new}


def _merges(frames: Frames, load: Load) -> Frames:
    """Some people were two customers until somebody noticed: early channel events belong to a second identity."""
    t, people = frames["touchpoints"], load.world.people(load.block)
    who = np.sort(load.rng.choice(people, min(people // 100 + 1, SPAN - BLOCK), replace=False))
    second = np.full(people, -1, np.int64)
    second[who] = np.arange(len(who))
    noticed = seconds(load.world.start) + load.rng.integers(
        90 * DAY, (load.world.weeks - 6) * 7 * DAY, people
    )
    position = t["customer_id"] - load.block * SPAN - 1
    known_early = t["known_at"] < noticed[position]
    moved = (
        (second[position] >= 0) & known_early & (t["dealer_id"] < 0) & (load.rng.random(len(position)) < 0.4)
    )
    alias = load.block * SPAN + BLOCK + 1 + second[position]
    born = np.full(people, np.iinfo(np.int64).max)
    np.minimum.at(born, position[moved], t["happened_at"][moved])
    used = who[born[who] < np.iinfo(np.int64).max]
    load.counts["merged_identities"] += len(used)
    load.counts["merged_touchpoints"] += int(moved.sum())
    number = load.block * SPAN + BLOCK + 1 + second[used]
    return frames | {
        "touchpoints": t | {"customer_id": np.where(moved, alias, t["customer_id"])},
        "customers": join(
            frames["customers"], *_second_profiles(load.block, used, number, born[used] - 30, noticed[used])
        ),
        "consents": join(frames["consents"], *_second_consents(number, born[used] - 20)),
    }


def _second_profiles(
    block: int, who: Array, number: Array, born: Array, noticed: Array
) -> tuple[Frame, Frame]:
    first = {"profile_id": number * 10, "customer_id": number, "happened_at": born, "known_at": born}
    merged = first | {
        "profile_id": number * 10 + 1,
        "happened_at": noticed,
        "known_at": noticed,
        "merged_into": block * SPAN + 1 + who,
    }
    return first, merged


def _second_consents(number: Array, born: Array) -> list[Frame]:
    return [
        {
            "consent_id": number * 10 + purpose,
            "customer_id": number,
            "happened_at": born,
            "known_at": born,
            "purpose": np.full(len(number), purpose),
            "state": np.zeros(len(number), np.int64),
        }
        for purpose in range(3)
    ]


def _late(frames: Frames, load: Load) -> Frames:
    """Dealers send some of their books days to weeks later."""
    t, v = frames["touchpoints"], frames["visits"]
    delayed = {}
    for name, frame, share in (
        ("touchpoints", t, np.where(t["dealer_id"] >= 0, 0.15, 0.0)),
        ("visits", v, np.full(len(v["kind"]), 0.12)),
    ):
        late = load.rng.random(len(share)) < share
        days = np.clip(np.exp(2.0 + 0.9 * load.rng.standard_normal(len(share))), 1, LATEST_DAYS)
        arrives = frame["happened_at"] + np.rint(days * DAY).astype(np.int64)
        delayed[name] = frame | {
            "known_at": np.where(late, np.maximum(arrives, frame["known_at"]), frame["known_at"])
        }
        load.counts["late"] += int(late.sum())
    return frames | delayed


def _late_day(frames: Frames, load: Load) -> Frames:
    """The load of one day failed and was repeated two weeks later."""
    t = frames["touchpoints"]
    day = load.world.at(int(load.world.weeks * 0.55)) + 3 * DAY
    missed = (t["happened_at"] >= day) & (t["happened_at"] < day + DAY)
    load.counts["late_day"] += int(missed.sum())
    known = np.where(missed, np.maximum(t["known_at"], day + LATE_DAY_AFTER * DAY + 7_200), t["known_at"])
    return frames | {"touchpoints": t | {"known_at": known}}


def _corrections(frames: Frames, load: Load) -> Frames:
    """The same key again with another amount, known later."""
    new = {}
    for name, column, share in (
        ("visits", "amount_cents", 0.03),
        ("orders", "amount_cents", 0.02),
        ("vehicles", "price_cents", 0.01),
    ):
        frame = frames[name]
        again = pick(
            frame, np.nonzero((load.rng.random(len(frame["customer_id"])) < share) & (frame[column] > 0))[0]
        )
        n = len(again["customer_id"])
        again[column] = np.rint(again[column] * load.rng.uniform(0.7, 1.2, n)).astype(np.int64)
        again["known_at"] = again["known_at"] + load.rng.integers(2 * DAY, 30 * DAY, n)
        load.counts["corrections"] += n
        new[name] = join(frame, again)
    return frames | new


def _wrong_clock(frames: Frames, load: Load) -> Frames:
    """Devices whose clock runs ahead: events that seem to happen after they became known."""
    t = frames["touchpoints"]
    wrong = load.rng.random(len(t["kind"])) < 0.0004
    load.counts["wrong_clock"] += int(wrong.sum())
    ahead = load.rng.integers(60 * DAY, 900 * DAY, len(wrong))
    return frames | {
        "touchpoints": t | {"happened_at": np.where(wrong, t["happened_at"] + ahead, t["happened_at"])}
    }


def _duplicates(frames: Frames, load: Load) -> Frames:
    """The same rows delivered again, unchanged."""
    new = {}
    for name in REPEATED:
        frame = frames[name]
        again = pick(frame, np.nonzero(load.rng.random(len(frame["customer_id"])) < 0.004)[0])
        load.counts["duplicates"] += len(again["customer_id"])
        new[name] = join(frame, again)
    return frames | new
