"""Who people are on paper, what they allowed, and whom they brought along: customers, consents, referrals."""

from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker.clock import evening_hours, numbers
from worlds.carmaker.diary import Diary
from worlds.carmaker.state import NEVER, NONE
from worlds.carmaker.tables import Frame, join
from worlds.carmaker.traits import ACQUISITION
from worlds.carmaker.world import DAY, World

__all__ = ["consent_ends", "consent_rows", "customer_rows", "referral_rows"]

Array = npt.NDArray[Any]
FOREVER = 4_000_000_000  # seconds: a consent that is not withdrawn


def customer_rows(world: World, block: int, diary: Diary, entered: Array) -> Frame:
    """The first profile of everybody, and a second version where something changed later."""
    rng, t = world.rng(block, "profile"), diary.traits
    n = len(entered)
    stated = np.select([t.electric > 1.0, t.electric > 0.3, t.electric > -0.1], [3, 2, 1], 0)
    who = np.arange(n)
    first = {
        "profile_id": numbers(block, who) * 10,
        "customer_id": numbers(block, who),
        "happened_at": entered,
        "known_at": entered,
        "city_tier": np.where(rng.random(n) < 0.04, -1, t.city_tier),
        "region": t.region.astype(np.int64),
        "acquisition_channel": t.acquisition.astype(np.int64),
        "preferred_power_type": np.where(rng.random(n) < 0.3, -1, stated),
        "birth_year": np.where(rng.random(n) < 0.25, -1, t.birth_year),
        "sex": np.where(rng.random(n) < 0.15, -1, t.sex),
    }
    later = np.maximum(entered, world.at(0)) + rng.integers(60 * DAY, 900 * DAY, n)
    changed = rng.random(n) < 0.08
    second = first | {"profile_id": first["profile_id"] + 1, "happened_at": later, "known_at": later}
    second["preferred_power_type"] = rng.integers(0, 4, n)
    second["city_tier"] = np.clip(t.city_tier - (rng.random(n) < 0.3), 1, 5)
    return join(first, {name: values[changed] for name, values in second.items()})


def consent_ends(world: World, block: int, diary: Diary) -> dict[str, Array]:
    """Until when marketing and profiling are allowed, per person, in seconds: 0 if refused, FOREVER if never withdrawn."""
    rng, t = world.rng(block, "consent"), diary.traits
    weeks = {"marketing": t.marketing_until, "profiling": t.profiling_until}
    return {
        purpose: np.select([week == NONE, week == NEVER], [0, FOREVER], evening_hours(world, week, rng))
        for purpose, week in weeks.items()
    }


def consent_rows(world: World, block: int, ends: dict[str, Array], entered: Array) -> Frame:
    """What was said at first contact, and withdrawals later. Without the withdrawals switch all is granted for good."""
    rng, n = world.rng(block, "consents"), len(entered)
    person = numbers(block, np.arange(n))
    frames = []
    for purpose, name in enumerate(("service", "marketing", "profiling")):
        until = ends.get(name, np.full(n, FOREVER)) if world.mess.withdrawals else np.full(n, FOREVER)
        base = {
            "consent_id": person * 10 + purpose,
            "customer_id": person,
            "happened_at": entered,
            "purpose": np.full(n, purpose),
            "state": np.where(until == 0, 2, 0),
            "expires_at": np.where(
                (rng.random(n) < 0.1) & (until > 0) & (purpose == 2), entered + 1_825 * DAY, -1
            ),
        }
        left = (until > 0) & (until < FOREVER)
        gone = {key: values[left] for key, values in base.items()} | {
            "happened_at": until[left],
            "state": np.ones(int(left.sum()), np.int64),
        }
        gone |= {"consent_id": gone["consent_id"] + 5, "expires_at": np.full(int(left.sum()), -1)}
        frames += [base, gone]
    frame = join(*frames)
    return frame | {"known_at": frame["happened_at"] + rng.integers(0, 120, len(frame["customer_id"]))}


def referral_rows(world: World, block: int, diary: Diary, orders: Frame, entered: Array) -> Frame:
    """Who invited those who came by referral, and what came of it; and invitations that came to nothing."""
    rng, t = world.rng(block, "referral"), diary.traits
    owner_from = np.where(diary.start.delivered[:, 0] > NONE, -1_000, NEVER).astype(np.int64)
    np.minimum.at(owner_from, diary.deliveries["who"], diary.deliveries["week"].astype(np.int64))
    owner_until = np.full(len(owner_from), NEVER)
    np.minimum.at(
        owner_until, diary.parted["who"], diary.parted["week"].astype(np.int64)
    )  # who left recommends nothing
    weight = np.exp(0.8 * t.affinity + 0.6 * t.social) * (owner_from < world.weeks)
    guests = np.nonzero((t.entry_week >= 0) & (t.acquisition == ACQUISITION.index("referral")))[0]
    if weight.sum() == 0:
        return _steps(guests[:0], guests[:0], np.zeros(0, np.int64), 0, block)
    chosen = rng.choice(len(weight), len(guests), p=weight / weight.sum())
    fits = (owner_from[chosen] < t.entry_week[guests] - 3) & (owner_until[chosen] > t.entry_week[guests])
    hosts, guests = chosen[fits], guests[fits]
    asked = entered[guests] - rng.integers(DAY, 20 * DAY, len(guests))
    frames = [_steps(hosts, guests, asked, 0, block), _steps(hosts, guests, entered[guests] + 60, 1, block)]
    person = numbers(block, guests)
    placed = orders["kind"] == 0
    first = np.full(int(person.max(initial=0)) + 2, np.iinfo(np.int64).max)
    mine = placed & (orders["customer_id"] < len(first))
    np.minimum.at(first, orders["customer_id"][mine], orders["happened_at"][mine])
    bought = first[person] < np.iinfo(np.int64).max
    frames.append(_steps(hosts[bought], guests[bought], first[person[bought]], 2, block))
    in_vain = rng.choice(len(weight), 2 * len(guests), p=weight / weight.sum())
    when = world.at(0) + rng.integers(0, world.weeks * 7 * DAY, len(in_vain))
    week = (when - world.at(0)) // (7 * DAY)
    ok = (week > owner_from[in_vain] + 2) & (week < owner_until[in_vain]) & (when > entered[in_vain])
    frames.append(_steps(in_vain[ok], np.full(int(ok.sum()), -1), when[ok], 0, block))
    frame = join(*frames)
    return frame | {"known_at": frame["happened_at"] + rng.integers(1, 3_600, len(frame["customer_id"]))}


def _steps(hosts: Array, guests: Array, when: Array, step: int, block: int) -> Frame:
    return {
        "customer_id": numbers(block, hosts),
        "happened_at": when,
        "known_at": when,
        "kind": np.full(len(hosts), step, np.int64),
        "invitee_id": np.where(guests >= 0, numbers(block, np.maximum(guests, 0)), -1),
    }
