"""Laws that every feature keeps, unasked: they take all there are from the catalogue."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.delivery import Delivery
from features.feature_set import FEATURES, at
from features.load import load
from features.sources import CANONICAL
from features.warehouse import connect
from tests.features.compiled import Arithmetic
from tests.features.histories import (
    DATES,
    Row,
    World,
    arrow,
    computed,
    moments,
    moments_table,
    random_world,
    same_bits,
    warehouse,
)

ALL = list(FEATURES.values())
PEOPLE = [f"c{n:05d}" for n in range(30)]
PAIRS = [(person, date) for person in PEOPLE for date in DATES[1:8:3]]
Answers = dict[tuple[str, datetime], Row]


@pytest.fixture(scope="module")
def world() -> World:
    return random_world(seed=7, customers=len(PEOPLE))


@pytest.fixture(scope="module")
def answers(world: World) -> Answers:
    return computed(world, PAIRS, ALL)


def changed(before: Answers, after: Answers) -> set[str]:
    """Names of the features that differ in any moment both have."""
    return {
        name
        for pair, row in after.items()
        for name, value in row.items()
        if not same_bits(before[pair][name], value)
    }


def each_row(world: World, change: Callable[[str, Row], Row | None]) -> World:
    """The world with every row changed, or left out where `change` gives None."""
    return {
        source: [new for row in rows if (new := change(source, dict(row))) is not None]
        for source, rows in world.items()
    }


def known_before(as_of: datetime) -> Callable[[str, Row], Row | None]:
    def kept(_: str, row: Row) -> Row | None:
        if row["happened_at"] >= as_of or row["known_at"] >= as_of:
            return None
        corrected = row["superseded_at"] is not None and row["superseded_at"] < as_of
        return row if corrected else row | {"superseded_at": None}

    return kept


@pytest.mark.parametrize("as_of", sorted({date for _, date in PAIRS}))
def test_no_future(world: World, answers: Answers, as_of: datetime) -> None:
    """Rows not yet known at the moment are deleted: nothing changes."""
    pairs = [(person, as_of) for person in PEOPLE]
    assert changed(answers, computed(each_row(world, known_before(as_of)), pairs, ALL)) == set()


def test_the_past_matters(world: World, answers: Answers) -> None:
    """The opposite of the law before, so that it cannot hold for want of effect."""
    as_of = DATES[1]
    earlier = each_row(world, known_before(as_of - timedelta(days=60)))
    assert len(changed(answers, computed(earlier, [(p, as_of) for p in PEOPLE], ALL))) > len(ALL) / 2


def test_nothing_means_what_it_says() -> None:
    nobody = {name: list[Row]() for name in CANONICAL}
    row = computed(nobody, [("nobody", DATES[0])], ALL)["nobody", DATES[0]]
    for feature in ALL:
        if feature.sources:
            assert row[feature.name] == feature.nothing, feature.name
        else:
            assert row[feature.name] is not None, feature.name


def belongs_to(person: str) -> Callable[[str, Row], Row | None]:
    return lambda _, row: row if person in (row["customer_id"], row.get("invitee_id")) else None


@pytest.mark.parametrize("person", PEOPLE[:2])
def test_alone_or_together(world: World, answers: Answers, person: str) -> None:
    pairs = [pair for pair in PAIRS if pair[0] == person]
    assert changed(answers, computed(each_row(world, belongs_to(person)), pairs, ALL)) == set()


def test_a_car_that_is_sold_on_takes_nothing_of_its_former_owners_along(world: World) -> None:
    """All cars are the same three, which went through everybody's hands: a new owner's features are of their own rows."""

    def shared(_: str, row: Row) -> Row:
        return row | {"vehicle_id": f"car {row['vehicle_id'][-1]}"} if row.get("vehicle_id") else row

    passed_on = each_row(world, shared)
    together = computed(passed_on, PAIRS, ALL)
    for person in PEOPLE[5:8]:
        pairs = [pair for pair in PAIRS if pair[0] == person]
        assert changed(together, computed(each_row(passed_on, belongs_to(person)), pairs, ALL)) == set()
    assert len({row["vehicle_id"] for row in passed_on["vehicles"]}) == 3


def test_live_or_nightly(world: World, answers: Answers) -> None:
    """Given one customer's rows, live rows are those of the whole batch."""
    live = Arithmetic(CANONICAL)
    for person in PEOPLE[3:9]:
        own = each_row(world, belongs_to(person))
        pairs = moments_table([pair for pair in PAIRS if pair[0] == person])
        rows = live.rows(pairs, {name: arrow(name, rows) for name, rows in own.items()}).to_pylist()
        alone = {(person, row["as_of"]): {name: row[name] for name in live.fingerprints} for row in rows}
        assert len(alone) == 3
        assert changed(answers, alone) == set()


