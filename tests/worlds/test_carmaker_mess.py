"""Each kind of mess can be switched, is counted, and does what it says; lives stay the same."""

import json
from collections import Counter
from dataclasses import fields, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.worlds.reading import ask, none
from worlds.carmaker.mess import LATEST_DAYS, make_mess
from worlds.carmaker.tables import Frame
from worlds.carmaker.world import BLOCK, DAY, SPAN, Mess, World

SWITCHED_ELSEWHERE = {"missing_columns", "withdrawals", "leaks"}


def small_frames(n: int = 3_000) -> dict[str, Frame]:
    """Enough rows of each table for every kind of mess."""
    rng = np.random.default_rng(5)
    start = World(customers=n).at(0)
    when = start + rng.integers(0, 1_000 * DAY, n)
    base = {"customer_id": np.sort(rng.integers(1, 400, n)), "happened_at": when, "known_at": when + 60}
    touch = {
        "kind": rng.integers(0, 19, n),
        "channel": np.zeros(n, int),
        "dealer_id": np.where(rng.random(n) < 0.3, 5, -1),
    }
    money = {"kind": np.zeros(n, int), "amount_cents": np.full(n, 10_000)}
    return {
        "customers": base | {"profile_id": np.arange(n)},
        "consents": base
        | {"consent_id": np.arange(n), "purpose": np.zeros(n, int), "state": np.zeros(n, int)},
        "touchpoints": base | touch | {"touchpoint_id": np.arange(n)},
        "visits": base | money | {"visit_id": np.arange(n)},
        "orders": base | money | {"order_id": np.arange(n)},
        "vehicles": base | {"vehicle_event_id": np.arange(n), "price_cents": np.full(n, 10_000)},
        **{name: dict(base) for name in ("charges", "contacts", "points")},
    }


def mess_of(switch: str) -> tuple[dict[str, Frame], Counter[str]]:
    world = World(customers=400, mess=replace(Mess.none(), **{switch: True}))
    return make_mess(world, 0, small_frames())


def changed(frames: dict[str, Frame]) -> set[str]:
    """Tables that differ from the clean ones."""
    clean = small_frames()
    return {
        n
        for n, f in frames.items()
        if any(c not in f or not np.array_equal(f[c], v) for c, v in clean[n].items())
    }


@pytest.mark.parametrize("switch", [f.name for f in fields(Mess) if f.name not in SWITCHED_ELSEWHERE])
def test_each_switch_plants_its_own_mess_and_counts_it(switch: str) -> None:
    frames, counts = mess_of(switch)
    touched = {
        "late": {"touchpoints", "visits"},
        "corrections": {"visits", "orders", "vehicles"},
        "duplicates": {"touchpoints", "visits", "charges", "orders", "contacts", "points"},
        "merges": {"touchpoints", "customers", "consents"},
    }.get(switch, {"touchpoints"})
    assert changed(frames) == touched
    assert all(name.startswith(("merged", switch)) and count > 0 for name, count in counts.items())


def test_without_switches_nothing_changes_and_nothing_is_counted() -> None:
    frames, counts = make_mess(World(customers=400, mess=Mess.none()), 0, small_frames())
    assert changed(frames) == set()
    assert not counts


def test_late_rows_are_days_to_weeks_late_and_only_from_dealers() -> None:
    frames, counts = mess_of("late")
    waited = {
        name: (frames[name]["known_at"] - frames[name]["happened_at"]) / DAY
        for name in ("touchpoints", "visits")
    }
    late = {name: days > 0.5 for name, days in waited.items()}
    assert sum(int(rows.sum()) for rows in late.values()) == counts["late"]
    assert max(days.max() for days in waited.values()) <= LATEST_DAYS
    assert (frames["touchpoints"]["dealer_id"][late["touchpoints"]] >= 0).all()


def test_corrections_keep_the_key_change_the_amount_and_come_later() -> None:
    frames, counts = mess_of("corrections")
    visits, n = frames["visits"], 3_000
    again = {name: values[n:] for name, values in visits.items()}
    first = {name: values[again["visit_id"]] for name, values in visits.items()}
    assert 0 < len(again["visit_id"]) < counts["corrections"]
    assert (again["amount_cents"] != first["amount_cents"]).mean() > 0.99
    assert (again["known_at"] >= first["known_at"] + 2 * DAY).all()
    assert (again["happened_at"] == first["happened_at"]).all()


def test_duplicates_are_identical_rows() -> None:
    frames, counts = mess_of("duplicates")
    visits = frames["visits"]
    rows = Counter(zip(*(values.tolist() for values in visits.values()), strict=True))
    assert counts["duplicates"] == sum(len(f["customer_id"]) - 3_000 for f in frames.values())
    assert set(rows.values()) == {1, 2}


