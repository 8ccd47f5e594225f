"""What the company sent and said (contacts), and the points it gave (points)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker.clock import numbers, opening_hours
from worlds.carmaker.diary import Diary
from worlds.carmaker.people import FOREVER
from worlds.carmaker.tables import CAMPAIGNS, KINDS, WAYS, Frame, code, join
from worlds.carmaker.world import DAY, World

__all__ = ["campaign_truth", "contact_rows", "point_rows"]

Array = npt.NDArray[Any]
SENT, DELIVERED, OPENED, ANSWERED, CALL, OPTED_OUT = range(6)
EARNED, REDEEMED, EXPIRED, TIER = range(4)


def contact_rows(world: World, block: int, diary: Diary, touchpoints: Frame, allowed: Array) -> Frame:
    """Monthly campaigns, the campaign with a hold-out, calls after test drives, opt-outs."""
    rng = world.rng(block, "contacts")
    frames = []
    for week, mood in diary.moods.items():
        open_to = (mood["present"] > 0) & (diary.traits.marketing_until > week)
        if week % 4 == 0:
            audience = open_to & (rng.random(len(allowed)) < np.where(mood["mode"] == 2, 0.2, 0.32))
            frames.append(_send(world, block, week, audience, mood, diary, "monthly", rng))
        if week == world.campaign_week and world.campaign:
            frames.append(_send(world, block, week, open_to & diary.traits.treated, mood, diary, "loyalty offer", rng, arm=0))
            kept = _sent(world, block, week, open_to & ~diary.traits.treated, diary, "loyalty offer", rng, 1)
            frames.append(kept | {"channel": np.full(len(kept["customer_id"]), -1)})
    frames.append(_calls(touchpoints, rng))
    gone = np.nonzero((allowed > 0) & (allowed < FOREVER))[0]
    if world.mess.withdrawals:
        frames.append(_step(numbers(block, gone), allowed[gone] - 60, OPTED_OUT))
    frame = join(*frames)
    return frame | {"known_at": frame["happened_at"] + rng.integers(1, 300, len(frame["customer_id"]))}


def _send(world: World, block: int, week: int, audience: Array, mood: Frame, diary: Diary, campaign: str, rng: np.random.Generator, arm: int = -1) -> Frame:
    """Sent, and for some delivered, opened, answered: the livelier, the likelier."""
    sent = _sent(world, block, week, audience, diary, campaign, rng, arm)
    who = np.nonzero(audience)[0]
    calm = mood["engagement"][who] - 0.4 * diary.traits.reactance[who] - np.array([0, 1.0, 2.6])[mood["mode"][who]]
    frames, left, when = [sent], np.ones(len(who), bool), sent["happened_at"]
    for step, chance, delay in (
        (DELIVERED, np.full(len(who), 0.96), 300),
        (OPENED, 1 / (1 + np.exp(1.1 - 0.7 * calm)), DAY),
        (ANSWERED, 1 / (1 + np.exp(1.6 - 0.5 * calm)), DAY),
    ):
        left = left & (rng.random(len(who)) < chance)
        when = when + rng.integers(1, delay, len(who))
        frames.append({name: values[left] for name, values in sent.items()} | {"happened_at": when[left], "kind": np.full(int(left.sum()), step)})
    return join(*frames)


def _sent(world: World, block: int, week: int, audience: Array, diary: Diary, campaign: str, rng: np.random.Generator, arm: int) -> Frame:
    who = np.nonzero(audience)[0]
    way = np.where(diary.traits.private[who], WAYS.index("wecom"), np.where(rng.random(len(who)) < 0.6, WAYS.index("sms"), WAYS.index("app_push")))
    start = opening_hours(world, np.full(len(who), week), rng)
    return _step(numbers(block, who), start, SENT) | {
        "channel": way,
        "campaign": np.full(len(who), CAMPAIGNS.index(campaign)),
        "arm": np.full(len(who), arm),
    }


def _calls(touchpoints: Frame, rng: np.random.Generator) -> Frame:
    """An adviser calls some of those who drove a car."""
    drove = np.nonzero(touchpoints["kind"] == KINDS.index("test_drive"))[0]
    drove = drove[rng.random(len(drove)) < 0.5]
    when = touchpoints["happened_at"][drove] + rng.integers(DAY, 5 * DAY, len(drove))
    return _step(touchpoints["customer_id"][drove], when, CALL) | {"channel": np.full(len(drove), WAYS.index("phone"))}


def _step(person: Array, when: Array, kind: int) -> Frame:
    return {"customer_id": person, "happened_at": when, "kind": np.full(len(person), kind)}


def campaign_truth(world: World, diary: Diary) -> Frame:
    """Who could be reached by the campaign with a hold-out, the arm, and the effect it has (or would have had) on interest."""
    mood = diary.moods[world.campaign_week]
    who = np.nonzero((mood["present"] > 0) & (diary.traits.marketing_until > world.campaign_week))[0]
    return {"who": who, "treated": diary.traits.treated[who], "effect": diary.traits.campaign_effect[who], "owner": mood["owner"][who] > 0}


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
        "reason": np.where(rng.random(len(rows)) < 0.5, code("points", "reason", "voucher"), code("points", "reason", "gift")),
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


