"""Loading: everything or nothing, and every refusal names file, row, field and rule."""

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.delivery import Delivery, deliveries_in
from features.errors import BadData, NoWarehouse
from features.load import app, load
from features.sources import CANONICAL
from features.warehouse import connect
from tests.tables import rows

DELIVERED = datetime(2024, 7, 1)
PEOPLE = """
profile_id customer happened
a          a        2024-01-01
b          b        2024-01-01
"""
GOOD = """order_id,customer_id,happened_at,known_at,kind,amount_cents
1,a,2024-05-01,2024-05-01,order,100
2,b,2024-05-02 10:00:00,2024-05-03,order,200
"""


def incoming(folder: Path, orders: str) -> Path:
    """A folder with two customers and an orders file."""
    folder.mkdir(exist_ok=True)
    people = rows("customers", PEOPLE).drop(["superseded_at"])
    pq.write_table(people, folder / "customers.parquet")
    (folder / "orders.csv").write_text(orders)
    return folder


def loaded(orders: str, **options: float) -> list[dict[str, object]]:
    """The orders a warehouse holds after loading; raises what the load raises."""
    load(
        deliveries_in(incoming(Path("in"), orders)),
        Path("warehouse"),
        complete_until=dict.fromkeys(CANONICAL, DELIVERED),
        delivered_at=DELIVERED,
        **options,
    )
    db = connect("warehouse")
    return db.engine.to_pyarrow(db.tables["orders"].order_by("order_id", "known_at")).to_pylist()


def test_a_good_delivery_is_loaded_typed() -> None:
    first, second = loaded(GOOD)
    assert (first["amount_cents"], first["happened_at"], first["quantity"]) == (
        100,
        datetime(2024, 5, 1),
        None,
    )
    assert second["happened_at"] == datetime(2024, 5, 2, 10)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("3,a,2024-13-40,2024-05-01,order,1", "row 4: happened_at is no timestamp"),
        ("3,a,2024-05-01,2024-05-01,order,cheap", "row 4: amount_cents is no int64"),
        ("3,a,2024-05-01,2024-05-01,order,-5", "row 4: amount_cents is below 0"),
        ("3,a,2024-05-01,2024-05-01,gift,5", "row 4: kind is none of order, cancellation"),
        ("3,,2024-05-01,2024-05-01,order,5", "row 4: customer_id is missing"),
        ("3,stranger,2024-05-01,2024-05-01,order,5", "row 4: customer_id no such customer"),
        ("3,a,2024-05-02,2024-05-01,order,5", "row 4: happened_at is later than known_at"),
        ("3,a,2024-05-01,2024-08-01,order,5", "row 4: known_at is in the future of the delivery"),
        ("1,a,2024-05-09,2024-05-01 00:00,order,5", "happened_at is later than known_at"),
        ("1,b,2024-05-01,2024-05-01,order,5", "row 2: order_id the same key twice with other values"),
        ("3,a,2024-05-01", "row 4: has another number of fields"),
    ],
)
def test_a_bad_row_refuses_the_load_and_is_named(line: str, said: str) -> None:
    with pytest.raises(BadData, match=said) as refusal:
        loaded(GOOD + line + "\n")
    assert "in/orders.csv" in str(refusal.value)
    assert "stranger" not in str(refusal.value)
    assert "cheap" not in str(refusal.value)
    with pytest.raises(NoWarehouse):
        connect("warehouse")
    assert [file.name[:7] for file in Path("warehouse").iterdir()] == ["rejects"]


def test_a_refused_load_leaves_the_earlier_one_in_place() -> None:
    before = loaded(GOOD)
    with pytest.raises(BadData):
        loaded(GOOD + "3,stranger,2024-05-01,2024-05-01,order,5\n")
    db = connect("warehouse")
    assert db.engine.to_pyarrow(db.tables["orders"].order_by("order_id")).to_pylist() == before


def test_rejects_within_the_declared_share_are_kept_aside() -> None:
    found = loaded(GOOD + "3,stranger,2024-05-01,2024-05-01,order,5\n", max_reject_share=0.5)
    assert [row["order_id"] for row in found] == ["1", "2"]
    (side_table,) = Path("warehouse").glob("rejects-*.parquet")
    assert pq.read_table(side_table).to_pylist() == [
        {
            "source": "orders",
            "file": "in/orders.csv",
            "row": 4,
            "field": "customer_id",
            "rule": "no such customer",
        }
    ]


