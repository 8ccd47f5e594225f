"""What is carried over from another date is, to the bit, what measuring everyone gives."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from features import incremental
from features.begun import Begun
from features.cohorts import everyone
from features.feature_set import FEATURES
from features.incremental import Night
from features.needs import ZERO_WHEN_NOTHING, Need
from features.planner import needs_for
from features.reach import Group, drift, groups_of
from features.state import Kept
from features.warehouse import Warehouse
from tests.features.histories import DATES, World, random_world, warehouse

# Every way to measure, to select and to draw an edge; ages and dates ahead; and a sum of ages, which moves with
# time in a way that nobody carries.
ODD: dict[str, Any] = {
    "counts": lambda past: past.vehicles.where(kind="delivery").count(days=30) + past.vehicles.count(days=365),
    "sums": lambda past: past.vehicles.sum("price_cents", days=90) + past.vehicles.sum("price_cents"),
    "ages": lambda past: past.vehicles.min("age_s", days=180) + past.vehicles.where(kind="disposal").max("age_s"),
    "sum of ages": lambda past: past.vehicles.sum("age_s"),
    "dates": lambda past: past.vehicles.latest("warranty_ends_at") + past.vehicles.min("finance_ends_at", days=730),
    "ahead": lambda past: past.vehicles.ahead("warranty_ends_at", 90).count()
    + past.vehicles.ahead("warranty_ends_at").newest_per("vehicle_id").count(),
    "both edges": lambda past: past.vehicles.ahead("finance_ends_at", 365).count(days=60),
    "words": lambda past: past.vehicles.latest("model", days=365),
    "distinct": lambda past: past.vehicles.distinct("model", days=180) + past.vehicles.distinct_days(),
    "since": lambda past: past.vehicles.where(kind="delivery").since_last(kind="disposal").count(days=365),
    "gaps": lambda past: past.vehicles.longest_gap_days() + past.vehicles.sd_gap_days(),
    "rises": lambda past: past.vehicles.compared_within("vehicle_id").rise("price_class", days=365),
    "changes": lambda past: past.vehicles.changes("model", days=365) + past.vehicles.days_since_change("model"),
}  # fmt: skip
PEOPLE = 60
NIGHTS = (
    DATES[2], DATES[2] + timedelta(days=1), DATES[4], DATES[5], DATES[5] + timedelta(days=8), DATES[8], DATES[3],
)  # fmt: skip


def deliveries(luck: random.Random, world: World) -> Iterator[World]:
    """The same world as it stands in the warehouse, night after night: rows that were not there come with any
    `known_at` they like, others are gone, have other values or belong to somebody else."""
    hidden = {id(row) for rows in world.values() for row in rows if luck.random() < 0.05}
    while True:
        yield {name: [row for row in rows if id(row) not in hidden] for name, rows in world.items()}
        for row in luck.sample(world["vehicles"], 4):
            hidden ^= {id(row)}
        for row in luck.sample(world["vehicles"], 3):
            row[luck.choice(["price_cents", "price_class"])] = luck.randint(1, 9)
            row["customer_id"] = luck.choice([row["customer_id"], f"c{luck.randrange(PEOPLE):05d}"])


def measured(
    held: Warehouse,
    group: Group,
    as_of: datetime,
    folder: Path,
    before: Kept | None,
    customers_per_piece: int = PEOPLE,
) -> tuple[Kept, int]:
    begun = Begun(folder, "key", as_of)
    with Night.begun(held, everyone(held, [as_of]), as_of, begun, before) as night:
        touched = night.measure([group], customers_per_piece)[group.name]
    return Kept(begun.needs, as_of), touched.customers - touched.measured


def content(kept: Kept, group: Group) -> dict[str, list[Any]]:
    """The columns as definitions see them."""
    columns = pq.read_table(kept.parts(group.name)).sort_by("customer_id").to_pydict()
    for need in group.needs:
        if need.how in ZERO_WHEN_NOTHING:
            columns[need.name] = [value or 0 for value in columns[need.name]]
    return columns


@pytest.mark.parametrize("rows_worth_apart", [0, 1_000_000], ids=["edges apart", "in one query"])
def test_carried_or_measured(rows_worth_apart: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one day to the next, over months, by a second and back in time, while the warehouse changes; in other
    pieces each night."""
    monkeypatch.setattr(incremental, "ROWS_WORTH_APART", rows_worth_apart)
    [group] = groups_of(needs_for(ODD))
    if rows_worth_apart:
        group = Group("vehicles", "customer_id", tuple(n for n in group.needs if drift(n) is not None))
    luck = random.Random(rows_worth_apart)
    before: Kept | None = None
    quiet, parts = 0, list[int]()
    for n, (as_of, rows) in enumerate(zip(NIGHTS, deliveries(luck, random_world(8, PEOPLE)), strict=False)):
        held = warehouse({name: rows[name] for name in ("customers", "vehicles")})
        everyone, _ = measured(held, group, as_of, tmp_path / f"everyone {n}", None)
        at_a_time = luck.choice([13, 25, PEOPLE])
        before, carried = measured(held, group, as_of, tmp_path / f"carried {n}", before, at_a_time)
        parts.append(len(list(before.parts(group.name).iterdir())))
        quiet += carried if n else 0
        wanted, found = content(everyone, group), content(before, group)
        assert [name for name in wanted if found[name] != wanted[name]] == [], as_of
    assert quiet > 50 or None in group.reaches, "else the law holds for want of cases"
    assert len(set(parts)) > 1


def test_a_quiet_day_measures_nobody_and_ages_grow(tmp_path: Path) -> None:
    held = warehouse(random_world(3, PEOPLE))
    [group] = groups_of(needs_for({"age": lambda past: past.orders.min("age_s")}))
    late = datetime(2030, 1, 1)
    first, _ = measured(held, group, late, tmp_path / "first", None)
    begun = Begun(tmp_path / "second", "key", late)
    with Night.begun(
        held, everyone(held, [late + timedelta(days=3)]), late + timedelta(days=3), begun, first
    ) as night:
        assert night.measure([group], PEOPLE)[group.name].measured == 0
    ages = content(first, group)["min age_s orders"]
    later = content(Kept(begun.needs, late), group)["min age_s orders"]
    assert later == [age + 3 * 86_400 for age in ages]
    assert len(ages) > 20


def test_every_need_of_the_catalogue_can_be_carried() -> None:
    """Else a measure was added whose movement with time nobody thought about: say it in `drift`."""
    needs = needs_for({name: feature.definition for name, feature in FEATURES.items()})
    assert [need.name for need in needs if drift(need) is None] == []


@pytest.mark.parametrize("how", ["median", "sum"])
def test_what_cannot_be_told_is_not_carried(how: str) -> None:
    [group] = groups_of(needs_for({"any": partial(lambda column, past: past.orders.sum(column), "age_s")}))
    assert drift(Need(group.needs[0].selection, how, "age_s")) is None
    assert list(group.reaches) == [None]