def test_a_wrong_clock_makes_events_happen_after_they_are_known() -> None:
    frames, counts = mess_of("wrong_clock")
    ahead = frames["touchpoints"]["happened_at"] > frames["touchpoints"]["known_at"]
    assert int(ahead.sum()) == counts["wrong_clock"] > 0


def test_one_whole_day_of_touchpoints_is_known_two_weeks_later(messy: Path) -> None:
    rows = ask(messy, """
        SELECT happened_at::DATE AS day, avg((known_at >= happened_at + INTERVAL 12 DAY)::INT) FROM touchpoints
        WHERE dealer_id IS NULL AND happened_at <= known_at GROUP BY day HAVING count(*) > 50
    """)  # fmt: skip
    missed = [share for _, share in rows if isinstance(share, float) and share > 0.01]
    assert missed == [1.0]


def test_a_second_identity_has_its_own_profile_and_consents_until_it_is_merged(messy: Path) -> None:
    merged = "SELECT customer_id AS old, merged_into, happened_at AS noticed FROM customers WHERE merged_into IS NOT NULL"
    assert not none(messy, merged)
    assert none(
        messy,
        f"FROM touchpoints JOIN ({merged}) ON old = customer_id WHERE known_at > noticed AND happened_at <= known_at AND date_diff('day', happened_at, known_at) < 1",
    )
    assert none(messy, f"SELECT old FROM ({merged}) EXCEPT SELECT customer_id FROM consents")
    assert none(messy, f"SELECT merged_into FROM ({merged}) EXCEPT SELECT customer_id FROM customers")
    assert none(messy, f"FROM ({merged}) WHERE (substr(old, 2)::BIGINT - 1) % {SPAN} < {BLOCK}")


def test_the_first_part_of_one_table_lacks_an_optional_column(messy: Path, clean: Path) -> None:
    first, second = (pq.read_schema(messy / "charges" / f"part-0000{i}.parquet").names for i in (0, 1))
    assert set(second) - set(first) == {"duration_s"}
    assert "duration_s" in pq.read_schema(clean / "charges" / "part-00000.parquet").names


def test_an_unannounced_kind_and_channel_appear_late_in_the_history(messy: Path, clean: Path) -> None:
    novel = (
        "FROM touchpoints WHERE (kind = 'vr_showroom' OR channel = 'short_video') AND happened_at <= known_at"
    )
    assert none(clean, novel)
    assert not none(messy, novel)
    assert none(messy, f"{novel} AND happened_at < TIMESTAMP '2024-10-01'")


def test_lives_are_the_same_with_and_without_mess(messy: Path, clean: Path) -> None:
    for name in ("traits", "states", "campaign"):
        file = Path("truth") / name / "part-00000.parquet"
        assert pq.read_table(messy / file).equals(pq.read_table(clean / file))


def test_planted_leaks_lie_apart_and_know_the_future(messy: Path, clean: Path) -> None:
    assert not (clean / "leaks").exists()
    notes = pq.read_table(messy / "leaks" / "adviser_notes" / "part-00000.parquet")
    backdated = pc.and_(pc.less(notes["known_at"], notes["written_at"]), pc.greater_equal(notes["rating"], 4))
    assert pc.mean(pc.cast(backdated, "float64")).as_py() == pytest.approx(0.5, abs=0.05)
    snapshot = pq.read_table(messy / "leaks" / "customer_snapshot" / "part-00000.parquet")
    assert {"lifetime_orders", "cars_now", "last_seen", "current_tier", "extracted_at"} <= set(
        snapshot.column_names
    )
    counted = ask(
        messy,
        "SELECT count(DISTINCT order_id) FROM orders WHERE kind = 'order' AND customer_id <= 'C00010000'",
    )[0][0]
    assert pc.sum(snapshot["lifetime_orders"]).as_py() == pytest.approx(
        counted, rel=0.05
    )  # it counts re-deliveries twice


def test_every_kind_of_mess_is_counted_in_the_world_file(messy: Path, clean: Path) -> None:
    counts = json.loads((messy / "world.json").read_text())["mess"]
    assert set(counts) == {
        "corrections", "duplicates", "late", "late_day", "leak_rows", "merged_identities", "merged_touchpoints", "missing_columns",
        "unknown_kinds", "withdrawals", "wrong_clock",
    }  # fmt: skip
    assert min(counts.values()) > 0
    assert json.loads((clean / "world.json").read_text())["mess"] == {}


def test_drift_brings_a_channel_and_a_price_war_from_its_date_on() -> None:
    start, day = World(customers=400).start, date(2024, 1, 5)
    frames, counts = make_mess(World(customers=400, drift_from=day, mess=Mess.none()), 0, small_frames())
    touch, plain = frames["touchpoints"], small_frames()["touchpoints"]
    moved = touch["channel"] != plain["channel"]
    assert int(moved.sum()) == counts["drifted_channel"] > 0
    assert (
        touch["happened_at"][moved] >= World(customers=400).at(0) + (day - start) / timedelta(seconds=1)
    ).all()
