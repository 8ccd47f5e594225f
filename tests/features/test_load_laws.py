"""Laws of the whole way from files to features: how rows are delivered changes nothing that is computed from them."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from features.delivery import deliveries_in
from features.feature_set import FEATURES
from features.load import load
from features.sources import CANONICAL
from features.warehouse import connect
from tests.features.histories import DATES, World, arrow, computed, random_world
from tests.features.test_laws import Answers, changed, each_row, known_before, later

ALL = list(FEATURES.values())
PEOPLE = [f"c{n:05d}" for n in range(12)]
PAIRS = [(person, date) for person in PEOPLE for date in DATES[1:8:3]]
FAR = datetime(2031, 1, 1)
LATER = datetime(2027, 1, 1)  # than every event, and so early that of no car what was done with it is dropped
Written = Callable[[World, Path], None]


@pytest.fixture(scope="module")
def world() -> World:
    drawn = random_world(seed=11, customers=len(PEOPLE))
    known = {row["customer_id"] for row in drawn["customers"]}
    return each_row(drawn, lambda _, row: row if row["customer_id"] in known else None)


def tables(world: World) -> Iterator[tuple[str, pa.Table]]:
    for name, rows in world.items():
        yield name, arrow(name, rows).drop_columns("superseded_at")


def plain(world: World, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, table in tables(world):
        pq.write_table(table, folder / f"{name}.parquet")


def split(world: World, folder: Path) -> None:
    """Each source in up to 50 files."""
    for name, table in tables(world):
        (folder / name).mkdir(parents=True)
        step = -(-len(table) // 50)
        for number, first in enumerate(range(0, len(table), step)):
            pq.write_table(table.slice(first, step), folder / name / f"{number:02d}.parquet")


def shuffled(world: World, folder: Path) -> None:
    luck = random.Random(3)
    plain({name: luck.sample(rows, len(rows)) for name, rows in world.items()}, folder)


def twice(world: World, folder: Path) -> None:
    """Every row twice in one file, and all of it once more in CSV."""
    luck = random.Random(4)
    as_csv(world, folder)
    for name, table in tables({name: luck.sample(rows * 2, 2 * len(rows)) for name, rows in world.items()}):
        pq.write_table(table, folder / name / "again.parquet")


def as_csv(world: World, folder: Path) -> None:
    for name, table in tables(world):
        (folder / name).mkdir(parents=True)
        pacsv.write_csv(table, folder / name / "rows.csv")


def in_other_types(world: World, folder: Path) -> None:
    """Words as dictionaries, times in nanoseconds or with a zone, numbers in fewer bits, columns backwards."""
    other = {pa.string(): pa.dictionary(pa.int32(), pa.string()), pa.timestamp("us"): pa.timestamp("ms", "Asia/Shanghai")}  # fmt: skip
    folder.mkdir(parents=True)
    for name, table in tables(world):
        types = [(f.name, other.get(f.type, f.type)) for f in reversed(table.schema)]
        pq.write_table(table.select([n for n, _ in types]).cast(pa.schema(types)), folder / f"{name}.parquet")


def digest(folder: Path, warehouse: Path, delivered_at: datetime = FAR) -> str:
    report = load(
        deliveries_in(folder),
        warehouse,
        complete_until=dict.fromkeys(CANONICAL, min(delivered_at, LATER)),
        delivered_at=delivered_at,
    )
    facts: dict[str, str] = json.loads((report.folder / "load.json").read_text())
    return facts["digest"]


def held(warehouse: Path) -> World:
    db = connect(str(warehouse))
    return {name: db.engine.to_pyarrow(table).to_pylist() for name, table in db.tables.items()}


def answers(warehouse: Path, pairs: list[tuple[str, datetime]] = PAIRS) -> Answers:
    return computed(held(warehouse), pairs, ALL)


@pytest.fixture(scope="module")
def loaded(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Answers]:
    """The content and the features of a plain delivery."""
    folder = tmp_path_factory.mktemp("plain")
    plain(world, folder / "in")
    return digest(folder / "in", folder / "warehouse"), answers(folder / "warehouse")


def test_features_of_files_are_features_of_rows(world: World, loaded: tuple[str, Answers]) -> None:
    assert changed(loaded[1], computed(world, PAIRS, ALL)) == set()


@pytest.mark.parametrize("written", [split, shuffled, twice, as_csv, in_other_types])
def test_how_rows_are_written_is_irrelevant(
    world: World, loaded: tuple[str, Answers], written: Written, tmp_path: Path
) -> None:
    written(world, tmp_path / "in")
    assert digest(tmp_path / "in", tmp_path / "warehouse") == loaded[0]
    if written in (twice, as_csv):
        assert changed(loaded[1], answers(tmp_path / "warehouse")) == set()


def test_one_value_more_is_another_content(world: World, loaded: tuple[str, Answers], tmp_path: Path) -> None:
    """The opposite of the laws around it: the hash sees a single null."""
    orders = [dict(row) for row in world["orders"]]
    orders[0]["amount_cents"] = 1 if orders[0]["amount_cents"] is None else None
    plain(world | {"orders": orders}, tmp_path / "in")
    assert digest(tmp_path / "in", tmp_path / "warehouse") != loaded[0]


def test_what_came_late_or_again_is_known_from_then_on(
    world: World, loaded: tuple[str, Answers], tmp_path: Path
) -> None:
    """A first load of what was known by then, a later one of everything: moments up to then see the same in both."""
    then = DATES[4]
    plain(each_row(world, known_before(then)), tmp_path / "early")
    plain(world, tmp_path / "late")
    digest(tmp_path / "early", tmp_path / "warehouse", then)
    known = {row["customer_id"] for row in held(tmp_path / "warehouse")["customers"]}
    pairs = [(person, date) for person, date in PAIRS if date <= then and person in known]
    early = answers(tmp_path / "warehouse", pairs)
    assert digest(tmp_path / "late", tmp_path / "warehouse") == loaded[0]
    assert changed(answers(tmp_path / "warehouse", pairs), early) == set()
    assert digest(tmp_path / "late", tmp_path / "warehouse") == loaded[0], "and delivered again"


@pytest.mark.parametrize("days", [59, -401])
def test_whole_days_later_only_the_season_differs(
    world: World, loaded: tuple[str, Answers], days: int, tmp_path: Path
) -> None:
    as_csv(each_row(world, later(days)), tmp_path / "in")
    digest(tmp_path / "in", tmp_path / "warehouse")
    pairs = [(person, date + timedelta(days=days)) for person, date in PAIRS]
    found = answers(tmp_path / "warehouse", pairs)
    back = {(person, date - timedelta(days=days)): row for (person, date), row in found.items()}
    assert {FEATURES[name].concept for name in changed(loaded[1], back)} == {"season"}


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/St_Johns"])
@pytest.mark.parametrize("written", [as_csv, in_other_types])
def test_the_machine_s_time_zone_is_irrelevant(
    world: World,
    loaded: tuple[str, Answers],
    zone: str,
    written: Written,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        written(world, tmp_path / "in")
        assert digest(tmp_path / "in", tmp_path / "warehouse") == loaded[0]
    finally:
        monkeypatch.undo()
        time.tzset()


GREAT = """
import json, re
from datetime import datetime
from pathlib import Path
import ibis
from features.delivery import deliveries_in
from features.feature_set import at, named
from features.load import load
from features.sources import CANONICAL
from features.warehouse import connect

