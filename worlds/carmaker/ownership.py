"""Orders, cars and what cars leave behind: orders, vehicles, visits, charges."""

from typing import Any

import numpy as np
import numpy.typing as npt

from worlds.carmaker import hazards
from worlds.carmaker.clock import evening_hours, numbers, opening_hours
from worlds.carmaker.diary import Diary
from worlds.carmaker.state import NONE
from worlds.carmaker.tables import Frame, join
from worlds.carmaker.world import DAY, World

__all__ = ["charge_rows", "order_rows", "price_cents", "vehicle_rows", "visit_rows"]

Array = npt.NDArray[Any]


def price_cents(person: Array, price_class: Array) -> Array:
    """Price of a person's car of a class; the same in its order and its delivery."""
    own = ((person * 2_654_435_761 + price_class.astype(np.int64) * 97) % 1_000) / 1_000
    return np.rint(68_000 * 1.42 ** price_class.astype(float) * (0.93 + 0.14 * own)).astype(np.int64) * 100


def order_rows(world: World, block: int, diary: Diary) -> Frame:
    """Orders and cancellations of a block."""
    rng, o, t = world.rng(block, "orders"), diary.orders, diary.traits
    person = numbers(block, o["who"])
    nth = _count_up(o["who"], o["week"])
    when = opening_hours(world, o["week"], rng)
    common = {
        "customer_id": person,
        "model": o["wanted"].astype(np.int64) - 1,
        "power_type": o["power"].astype(np.int64),
        "price_class": o["wanted"].astype(np.int64),
        "finance_plan": o["plan"].astype(np.int64),
        "dealer_id": t.dealer[o["who"]].astype(np.int64),
        "quantity": np.ones(len(person), np.int64),
        "amount_cents": price_cents(person, o["wanted"]),
    }
    placed = common | {
        "order_id": person * 100 + nth,
        "happened_at": when,
        "kind": np.zeros(len(person), np.int64),
    }
    back = _cancellations(world, diary, common | {"order_id": person * 100 + nth}, rng)
    frame = join(placed, back)
    frame["known_at"] = frame["happened_at"] + rng.integers(60, 20_000, len(frame["customer_id"]))
    return frame


def _cancellations(world: World, diary: Diary, orders: Frame, rng: np.random.Generator) -> Frame:
    """A cancellation for each withdrawn order: the person's last cancelled one before that week."""
    o, w = diary.orders, diary.withdrawn
    lost = np.nonzero(o["cancelled"])[0]
    lost = lost[np.lexsort((o["week"][lost], o["who"][lost]))]
    order_keys = o["who"][lost].astype(np.int64) * 10_000 + o["week"][lost]
    keys = w["who"].astype(np.int64) * 10_000 + w["week"]
    position = lost[np.searchsorted(order_keys, keys) - 1]
    frame = {name: orders[name][position] for name in ("customer_id", "model", "price_class", "dealer_id")}
    frame |= {
        "order_id": orders["order_id"][position] + 50,
        "cancels": orders["order_id"][position],
        "happened_at": opening_hours(world, w["week"], rng),
        "kind": np.ones(len(position), np.int64),
    }
    return frame


def vehicle_rows(world: World, block: int, diary: Diary) -> Frame:
    """Deliveries and disposals, including the cars people had before the history begins."""
    rng, t, s = world.rng(block, "cars"), diary.traits, diary.start
    who = np.nonzero(s.delivered[:, 0] > NONE)[0]
    old = {
        name: getattr(s, name)[who, 0]
        for name in ("delivered", "finance_end", "warranty_end", "car_class", "car_power", "car_number")
    }
    old |= {
        "who": who,
        "week": old["delivered"],
        "plan": (old["finance_end"] > old["delivered"]).astype(np.int8),
    }
    d = {name: np.concatenate([old[name], diary.deliveries[name]]) for name in diary.deliveries}
    person = numbers(block, d["who"])
    when = opening_hours(world, d["week"], rng)
    delivered = _car(person, d["car_number"], 0) | {
        "happened_at": when,
        "model": d["car_class"].astype(np.int64) - 1,
        "segment": d["car_class"].astype(np.int64) - 1,
        "power_type": d["car_power"].astype(np.int64),
        "price_class": d["car_class"].astype(np.int64),
        "price_cents": price_cents(person, d["car_class"]),
        "finance_plan": d["plan"].astype(np.int64),
        "finance_ends_at": np.where(d["plan"] > 0, _midnight(world, d["finance_end"]), -1),
        "warranty_ends_at": _midnight(world, d["warranty_end"]),
        "dealer_id": t.dealer[d["who"]].astype(np.int64),
    }
    frame = join(delivered, _disposals(world, block, diary, rng))
    frame["known_at"] = frame["happened_at"] + rng.integers(3_600, 3 * DAY, len(frame["customer_id"]))
    return frame