def test_order_is_irrelevant(world: World, answers: Answers) -> None:
    luck = random.Random(3)
    shuffled = {source: luck.sample(rows, len(rows)) for source, rows in world.items()}
    assert changed(answers, computed(shuffled, luck.sample(PAIRS, len(PAIRS)), ALL)) == set()


def delivered(world: World, folder: Path) -> Answers:
    """The features after the world went through a load, delivered in one file per source."""
    load(
        [Delivery(CANONICAL[name], f"{name}.parquet", arrow(name, rows).drop_columns("superseded_at")) for name, rows in world.items()],
        folder,
        complete_until=dict.fromkeys(CANONICAL, datetime(2027, 1, 1)),  # no car has long gone
        delivered_at=datetime(2031, 1, 1),
    )  # fmt: skip
    held = connect(str(folder))
    found = held.engine.to_pyarrow(at(moments(PAIRS), held, ALL)).to_pylist()
    return {(row.pop("customer_id"), row.pop("as_of")): row for row in found}


def test_duplicates_are_irrelevant(world: World, tmp_path: Path) -> None:
    known = {row["customer_id"] for row in world["customers"]}
    sound = each_row(world, lambda _, row: row if row["customer_id"] in known else None)
    luck = random.Random(5)
    twice = {source: luck.sample(rows + rows, 2 * len(rows)) for source, rows in sound.items()}
    once = delivered(sound, tmp_path / "once")
    assert changed(once, delivered(twice, tmp_path / "twice")) == set()
    assert changed(once, computed(sound, PAIRS, ALL)) == set()


def company_deeds(world: World) -> Iterator[tuple[str, Row]]:
    """What the company might have done: each customer's touchpoints again, and messages and calls."""
    for row in world["touchpoints"]:
        yield (
            "touchpoints",
            row | {"initiated_by": "company", "touchpoint_id": "by us " + row["touchpoint_id"]},
        )
    for n, row in enumerate(world["contacts"]):
        kind = ("sent", "delivered", "adviser_call")[n % 3]
        yield "contacts", row | {"kind": kind, "contact_id": "by us " + row["contact_id"]}


def test_what_the_company_does_is_not_behaviour(world: World, answers: Answers) -> None:
    busy = {source: list(rows) for source, rows in world.items()}
    for source, row in company_deeds(world):
        busy[source].append(row)
    moved = changed(answers, computed(busy, PAIRS, ALL))
    assert {FEATURES[name].concept for name in moved} == {"contacts and replies"}


def later(days: int) -> Callable[[str, Row], Row | None]:
    def shifted(_: str, row: Row) -> Row:
        moved = {c: v + timedelta(days=days) for c, v in row.items() if isinstance(v, datetime)}
        return row | moved

    return shifted


@pytest.mark.parametrize("days", [59, -401])
def test_whole_days_later_only_the_season_differs(world: World, answers: Answers, days: int) -> None:
    pairs = [(person, date + timedelta(days=days)) for person, date in PAIRS]
    found = computed(each_row(world, later(days)), pairs, ALL)
    back = {(person, date - timedelta(days=days)): row for (person, date), row in found.items()}
    assert {FEATURES[name].concept for name in changed(answers, back)} == {"season"}


def test_the_engine_s_time_zone_is_irrelevant(world: World, answers: Answers) -> None:
    held = warehouse(world)
    held.engine.raw_sql("SET TimeZone = 'Asia/Shanghai'")
    found: list[dict[str, Any]] = held.engine.to_pyarrow(at(moments(PAIRS), held, ALL)).to_pylist()
    elsewhere = {(row.pop("customer_id"), row.pop("as_of")): row for row in found}
    assert changed(answers, elsewhere) == set()


def test_all_at_once_or_one_by_one(world: World, answers: Answers) -> None:
    """What else is asked for changes no answer."""
    for feature in random.Random(9).sample(ALL, 10):
        assert changed(answers, computed(world, PAIRS, [feature])) == set(), feature.name
