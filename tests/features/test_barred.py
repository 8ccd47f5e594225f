"""Nothing is computed or stored of whoever does not allow it: read by hand, in the night on every path and in live rows."""

import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import nightly
from features.barred import withheld
from features.cohorts import COHORTS, excluded_column
from features.consent import CHILD, CONSENTS, PURPOSES
from features.delivery import Delivery
from features.errors import LedgerUnreadable
from features.feature_set import FEATURES
from features.home import ledgers_folder
from features.live import Live
from features.load import load
from features.sources import CANONICAL
from features.standing import Standing
from features.warehouse import Warehouse, connect, in_memory
from tests.features.compiled import Arithmetic
from tests.features.histories import World, arrow, moments_table, random_world
from tests.oracle.moment import Moment, index

PEOPLE = 24
AT = datetime(2025, 7, 1)
DAY = timedelta(days=1)
SOURCES = ("customers", "consents", "orders", "contacts")
NEVER_SAID = [excluded_column(cohort.name) for cohort in COHORTS.values() if cohort.sources <= set(SOURCES)]
NAMES = [name for name, one in FEATURES.items() if not one.sensitive and one.sources <= set(SOURCES)]


def said(luck: random.Random, customer: str) -> Iterator[dict[str, Any]]:
    """Most allow most; some took it back, let it end, never said anything, or said it too late."""
    for purpose in PURPOSES:
        for state, chance in (("granted", 0.93), ("withdrawn", 0.1), ("refused", 0.05)):
            if luck.random() < chance:
                at = AT - timedelta(days=luck.randint(-3, 300))
                yield dict.fromkeys(CANONICAL["consents"].column_names) | {
                    "consent_id": f"{customer} {purpose} {state}", "customer_id": customer, "happened_at": at, "known_at": at,
                    "purpose": purpose, "state": state, "expires_at": at + 400 * DAY if luck.random() < 0.9 else at + 20 * DAY,
                }  # fmt: skip


def world_of(seed: int) -> World:
    luck = random.Random(seed)
    world = {name: rows for name, rows in random_world(seed, PEOPLE).items() if name in SOURCES}
    for row in world["customers"]:
        row["birth_year"] = luck.choice((None, 1960, 1999, AT.year - 15, AT.year - 14, AT.year - 3))
    return world | {"consents": [row for n in range(PEOPLE) for row in said(luck, f"c{n:05d}")]}


def held(world: World) -> Warehouse:
    tables = {name: arrow(name, rows) for name, rows in world.items()}
    return in_memory(tables, dict.fromkeys(CANONICAL, AT + 9 * DAY), without_consents="")


def is_of_age(world: World, customer: str, at: datetime) -> bool:
    """By hand: of the latest that was known and said, if anything did, 14 in a year before."""
    born = [row["birth_year"] for row in Moment(customer, at, index(world)).all("customers")]
    said = [year for year in born if year is not None]
    return not said or at.year - said[-1] > 14


def allows(world: World, customer: str, purpose: str, at: datetime) -> bool:
    """By hand: the latest that was known decides, and only a yes that has not ended is a yes; children allow no service."""
    if purpose == "service" and not is_of_age(world, customer, at):
        return False
    known = [
        row for row in world["consents"]
        if row["customer_id"] == customer and row["purpose"] == purpose and max(row["happened_at"], row["known_at"]) < at
    ]  # fmt: skip
    last = max(known, key=lambda row: (row["happened_at"], row["known_at"], row["consent_id"]), default=None)
    return last is not None and last["state"] == "granted" and (last["expires_at"] or at + DAY) > at


def by_hand(world: World, row: dict[str, Any], unasked: dict[str, Any], at: datetime) -> dict[str, Any]:
    """What a row must hold: `unasked` is what it would hold if nobody asked what they allow."""
    yes = {purpose: allows(world, row["customer_id"], purpose, at) for purpose in PURPOSES}
    if not (yes["service"] and yes["profiling"]):
        return dict.fromkeys(NAMES)
    gone = {"contacts"} if not yes["marketing"] else set()
    return {name: None if FEATURES[name].sources & gone else unasked[name] for name in NAMES}


def features_in(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in NAMES}


def unasked(world: World, customers: Iterable[str], at: datetime) -> dict[str, dict[str, Any]]:
    tables = {name: arrow(name, rows) for name, rows in world.items()}
    found = Arithmetic(SOURCES, NAMES).rows(moments_table((one, at) for one in customers), tables)
    return {row["customer_id"]: row for row in found.to_pylist()}