def _disposals(world: World, block: int, diary: Diary, rng: np.random.Generator) -> Frame:
    agreed = len(diary.left["who"])
    g = {name: np.concatenate([diary.left[name], diary.parted[name]]) for name in diary.left}
    n = len(g["who"])
    traded = (np.arange(n) < agreed) & (rng.random(n) < 0.7)
    age = (g["week"] - g["delivered"]) / 52.18
    scrapped = ~traded & (rng.random(n) < np.clip((age - 9) / 10, 0, 0.6))
    return _car(numbers(block, g["who"]), g["car_number"], 1) | {
        "happened_at": opening_hours(world, g["week"], rng),
        "model": g["car_class"].astype(np.int64) - 1,
        "power_type": g["car_power"].astype(np.int64),
        "price_class": g["car_class"].astype(np.int64),
        "disposal_kind": np.where(traded, 0, np.where(scrapped, 2, 1)),
        "dealer_id": np.where(traded, diary.traits.dealer[g["who"]], -1),
    }


def visit_rows(world: World, block: int, diary: Diary) -> Frame:
    """Workshop visits; some repairs are recalls."""
    rng, t = world.rng(block, "visits"), diary.traits
    b = _behaviour(diary, hazards.VISITS)
    person, n = numbers(block, b["who"]), len(b["who"])
    repair = b["kind"] == hazards.BEHAVIOUR.index("repair")
    recall = repair & (rng.random(n) < 0.2)
    yuan = (
        np.where(repair, 1_500, 650 + 60 * b["age"])
        * 1.12 ** b["price_class"]
        * np.exp(0.45 * rng.standard_normal(n))
    )
    when = opening_hours(world, b["week"], rng)
    return {
        "customer_id": person,
        "happened_at": when,
        "known_at": when + rng.integers(1_800, 2 * DAY, n),
        "kind": np.where(recall, 2, repair),
        "vehicle_id": person * 100 + b["car"],
        "amount_cents": np.where(recall, 0, np.rint(yuan * 100)).astype(np.int64),
        "odometer_km": np.rint(t.km_per_year[b["who"]] * (b["age"] + 0.01)).astype(np.int64),
        "dealer_id": np.where(rng.random(n) < 0.9, t.dealer[b["who"]], rng.integers(0, 96, n)),
    }


def charge_rows(world: World, block: int, diary: Diary) -> Frame:
    """Charging sessions of cars with a plug."""
    rng = world.rng(block, "charges")
    b = _behaviour(diary, ("charge",))
    person, n = numbers(block, b["who"]), len(b["who"])
    place = np.searchsorted([0.45, 0.75], rng.random(n))
    kwh = np.clip(rng.normal(28, 10, n), 3, 80)
    kilowatt = np.array([6.5, 45.0, 90.0])[place]
    when = evening_hours(world, b["week"], rng)
    return {
        "customer_id": person,
        "happened_at": when,
        "known_at": when + np.rint(3_600 * kwh / kilowatt).astype(np.int64) + rng.integers(5, 3_600, n),
        "vehicle_id": person * 100 + b["car"],
        "place": place,
        "energy_wh": np.rint(kwh * 1_000).astype(np.int64),
        "duration_s": np.rint(3_600 * kwh / kilowatt).astype(np.int64),
    }


def _behaviour(diary: Diary, names: tuple[str, ...]) -> dict[str, Array]:
    wanted = np.isin(diary.behaviour["kind"], [hazards.BEHAVIOUR.index(name) for name in names])
    return {name: values[wanted] for name, values in diary.behaviour.items()}


def _car(person: Array, car_number: Array, event: int) -> Frame:
    car = car_number.astype(np.int64)
    return {
        "customer_id": person,
        "vehicle_id": person * 100 + car,
        "vehicle_event_id": person * 1_000 + car * 10 + event,
        "kind": np.full(len(person), event, np.int64),
    }


def _midnight(world: World, week: Array) -> Array:
    return world.at(0) + week.astype(np.int64) * 7 * DAY


def _count_up(who: Array, week: Array) -> Array:
    """How-manieth entry of its person each entry is, in the order of weeks, from 1."""
    order = np.lexsort((week, who))
    sorted_who = who[order]
    first = np.r_[True, sorted_who[1:] != sorted_who[:-1]] if len(who) else np.zeros(0, bool)
    start = (
        np.maximum.accumulate(np.where(first, np.arange(len(who)), 0)) if len(who) else np.zeros(0, np.int64)
    )
    nth = np.empty(len(who), np.int64)
    nth[order] = np.arange(len(who)) - start + 1
    return nth
