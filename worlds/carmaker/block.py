"""One block from life to files: the unit of work that a process does, with memory that does not grow with the world."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from worlds.carmaker.clock import entered_at, numbers
from worlds.carmaker.diary import Diary, keep_diary
from worlds.carmaker.leaks import leak_tables
from worlds.carmaker.mess import make_mess
from worlds.carmaker.messages import campaign_truth, contact_rows, point_rows
from worlds.carmaker.ownership import charge_rows, order_rows, vehicle_rows, visit_rows
from worlds.carmaker.people import consent_ends, consent_rows, customer_rows, referral_rows
from worlds.carmaker.state import NONE
from worlds.carmaker.tables import Frame, encode, identifiers, pick, sort
from worlds.carmaker.touchpoints import touchpoint_rows
from worlds.carmaker.world import World, seconds

__all__ = ["part", "write_block"]

Array = npt.NDArray[Any]
_NUMBERED = {
    "touchpoints": "touchpoint_id",
    "visits": "visit_id",
    "contacts": "contact_id",
    "points": "points_id",
    "charges": "charge_id",
}
_ROWS_PER_BLOCK = 100_000_000  # numbers reserved for the rows of one table in one block


def part(folder: Path, table: str, block: int) -> Path:
    """The file of one block of one table."""
    return folder / table / f"part-{block:05d}.parquet"


def write_block(world: World, block: int, folder: Path) -> dict[str, Any]:
    """Live one block and write its parts below `folder`. Returns rows per table and counts of mess."""
    diary = keep_diary(world, block)
    frames = _frames(world, block, diary)
    frames, counts = make_mess(world, block, frames)
    if world.mess.withdrawals:
        counts["withdrawals"] += int((frames["consents"]["state"] > 0).sum())
    end = seconds(world.end)
    tables: dict[str, pa.Table] = {}
    for name, frame in frames.items():
        known = sort(pick(frame, np.nonzero(frame["known_at"] < end)[0]))
        tables[name] = encode(name, known)
    if (
        world.mess.missing_columns and block == 0 and world.blocks > 1
    ):  # a column that nobody delivers is another matter
        tables["charges"] = tables["charges"].drop_columns(["duration_s"])
        counts["missing_columns"] += 1
    if world.mess.leaks:
        for name, table in leak_tables(world, block, frames).items():
            counts["leak_rows"] += table.num_rows
            _write(table, part(folder / "leaks", name, block))
    for name, table in tables.items():
        _write(table, part(folder, name, block))
    for name, table in _truth(world, block, diary).items():
        _write(table, part(folder / "truth", name, block))
    return {"rows": {name: table.num_rows for name, table in tables.items()}, "mess": dict(counts)}


def _frames(world: World, block: int, diary: Diary) -> dict[str, Frame]:
    """The clean rows of all canonical tables."""
    start = diary.start
    entered = entered_at(
        world,
        block,
        diary.traits.entry_week,
        np.where(start.delivered[:, 0] > NONE, start.delivered[:, 0], NONE),
    )
    ends = consent_ends(world, block, diary)
    orders = order_rows(world, block, diary)
    touchpoints = _shown(world, touchpoint_rows(world, block, diary, orders, entered))
    visits = visit_rows(world, block, diary)
    frames = {
        "customers": customer_rows(world, block, diary, entered),
        "consents": consent_rows(world, block, ends, entered),
        "vehicles": vehicle_rows(world, block, diary),
        "orders": orders,
        "touchpoints": touchpoints,
        "visits": visits,
        "contacts": contact_rows(world, block, diary, touchpoints, ends["marketing"]),
        "points": point_rows(world, block, touchpoints, visits),
        "referrals": referral_rows(world, block, diary, orders, entered),
        "charges": charge_rows(world, block, diary),
    }
    frames["referrals"]["referral_id"] = block * 1_000_000 + np.arange(
        len(frames["referrals"]["customer_id"])
    )
    for name, key in _NUMBERED.items():
        frames[name] = sort(frames[name])
        frames[name][key] = block * _ROWS_PER_BLOCK + np.arange(len(frames[name]["customer_id"]))
    return frames


def _shown(world: World, touchpoints: Frame) -> Frame:
    """Channel events are recorded from the start of the history on; orders and cars also from before."""
    return pick(touchpoints, np.nonzero(touchpoints["happened_at"] >= seconds(world.start))[0])


def _truth(world: World, block: int, diary: Diary) -> dict[str, pa.Table]:
    """Hidden traits, hidden states at the snapshots, and the campaign's individual effects."""
    everybody = numbers(block, np.arange(world.people(block)))
    states = [
        pa.table(
            {"customer_id": identifiers("C", everybody, 8), "week": np.full(len(everybody), week, np.int16)}
            | state.columns()
        )
        for week, state in diary.states.items()
    ]
    truth = {
        "traits": pa.table({"customer_id": identifiers("C", everybody, 8)} | diary.traits.columns()),
        "states": pa.concat_tables(states),
    }
    if world.campaign:
        reached = campaign_truth(world, diary)
        truth["campaign"] = pa.table(
            {"customer_id": identifiers("C", numbers(block, reached.pop("who")), 8)} | reached
        )
    return truth


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", compression_level=1, row_group_size=250_000)