def assert_lawful(world: World, found: pa.Table, at: datetime) -> None:
    rows = found.to_pylist()
    whole = unasked(world, (row["customer_id"] for row in rows), at)
    barred = withheld_from = 0
    for row in rows:
        assert repr(features_in(row)) == repr(by_hand(world, row, whole[row["customer_id"]], at))
        asked = {purpose: row[excluded_column(CONSENTS[purpose].name)] is None for purpose in PURPOSES}
        assert asked == {purpose: allows(world, row["customer_id"], purpose, at) for purpose in PURPOSES}
        if not (asked["service"] and asked["profiling"]):
            barred += 1
            assert all(row[name] for name in NEVER_SAID), "every cohort answers with the reason"
        withheld_from += not asked["marketing"]
    assert 0 < barred < len(rows)
    assert withheld_from


def loaded(world: World, folder: Path) -> Warehouse:
    deliveries = [
        Delivery(CANONICAL[name], f"{name}.parquet", arrow(name, rows).drop_columns("superseded_at"))
        for name, rows in world.items()
    ]
    until = dict.fromkeys(CANONICAL, AT + 9 * DAY)
    load(deliveries, folder, complete_until=until, delivered_at=AT + 9999 * DAY, max_reject_share=1.0)
    return connect(str(folder))