end = datetime(2025, 1, 1)
load(deliveries_in(Path("in")), Path("warehouse"), complete_until=dict.fromkeys(CANONICAL, end), delivered_at=end,
     memory="400MB", allow=["orders.volume"])  # the busy one falls silent before the end
db = connect("warehouse")
moments = ibis.memtable({"customer_id": ["busy", "idle", "old"], "as_of": [end] * 3})
found = at(moments, db, named(["orders_365d", "days_since_order"])).order_by("customer_id")
print(json.dumps(db.engine.to_pyarrow(found).drop_columns("as_of").to_pylist()))
print(len(list(Path("warehouse").glob("load-*/orders/*.parquet"))))
# Not getrusage, which counts the memory of the process that started this one.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.slow
def test_a_million_events_none_and_ten_years_in_bounded_memory(tmp_path: Path) -> None:
    """One customer ordered a million times, one never, one every hour for ten years; among two million others' rows."""
    begin = np.datetime64("2015-01-01", "s")
    hours = np.arange(10 * 365 * 24)
    many = 2_000_000
    who = np.concatenate([np.full(1_000_000, "busy"), np.full(len(hours), "old"), np.char.add("c", (np.arange(many) % 50_000).astype(str))])  # fmt: skip
    at = np.concatenate(
        [begin + (np.arange(1_000_000) * 315), begin + hours * 3600, begin + np.arange(many) * 157]
    )
    orders = {"order_id": np.arange(len(who)).astype(str), "customer_id": who, "happened_at": at, "known_at": at, "kind": np.full(len(who), "order")}  # fmt: skip
    people = np.unique(np.append(who, "idle"))
    born = np.full(len(people), begin)
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table(orders), tmp_path / "in" / "orders.parquet")
    pq.write_table(
        pa.table({"profile_id": people, "customer_id": people, "happened_at": born, "known_at": born}),
        tmp_path / "in" / "customers.parquet",
    )
    done = subprocess.run([sys.executable, "-c", GREAT], check=True, capture_output=True, text=True)
    found, parts, peak_mib = done.stdout.strip().splitlines()
    year = np.datetime64("2024-01-02", "s")
    last = np.datetime64("2025-01-01", "s")
    days = [(last - at[who == name].max()).astype(int) // 86_400 for name in ("busy", "old")]
    assert json.loads(found) == [
        {"customer_id": "busy", "orders_365d": int((at[:1_000_000] >= year).sum()), "days_since_order": int(days[0])},
        {"customer_id": "idle", "orders_365d": 0, "days_since_order": None},
        {"customer_id": "old", "orders_365d": int((begin + hours * 3600 >= year).sum()), "days_since_order": int(days[1])},
    ]  # fmt: skip
    assert int(parts) >= 2
    assert int(peak_mib) < 1_200
