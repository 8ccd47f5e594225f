"""Hostile values and names stay values: what a file says is data, never a statement, a path or a column of ours."""

import json
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from features.delivery import Delivery, deliveries_in
from features.errors import BadData
from features.intake import workbench
from features.load import load
from features.sources import CANONICAL
from features.warehouse import connect

AT = datetime(2024, 5, 1)
HOSTILE = [
    "'; DROP TABLE rejects; --",
    'x"; DROP TABLE typed; --',
    "'); COPY kept TO 'stolen",
    "x\"); COPY kept TO 'stolen",
    "read_csv('/etc/passwd')",
    "../../etc/passwd",
    "/etc/passwd",
    "$(touch stolen)",
    "`touch stolen`",
    "{n}%s$1?:name",
    "with\0nul",
    "\u202eoverride\u200b\ufeff",
    "e\u0301 and é",
    "𝕊🚗\U0010ffff",
    "NULL",
    "line\nbreak\r\nand\ttab",
    '=cmd|"/c calc"!A1',
    "a,b;c|d",
    "x" * 1_000_000,
]


def rows_of(values: list[str]) -> dict[str, pa.Table]:
    """A customer and an order for each value, with the value wherever a string is free."""
    people = {"profile_id": values, "customer_id": values, "region": values}
    orders = {"order_id": values, "customer_id": values, "model": values, "dealer_id": values, "kind": ["order"] * len(values)}  # fmt: skip
    clocks = {"happened_at": [AT] * len(values), "known_at": [AT] * len(values)}
    return {"customers": pa.table(people | clocks), "orders": pa.table(orders | clocks)}


def taken_in(folder: Path) -> dict[str, list[str]]:
    load(
        deliveries_in(folder),
        Path("warehouse"),
        complete_until=dict.fromkeys(CANONICAL, AT),
        delivered_at=datetime(2024, 7, 1),
    )
    db = connect("warehouse")
    held = db.engine.to_pyarrow(db.tables["orders"])
    return {
        name: sorted(held[name].to_pylist()) for name in ("order_id", "customer_id", "model", "dealer_id")
    }


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_hostile_values_stay_values(form: str) -> None:
    values = [value for value in HOSTILE if form == "parquet" or value != "with\0nul"]
    Path("in").mkdir()
    for name, table in rows_of(values).items():
        if form == "parquet":
            pq.write_table(table, f"in/{name}.parquet")
        else:
            pacsv.write_csv(table, f"in/{name}.csv")
    found = taken_in(Path("in"))
    assert all(column == sorted(values) for column in found.values())
    assert sorted(file.name for file in Path().iterdir()) == ["in", "warehouse"]


@pytest.mark.parametrize("name", HOSTILE[:12])
def test_hostile_names_of_files_and_columns_are_named_not_obeyed(name: str) -> None:
    table = rows_of(["a"])["orders"]
    people = Delivery(CANONICAL["customers"], name, rows_of(["a"])["customers"])
    spoilt = table.append_column(name, pa.array(["x"]))
    with pytest.raises(BadData, match="is not declared for orders"):
        load(
            [people, Delivery(CANONICAL["orders"], name, spoilt)],
            Path("warehouse"),
            complete_until=dict.fromkeys(CANONICAL, AT),
        )
    strangers = rows_of(["b"])["orders"]
    with pytest.raises(BadData, match="no such customer"):
        load(
            [people, Delivery(CANONICAL["orders"], name, strangers)],
            Path("warehouse"),
            complete_until=dict.fromkeys(CANONICAL, AT),
        )
    (file,) = Path("warehouse").glob("rejects-*.parquet")
    assert pq.read_table(file)["file"].to_pylist() == [name]
    assert [file.name for file in Path().iterdir()] == ["warehouse"]


@pytest.mark.parametrize("folder", ["it's", 'a "b"', "x; DROP TABLE y", "空 格", "a*b[c]"])
def test_a_warehouse_may_have_any_name(folder: str) -> None:
    Path(folder).mkdir()
    for name, table in rows_of(["a"]).items():
        pq.write_table(table, f"{folder}/{name}.parquet")
    report = load(
        deliveries_in(Path(folder)),
        Path(folder) / "warehouse",
        complete_until=dict.fromkeys(CANONICAL, AT),
        delivered_at=datetime(2024, 7, 1),
    )
    profiles = json.loads((report.folder / "load.json").read_text())["profiles"]
    assert profiles["orders"]["rows"] == 1


def test_the_engine_of_a_load_sees_its_own_folder_and_nothing_else() -> None:
    Path("load").mkdir()
    Path("secret.csv").write_text("a\n1\n")
    with workbench(Path("load")) as engine:
        for sql in (
            "FROM read_csv('secret.csv')",
            "FROM read_csv('load/../secret.csv')",
            "COPY (SELECT 1) TO 'stolen.csv'",
            "COPY (SELECT 1) TO 'load/scratch/../../stolen.csv'",
            "ATTACH 'stolen.db'",
            "SET enable_external_access = true",
            "SET memory_limit = '99GB'",
            "INSTALL httpfs",
        ):
            with pytest.raises(duckdb.Error):
                engine.execute(sql)
        engine.execute(f"COPY (SELECT 1) TO '{Path('load/scratch').absolute()}/inside.parquet'")
    assert sorted(file.name for file in Path().iterdir()) == ["load", "secret.csv"]


def test_no_size_is_no_memory() -> None:
    Path("load").mkdir()
    with pytest.raises(BadData, match="is no amount of memory"):
        workbench(Path("load"), "2GB'; COPY")