@pytest.mark.parametrize("seed", range(2))
def test_nothing_of_them_is_in_the_rows_of_a_night_by_any_path(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the engine, over kept needs after a night before, and all measured again."""
    world = world_of(seed)
    warehouse = held(world)
    nightly.materialise(warehouse, AT - 30 * DAY, Path("rows"))
    carried = nightly.materialise(warehouse, AT, Path("rows"), customers_per_piece=7)
    assert carried.work.why == ""
    assert_lawful(world, carried.table(), AT)
    monkeypatch.setattr(nightly, "why_not_on", lambda _: "another engine")
    monkeypatch.setattr(nightly, "ROWS_PER_BATCH", 5)
    assert nightly.materialise(warehouse, AT, Path("others")).table().equals(carried.table())


@pytest.mark.parametrize("seed", range(2))
def test_nor_of_children_where_consent_is_kept_elsewhere(seed: int) -> None:
    """In the night, and from posted events."""
    world = {name: rows for name, rows in world_of(seed).items() if name != "consents"}
    tables = {name: arrow(name, rows) for name, rows in world.items()}
    until = dict.fromkeys(CANONICAL, AT + 9 * DAY)
    night = nightly.materialise(in_memory(tables, until, without_consents="why"), AT, Path("rows")).table()
    names = [name for name, one in FEATURES.items() if not one.sensitive and one.sources <= world.keys()]
    live = Live([*world], names, without_consents="why")
    asked = moments_table((one, AT) for one in night["customer_id"].to_pylist())
    for rows in (night, live.rows(asked, tables)):
        children = 0
        for row in rows.to_pylist():
            child = not is_of_age(world, row["customer_id"], AT)
            children += child
            assert row["not consent for service"] == (CHILD if child else None)
            assert (row["not has ordered"] == CHILD) == child
            assert any(row[name] is not None for name in names) != child
        assert 0 < children < len(rows)


def test_nor_in_one_measured_over_arrays() -> None:
    world = world_of(3)
    warehouse = loaded(world, Path("held"))
    assert nightly.materialise(warehouse, AT, Path("rows")).work.why == nightly.QUICKER
    over_arrays = nightly.latest(Path("rows")).table()
    assert over_arrays.equals(nightly.materialise(warehouse, AT, Path("others"), incremental=True).table())
    barred = over_arrays.filter(over_arrays[excluded_column("consent for profiling")].is_valid())
    assert 0 < len(barred) < len(over_arrays)
    assert all(barred[name].null_count == len(barred) for name in NAMES)


def test_nor_kept_beside_the_rows_for_the_night_to_come() -> None:
    world = world_of(5)
    nightly.materialise(held(world), AT, Path("rows"))
    kept = list(Path("rows").glob("needs-*/*/*.parquet"))
    who = {file.parent.name: set(pq.read_table(file)["customer_id"].to_pylist()) for file in kept}
    everybody = [f"c{n:05d}" for n in range(PEOPLE)]
    barred = {one for one in everybody if not (allows(world, one, "service", AT) and allows(world, one, "profiling", AT))}  # fmt: skip
    assert barred
    assert not barred & set.union(*who.values())
    assert not {one for one in who["contacts"] if not allows(world, one, "marketing", AT)}


def test_nor_measured_and_given_again_they_are_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told since counts for the night, too; the one after goes on with the others' needs."""
    world = world_of(7)
    warehouse = held(world)
    before = nightly.materialise(warehouse, AT, Path("rows")).table()
    who = next(row["customer_id"] for row in before.to_pylist() if row["not consent for profiling"] is None and row["not consent for service"] is None)  # fmt: skip
    Standing.here().tell([(who, "profiling", "refused")], by="crm")
    (row,) = nightly.materialise(warehouse, AT, Path("rows")).find([who]).to_pylist()
    assert features_in(row) == dict.fromkeys(NAMES)
    assert row["not consent for profiling"] == "refused automated profiling"
    Standing.here().tell([(who, "profiling", "granted")], by="crm")
    again = nightly.materialise(warehouse, AT, Path("rows"))
    assert again.work.why == ""
    assert again.table().equals(before)


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_computed_of_them_from_posted_events(seed: int) -> None:
    world = world_of(seed + 20)
    tables = {name: arrow(name, rows) for name, rows in world.items()}
    who = [f"c{n:05d}" for n in range(PEOPLE)]
    assert_lawful(world, Live(SOURCES, NAMES).rows(moments_table((one, AT) for one in who), tables), AT)


def test_what_was_told_counts_over_what_is_posted() -> None:
    world = world_of(11)
    tables = {name: arrow(name, rows) for name, rows in world.items()}
    who = next(one for one in (f"c{n:05d}" for n in range(PEOPLE)) if all(allows(world, one, purpose, AT) for purpose in PURPOSES))  # fmt: skip
    live, asked = Live(SOURCES, NAMES), moments_table([(who, AT)])
    told = {who: {"service": "withdrew the consent for service"}}
    (row,) = live.rows(asked, tables, told).to_pylist()
    assert features_in(row) == dict.fromkeys(NAMES)
    assert {row["not consent for service"], row["not has ordered"]} == {"withdrew the consent for service"}


def test_where_everybody_is_barred_there_are_rows_of_reasons_and_nothing_else() -> None:
    world = world_of(1) | {"consents": []}
    made = nightly.materialise(held(world), AT, Path("rows"))
    assert len(made) == len({row["customer_id"] for row in world["customers"] if max(row["happened_at"], row["known_at"]) < AT})  # fmt: skip
    assert set(made.table()["not consent for service"].to_pylist()) == {
        "no consent for service is known",
        CHILD,
    }
    assert all(made.table()[name].null_count == len(made) for name in NAMES)


def test_no_night_is_made_when_nobody_knows_what_was_told() -> None:
    warehouse = held(world_of(2))
    Standing.here().tell([("c00001", "service", "withdrawn")], by="crm")
    (ledgers_folder() / "consents.ledger").write_bytes(b"something else\n")
    with pytest.raises(LedgerUnreadable):
        nightly.materialise(warehouse, AT, Path("rows"))
    assert not list(Path("rows").glob("rows-*"))


def test_a_night_that_broke_off_does_not_go_on_with_rows_of_whoever_withdrew_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = world_of(13)
    warehouse = loaded(world, Path("held"))
    monkeypatch.setattr(nightly, "ROWS_PER_BATCH", 4)
    with monkeypatch.context() as broken:
        broken.setattr(nightly, "point", _broken_off)
        with pytest.raises(KeyboardInterrupt):
            nightly.materialise(warehouse, AT, Path("rows"))
    who = world["customers"][0]["customer_id"]
    Standing.here().tell([(who, "service", "withdrawn")], by="crm")
    (row,) = nightly.materialise(warehouse, AT, Path("rows")).find([who]).to_pylist()
    assert features_in(row) == dict.fromkeys(NAMES)


def _broken_off(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_feature_is_withheld_by_the_purpose_of_what_it_reads() -> None:
    found = withheld(FEATURES.values())["marketing"]
    assert {"contacts_unanswered_in_a_row", excluded_column("just contacted")} <= set(found)
    assert all("contacts" in FEATURES[name].sources for name in found if name in FEATURES)
