"""Sessions become touchpoints: what was done, where, about what, for how long."""

from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker import hazards
from worlds.carmaker.clock import evening_hours, numbers, opening_hours
from worlds.carmaker.diary import Diary
from worlds.carmaker.tables import KINDS, Frame, code, join
from worlds.carmaker.world import SPAN, World

__all__ = ["touchpoint_rows"]

Array = npt.NDArray[Any]

_MIX = {
    "browse": {
        "model_page": 0.45,
        "page_view": 0.24,
        "configurator": 0.18,
        "quote_request": 0.05,
        "live_stream": 0.08,
    },
    "content": {"content_read": 0.5, "mini_program": 0.2, "social": 0.14, "live_stream": 0.08, "post": 0.08},
    "app": {"app_open": 0.55, "activity_signin": 0.15, "content_read": 0.18, "mini_program": 0.12},
    "wecom": {"wecom_message": 1.0},
    "showroom": {"showroom_visit": 1.0},
    "test_drive": {"test_drive": 1.0},
    "valuation": {"valuation_request": 1.0},
    "insurance": {"insurance_renewal": 1.0},
    "roadside": {"roadside_assistance": 1.0},
    "complaint": {"complaint": 1.0},
    "company": {"wecom_message": 1.0},
}
_MORE = {
    "browse": 1.3,
    "content": 0.6,
    "app": 0.5,
    "wecom": 0.5,
}  # further touchpoints in the same session, on average
_CHANNEL = {
    "page_view": "site", "content_read": "official_account", "model_page": "site", "configurator": "mini_program",
    "quote_request": "mini_program", "live_stream": "social", "app_open": "app", "mini_program": "mini_program",
    "wecom_message": "wecom", "post": "app", "social": "social", "activity_signin": "app", "site_lead": "site",
    "showroom_visit": "dealer", "test_drive": "dealer", "valuation_request": "app", "insurance_renewal": "phone",
    "roadside_assistance": "phone", "complaint": "phone", "vr_showroom": "app",
}  # fmt: skip
_SECONDS = {
    "page_view": 40,
    "content_read": 95,
    "model_page": 75,
    "configurator": 260,
    "live_stream": 600,
    "showroom_visit": 3000,
    "test_drive": 1900,
}
_AT_DEALER = ("showroom_visit", "test_drive")
_ABOUT_A_MODEL = ("model_page", "configurator", "quote_request", "test_drive")
_WITH_TOPIC = ("content_read", "live_stream", "post")
_TOPICS_OF_BUYERS = np.cumsum([0.20, 0.28, 0.12, 0.05, 0.20, 0.15])
_TOPICS_OF_OWNERS = np.cumsum([0.15, 0.06, 0.04, 0.43, 0.12, 0.20])
_FIRST_DEED = (
    "site_lead",
    "social",
    "showroom_visit",
    "showroom_visit",
    "site_lead",
    "app_open",
    "page_view",
)  # by acquisition


def touchpoint_rows(world: World, block: int, diary: Diary, orders: Frame, entered: Array) -> Frame:
    """All touchpoints of a block, unsorted and without ids."""
    rng = world.rng(block, "touch")
    sessions, kind = _spread_sessions(world, block, diary, rng)
    extra = [_quotes_before_orders(orders), _first_deeds(block, diary, entered)]
    frame = join(sessions, *extra)
    kind = np.concatenate([kind, *(e["kind"] for e in extra)])
    return _details(diary, frame | {"kind": kind}, block, rng)


def _spread_sessions(world: World, block: int, diary: Diary, rng: np.random.Generator) -> tuple[Frame, Array]:
    """Each session as one or more touchpoints a few minutes apart."""
    listed = np.array([name in _MIX for name in hazards.BEHAVIOUR])
    b = {name: values[listed[diary.behaviour["kind"]]] for name, values in diary.behaviour.items()}
    more = np.array([_MORE.get(name, 0.0) for name in hazards.BEHAVIOUR])
    size = 1 + rng.poisson(more[b["kind"]])
    at_desk = np.isin(
        b["kind"], [hazards.BEHAVIOUR.index(name) for name in ("showroom", "test_drive", "company")]
    )
    begin = np.where(at_desk, opening_hours(world, b["week"], rng), evening_hours(world, b["week"], rng))
    index = np.repeat(np.arange(len(size)), size)
    nth = np.arange(len(index)) - np.repeat(np.cumsum(size) - size, size)
    kind = _choose(b["kind"][index], rng)
    frame = {
        "customer_id": numbers(block, b["who"])[index],
        "happened_at": begin[index] + nth * rng.integers(40, 400, len(index)),
        "interest": b["interest"][index],
        "owner": b["owner"][index],
        "company": (b["kind"] == hazards.BEHAVIOUR.index("company"))[index],
    }
    return frame, kind


