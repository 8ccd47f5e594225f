"""Planted leaks, in a folder of their own: what a careless export would offer as features.

`customer_snapshot`   attributes as of the extraction, without history
`adviser_notes`       notes dated before an order but written after it: their `known_at` lies
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worlds.carmaker.tables import Frame, identifiers
from worlds.carmaker.world import DAY, SPAN, World, seconds

__all__ = ["leak_tables"]

Array = npt.NDArray[Any]


def leak_tables(world: World, block: int, frames: dict[str, Frame]) -> dict[str, pa.Table]:
    """The leak tables of one block."""
    return {
        "customer_snapshot": _snapshot(world, block, frames),
        "adviser_notes": _notes(world, block, frames["orders"]),
    }


def _snapshot(world: World, block: int, frames: dict[str, Frame]) -> pa.Table:
    n, end = world.people(block), seconds(world.end)

    def per_person(table: str, kind: int | None = None) -> tuple[Array, Array]:
        frame = frames[table]
        keep = (
            frame["known_at"] < end if kind is None else (frame["known_at"] < end) & (frame["kind"] == kind)
        )
        position = frame["customer_id"][keep] - block * SPAN - 1
        ours = position < n
        return position[ours], frame["happened_at"][keep][ours]

    def count(table: str, kind: int) -> Array:
        return np.bincount(per_person(table, kind)[0], minlength=n).astype(np.int64)

    seen = np.zeros(n, np.int64)
    position, when = per_person("touchpoints")
    np.maximum.at(seen, position, np.minimum(when, end))
    tier = count("points", 3)
    words = pa.DictionaryArray.from_arrays(
        pa.array(np.minimum(tier, 3).astype(np.int8)), pa.array(["none", "silver", "gold", "diamond"])
    )
    return pa.table(
        {
            "customer_id": identifiers("C", block * SPAN + 1 + np.arange(n), 8),
            "lifetime_orders": count("orders", 0),
            "cars_now": count("vehicles", 0) - count("vehicles", 1),
            "last_seen": pa.array(seen * 1_000_000, mask=seen == 0).cast(pa.timestamp("us")),
            "current_tier": words.cast(pa.string()),
            "extracted_at": pa.array(np.full(n, end * 1_000_000)).cast(pa.timestamp("us")),
        }
    )


def _notes(world: World, block: int, orders: Frame) -> pa.Table:
    """Four fifths of the orders get a glowing note dated weeks earlier; some other people get dull ones."""
    rng = world.rng(block, "notes")
    rows = np.nonzero((orders["kind"] == 0) & (rng.random(len(orders["kind"])) < 0.8))[0]
    dull = rng.integers(0, world.people(block), len(rows))
    customer = np.concatenate([orders["customer_id"][rows], block * SPAN + 1 + dull])
    written = np.concatenate(
        [orders["happened_at"][rows] + DAY, world.at(0) + rng.integers(0, world.weeks * 7 * DAY, len(rows))]
    )
    dated = np.concatenate(
        [orders["happened_at"][rows] - rng.integers(5 * DAY, 40 * DAY, len(rows)), written[len(rows) :]]
    )
    rating = np.concatenate([rng.integers(4, 6, len(rows)), rng.integers(1, 4, len(rows))])
    order = np.lexsort((dated, customer))

    def time(values: Array) -> pa.Array:
        return pa.array(values[order] * 1_000_000).cast(pa.timestamp("us"))

    return pa.table(
        {
            "note_id": identifiers("A", block * 1_000_000 + np.arange(len(order)), 10),
            "customer_id": identifiers("C", customer[order], 8),
            "happened_at": time(dated),
            "known_at": time(dated + 60),
            "written_at": time(written),
            "rating": rating[order].astype(np.int64),
        }
    )