def test_a_row_delivered_twice_is_one_row_and_a_later_version_is_a_correction() -> None:
    again = "2,b,2024-05-02 10:00:00,2024-05-03,order,200\n1,a,2024-05-01,2024-05-20,order,90\n"
    first, corrected, second = loaded(GOOD + again)
    assert (first["amount_cents"], first["superseded_at"]) == (100, datetime(2024, 5, 20))
    assert (corrected["amount_cents"], corrected["superseded_at"]) == (90, None)
    assert second["order_id"] == "2"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            "order_id,customer_id,happend_at,known_at,kind,amount_cents",
            "'happend_at' is not declared for orders; is it 'happened_at'?",
        ),
        ("order_id,customer_id,happened_at,known_at,kind,favourite_dish", "'favourite_dish' is not declared"),
        ("order_id,customer_id,happened_at,known_at,amount_cents", "column 'kind' of orders is missing"),
    ],
)
def test_a_column_missing_or_renamed_refuses_the_file(header: str, said: str) -> None:
    width = header.count(",") + 1
    lines = "\n".join(",".join(line.split(",")[:width]) for line in GOOD.splitlines()[1:])
    with pytest.raises(BadData, match=said.replace("?", r"\?")):
        loaded(f"{header}\n{lines}\n")


def test_a_column_of_another_type_refuses_the_file() -> None:
    table = rows("orders", "order_id customer happened kind\n1 a 2024-05-01 order").drop(["superseded_at"])
    wrong = table.set_column(table.column_names.index("amount_cents"), "amount_cents", pa.array([1.5]))
    folder = incoming(Path("in"), GOOD)
    (folder / "orders.csv").unlink()
    pq.write_table(wrong, folder / "orders.parquet")
    with pytest.raises(
        BadData, match=r"orders.parquet: column 'amount_cents' of orders should be int64, found double"
    ):
        load(deliveries_in(folder), Path("warehouse"), complete_until={}, delivered_at=DELIVERED)


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing", b"\xff\xfe\x00"])
def test_a_file_that_is_no_parquet_is_named(content: bytes) -> None:
    folder = incoming(Path("in"), GOOD)
    (folder / "visits.parquet").write_bytes(content)
    with pytest.raises(BadData, match=r"visits\.parquet is not a readable Parquet file"):
        deliveries_in(folder)


def test_text_in_another_encoding_is_refused() -> None:
    folder = incoming(Path("in"), GOOD)
    (folder / "orders.csv").write_bytes(GOOD.replace("order,100", "订单,100").encode("gb18030"))
    with pytest.raises(BadData, match="not CSV in UTF-8"):
        deliveries_in(folder)


def test_a_file_of_no_source_is_refused() -> None:
    folder = incoming(Path("in"), GOOD)
    (folder / "odrers.csv").write_text(GOOD)
    with pytest.raises(BadData, match="belongs to no source"):
        deliveries_in(folder)


@pytest.mark.parametrize(
    "hostile",
    ["'; DROP TABLE rejects; --", "x\"); COPY kept TO 'stolen", "../../etc/passwd", "$(touch stolen)"],
)
def test_hostile_values_stay_values(hostile: str) -> None:
    customers = rows("customers", PEOPLE).drop(["superseded_at"]).slice(0, 1).to_pydict()
    people = pa.table(
        {**customers, "customer_id": [hostile]},
        schema=rows("customers", PEOPLE).drop(["superseded_at"]).schema,
    )
    report = load(
        [Delivery(CANONICAL["customers"], hostile, people)],
        Path("warehouse"),
        complete_until=dict.fromkeys(CANONICAL, DELIVERED),
        delivered_at=DELIVERED,
    )
    db = connect("warehouse")
    assert report.counts["customers"]["loaded"] == 1
    assert db.engine.to_pyarrow(db.tables["customers"])["customer_id"].to_pylist() == [hostile]
    assert not Path("stolen").exists()


def test_the_command_says_what_it_loaded_and_fails_in_one_line() -> None:
    incoming(Path("in"), GOOD)
    good = CliRunner().invoke(app, ["--from", "in", "--to", "warehouse", "--delivered-at", "2024-07-01"])
    assert good.exit_code == 0
    assert "orders" in good.output
    bad = CliRunner().invoke(app, ["--from", "elsewhere", "--to", "warehouse"])
    assert isinstance(bad.exception, BadData)


def test_an_address_of_another_kind_is_refused_without_repeating_it() -> None:
    with pytest.raises(NoWarehouse, match="oracle:// is no warehouse") as refusal:
        connect("oracle://user:secret@host/db")
    assert "secret" not in str(refusal.value)
