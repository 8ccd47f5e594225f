"""What the company sent and said (contacts), and the points it gave (points)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker.clock import numbers, opening_hours
from worlds.carmaker.diary import CAMPAIGN_EVERY, Diary
from worlds.carmaker.people import FOREVER
from worlds.carmaker.tables import CAMPAIGNS, KINDS, WAYS, Frame, code, join, pick
from worlds.carmaker.world import DAY, World

__all__ = ["campaign_truth", "contact_rows", "point_rows"]

Array = npt.NDArray[Any]
SENT, DELIVERED, OPENED, ANSWERED, CALL, OPTED_OUT = range(6)
EARNED, REDEEMED, EXPIRED, TIER = range(4)


@dataclass(frozen=True)
class Mailing:
    """One campaign to one block: whom, when, in which mood they are, and which arm they are in (-1: no hold-out)."""

    world: World
    block: int
    diary: Diary
    week: int
    who: Array
    campaign: str
    arm: int
    rng: np.random.Generator


def contact_rows(world: World, block: int, diary: Diary, touchpoints: Frame, allowed: Array) -> Frame:
    """Monthly campaigns, the campaign with a hold-out, calls after test drives, opt-outs.

    A person held out has one row with arm `held_out` and no channel: the message that was not sent.
    """
    rng = world.rng(block, "contacts")
    frames = []
    for week in diary.moods:
        open_to = _reachable(diary, week)
        if week % CAMPAIGN_EVERY == 0:
            audience = open_to & (rng.random(len(allowed)) < 0.29)
            frames.append(
                _send(Mailing(world, block, diary, week, np.nonzero(audience)[0], "monthly", -1, rng))
            )
        if week == world.campaign_week and world.campaign:
            treated, kept = (np.nonzero(open_to & (diary.traits.treated == arm))[0] for arm in (True, False))
            frames.append(_send(Mailing(world, block, diary, week, treated, "loyalty offer", 0, rng)))
            frames.append(
                _sent(Mailing(world, block, diary, week, kept, "loyalty offer", 1, rng))
                | {"channel": np.full(len(kept), -1)}
            )
    frames.append(_calls(touchpoints, rng))
    gone = np.nonzero((allowed > 0) & (allowed < FOREVER))[0]
    if world.mess.withdrawals:
        frames.append(_step(numbers(block, gone), allowed[gone] - 60, OPTED_OUT))
    frame = join(*frames)
    return frame | {"known_at": frame["happened_at"] + rng.integers(1, 300, len(frame["customer_id"]))}


def _reachable(diary: Diary, week: int) -> Array:
    return (diary.moods[week]["present"] > 0) & (diary.traits.marketing_until > week)


def _send(m: Mailing) -> Frame:
    """Sent, and for some delivered, opened, answered: the livelier, the likelier."""
    sent, mood, n = _sent(m), m.diary.moods[m.week], len(m.who)
    calm = (
        mood["engagement"][m.who]
        - 0.4 * m.diary.traits.reactance[m.who]
        - np.array([0, 1.0, 2.6])[mood["mode"][m.who]]
    )
    frames, left, when = [sent], np.ones(n, bool), sent["happened_at"]
    for step, chance, delay in (
        (DELIVERED, np.full(n, 0.96), 300),
        (OPENED, 1 / (1 + np.exp(1.1 - 0.7 * calm)), DAY),
        (ANSWERED, 1 / (1 + np.exp(1.6 - 0.5 * calm)), DAY),
    ):
        left = left & (m.rng.random(n) < chance)
        when = when + m.rng.integers(1, delay, n)
        frames.append(pick(sent, left) | {"happened_at": when[left], "kind": np.full(int(left.sum()), step)})
    return join(*frames)


def _sent(m: Mailing) -> Frame:
    n = len(m.who)
    otherwise = np.where(m.rng.random(n) < 0.6, WAYS.index("sms"), WAYS.index("app_push"))
    start = opening_hours(m.world, np.full(n, m.week), m.rng)
    return _step(numbers(m.block, m.who), start, SENT) | {
        "channel": np.where(m.diary.traits.private[m.who], WAYS.index("wecom"), otherwise),
        "campaign": np.full(n, CAMPAIGNS.index(m.campaign)),
        "arm": np.full(n, m.arm),
    }


def _calls(touchpoints: Frame, rng: np.random.Generator) -> Frame:
    """An adviser calls some of those who drove a car."""
    drove = np.nonzero(touchpoints["kind"] == KINDS.index("test_drive"))[0]
    drove = drove[rng.random(len(drove)) < 0.5]
    when = touchpoints["happened_at"][drove] + rng.integers(DAY, 5 * DAY, len(drove))
    return _step(touchpoints["customer_id"][drove], when, CALL) | {
        "channel": np.full(len(drove), WAYS.index("phone"))
    }


def _step(person: Array, when: Array, kind: int) -> Frame:
    return {"customer_id": person, "happened_at": when, "kind": np.full(len(person), kind)}


def campaign_truth(world: World, diary: Diary) -> Frame:
    """Who could be reached by the campaign with a hold-out, the arm, and the effect it has (or would have had) on interest."""
    who = np.nonzero(_reachable(diary, world.campaign_week))[0]
    owner = diary.moods[world.campaign_week]["owner"][who] > 0
    return {
        "who": who,
        "treated": diary.traits.treated[who],
        "effect": diary.traits.campaign_effect[who],
        "owner": owner,
    }


def point_rows(world: World, block: int, touchpoints: Frame, visits: Frame) -> Frame:
    """50 points an activity, 300 a good post, 1 per yuan in the workshop; redemptions, lapses and tiers from what was earned."""
    rng = world.rng(block, "points")
    activity = touchpoints["kind"] == KINDS.index("activity_signin")
    post = (touchpoints["kind"] == KINDS.index("post")) & (rng.random(len(activity)) < 0.2)
    paid = visits["amount_cents"] >= 100
    earned = join(
        _movement(touchpoints, activity, np.full(int(activity.sum()), 50), "activity"),
        _movement(touchpoints, post, np.full(int(post.sum()), 300), "good post"),
        _movement(visits, paid, visits["amount_cents"][paid] // 100, "workshop"),
    )
    order = np.lexsort((earned["happened_at"], earned["customer_id"]))
    earned = {name: values[order] for name, values in earned.items()} | {"kind": np.full(len(order), EARNED)}
    earned["expires_at"] = earned["happened_at"] + 365 * DAY
    frame = join(earned, _spent(earned, rng), _lapsed(earned, rng), _tiers(earned))
    return frame | {"known_at": frame["happened_at"] + rng.integers(1, 1_800, len(frame["customer_id"]))}


def _movement(source: Frame, rows: Array, points: Array, reason: str) -> Frame:
    return {
        "customer_id": source["customer_id"][rows],
        "happened_at": source["known_at"][rows] + 5,
        "points": points,
        "reason": np.full(len(points), code("points", "reason", reason)),
    }


def _spent(earned: Frame, rng: np.random.Generator) -> Frame:
    rows = np.nonzero(rng.random(len(earned["customer_id"])) < 0.12)[0]
    return {
        "customer_id": earned["customer_id"][rows],
        "happened_at": earned["happened_at"][rows] + rng.integers(DAY, 120 * DAY, len(rows)),
        "kind": np.full(len(rows), REDEEMED),
        "points": np.maximum(earned["points"][rows] * 8 // 10, 10),
        "reason": np.where(
            rng.random(len(rows)) < 0.5, code("points", "reason", "voucher"), code("points", "reason", "gift")
        ),
    }


def _lapsed(earned: Frame, rng: np.random.Generator) -> Frame:
    rows = np.nonzero(rng.random(len(earned["customer_id"])) < 0.3)[0]
    return {
        "customer_id": earned["customer_id"][rows],
        "happened_at": earned["expires_at"][rows],
        "kind": np.full(len(rows), EXPIRED),
        "points": np.maximum(earned["points"][rows] // 2, 1),
        "reason": np.full(len(rows), code("points", "reason", "lapse")),
    }


def _tiers(earned: Frame) -> Frame:
    """A tier begins with the movement that lifts the lifetime sum over its threshold."""
    total = np.cumsum(earned["points"])
    first = np.searchsorted(earned["customer_id"], earned["customer_id"])
    before_person = np.where(first > 0, total[first - 1], 0) if len(first) else total
    after = total - before_person
    level = np.searchsorted([500, 2_500, 8_000], after, side="right")
    earlier = np.searchsorted([500, 2_500, 8_000], after - earned["points"], side="right")
    rows = np.nonzero(level > earlier)[0]
    return {
        "customer_id": earned["customer_id"][rows],
        "happened_at": earned["happened_at"][rows] + 1,
        "kind": np.full(len(rows), TIER),
        "tier": level[rows] - 1,
    }