def _choose(session: Array, rng: np.random.Generator) -> Array:
    """What is done in each touchpoint of a kind of session."""
    kind, chance = np.empty(len(session), np.int64), rng.random(len(session))
    for name, mix in _MIX.items():
        here = session == hazards.BEHAVIOUR.index(name)
        which = np.searchsorted(np.cumsum(list(mix.values()))[:-1], chance[here], side="right")
        kind[here] = np.array([KINDS.index(deed) for deed in mix])[which]
    return kind


def _quotes_before_orders(orders: Frame) -> Frame:
    """Nobody orders without a word: a quote shortly before each order."""
    placed = orders["kind"] == code("orders", "kind", "order")
    n = int(placed.sum())
    return {
        "customer_id": orders["customer_id"][placed],
        "happened_at": orders["happened_at"][placed] - 1_500,
        "kind": np.full(n, KINDS.index("quote_request")),
        "interest": np.ones(n),
        "owner": np.zeros(n, bool),
        "company": np.zeros(n, bool),
    }


def _first_deeds(block: int, diary: Diary, entered: Array) -> Frame:
    """What made a later customer known to the company."""
    t = diary.traits
    who = np.nonzero(t.entry_week >= 0)[0]
    deeds = np.array([KINDS.index(kind) for kind in _FIRST_DEED])
    return {
        "customer_id": numbers(block, who),
        "happened_at": entered[who] + 30,
        "kind": deeds[t.acquisition[who]],
        "interest": t.entry_interest[who],
        "owner": np.zeros(len(who), bool),
        "company": np.zeros(len(who), bool),
    }


def _details(diary: Diary, frame: Frame, block: int, rng: np.random.Generator) -> Frame:
    kind, interest = frame["kind"], frame["interest"]
    n, who = len(kind), frame["customer_id"] - block * SPAN - 1
    t = diary.traits

    def among(kinds: tuple[str, ...]) -> Array:
        return np.isin(kind, [KINDS.index(name) for name in kinds])

    seconds = np.array([_SECONDS.get(name, 0) for name in KINDS])[kind]
    channel = np.array([code("touchpoints", "channel", _CHANNEL[name]) for name in KINDS])[kind]
    elsewhere = (rng.random(n) < 0.25) & among(
        ("content_read", "mini_program", "quote_request", "configurator", "model_page")
    )
    channel = np.where(elsewhere, code("touchpoints", "channel", "app"), channel)
    buyer_like = ~frame["owner"].astype(bool) | (interest > 0.3)
    chance = rng.random(n)
    topic = np.where(
        buyer_like, np.searchsorted(_TOPICS_OF_BUYERS, chance), np.searchsorted(_TOPICS_OF_OWNERS, chance)
    )
    wanted = np.clip(
        np.rint(1.8 + 0.9 * t.affluence[who] - 0.3 * t.price_sensitivity[who] + 0.8 * rng.standard_normal(n)),
        0,
        5,
    )
    steps = rng.binomial(10, 1 / (1 + np.exp(0.6 - 0.6 * interest)))
    late = frame["happened_at"] + rng.integers(1, 600, n)
    return {
        "customer_id": frame["customer_id"],
        "happened_at": frame["happened_at"],
        "known_at": np.where(among(_AT_DEALER), frame["happened_at"] + rng.integers(600, 30_000, n), late),
        "kind": kind,
        "channel": channel,
        "initiated_by": frame["company"].astype(np.int64),
        "topic": np.where(among(_WITH_TOPIC), np.minimum(topic, 5), -1),
        "model": np.where(among(_ABOUT_A_MODEL), wanted, -1),
        "campaign": np.where(rng.random(n) < 0.05, code("touchpoints", "campaign", "monthly"), -1),
        "dealer_id": np.where(among(_AT_DEALER), t.dealer[who], -1),
        "duration_s": np.where(seconds > 0, np.rint(seconds * np.exp(0.6 * rng.standard_normal(n))), -1),
        "depth": np.where(kind == KINDS.index("configurator"), steps, -1),
    }
