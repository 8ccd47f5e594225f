"""Reading what arrives: row numbers, encodings, strict text, files that are not what their name says."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.delivery import Delivery, deliveries_in
from features.errors import BadData
from features.load import load
from features.sources import CANONICAL
from features.warehouse import connect
from tests.tables import rows

DELIVERED = datetime(2024, 7, 1)
HEADER = "order_id,customer_id,happened_at,known_at,kind,amount_cents,model\n"
PEOPLE = "profile_id customer happened\na a 2024-01-01\nb b 2024-01-01"


def people(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(rows("customers", PEOPLE).drop(["superseded_at"]), folder / "customers.parquet")


def orders_of(content: str | bytes, encoding: str = "utf-8", share: float = 0.0) -> list[dict[str, Any]]:
    """The orders in a warehouse after loading this CSV file."""
    people(Path("in"))
    Path("in/orders.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    load(
        deliveries_in(Path("in"), encoding=encoding),
        Path("warehouse"),
        complete_until=dict.fromkeys(CANONICAL, DELIVERED),
        delivered_at=DELIVERED,
        max_reject_share=share,
    )
    db = connect("warehouse")
    found: list[dict[str, Any]] = db.engine.to_pyarrow(db.tables["orders"].order_by("order_id")).to_pylist()
    return found


def rejected() -> list[tuple[int, str, str]]:
    (file,) = Path("warehouse").glob("rejects-*.parquet")
    return [(row["row"], row["field"], row["rule"]) for row in pq.read_table(file).to_pylist()]


def order(key: str, happened: str = "2024-05-01", amount: str = "1", model: str = "") -> str:
    return f"{key},a,{happened},2024-05-09,order,{amount},{model}\n"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2024-05-01", datetime(2024, 5, 1)),
        ("2024-05-01 10:00", datetime(2024, 5, 1, 10)),
        ("2024-05-01T10:00:00.75", datetime(2024, 5, 1, 10)),
        ("2024-05-01T10:00:00Z", datetime(2024, 5, 1, 10)),
        ("2024-05-01 10:00:00+08:00", datetime(2024, 5, 1, 2)),
        ("2024-05-01 10:00:00+08", datetime(2024, 5, 1, 2)),
        ("2024-05-01 10:00:00-0330", datetime(2024, 5, 1, 13, 30)),
    ],
)
def test_a_timestamp_with_an_offset_is_that_instant_and_one_without_is_utc(
    written: str, read: datetime
) -> None:
    assert orders_of(HEADER + order("1", written))[0]["happened_at"] == read


@pytest.mark.parametrize(
    "text", ["01/05/2024", "infinity", "epoch", "20240501", "2024-5-1", "2024-02-30", "now"]
)
def test_other_text_is_no_timestamp(text: str) -> None:
    with pytest.raises(BadData, match="row 2: happened_at is no timestamp"):
        orders_of(HEADER + order("1", text))


@pytest.mark.parametrize(
    "text", ["1.5", "1e3", "0x10", "1_000", "99999999999999999999", '"1,5"', '"1.000,50"', "NaN"]
)
def test_other_text_is_no_whole_number(text: str) -> None:
    with pytest.raises(BadData, match="row 2: amount_cents is no int64"):
        orders_of(HEADER + order("1", amount=text))


def test_rows_keep_their_numbers_among_ragged_ones() -> None:
    lines = [order("1"), "2,a\n", order("3", amount="cheap"), "4,a,b,c,d,e,f,g,h\n", order("5", amount="-5")]
    found = orders_of(HEADER + "".join(lines) + order("6"), share=0.9)
    assert [row["order_id"] for row in found] == ["1", "6"]
    ragged = "has another number of fields than the header"
    assert rejected() == [
        (3, "", ragged),
        (4, "amount_cents", "is no int64"),
        (5, "", ragged),
        (6, "amount_cents", "is below 0"),
    ]


def test_row_numbers_hold_over_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.delivery.CSV_BLOCK_BYTES", 1_000)
    lines = [order(str(n)) if n % 97 else f"{n},a\n" for n in range(2, 1_000)]
    orders_of(HEADER + "".join(lines), share=0.9)
    assert [row for row, _, _ in rejected()] == list(range(97, 1_000, 97))


def test_nothing_is_empty_or_a_backslash_n_also_in_quotes() -> None:
    first, second, third = orders_of(HEADER + order("1", amount="\\N") + order("2") + order("3", amount='""'))
    assert (first["amount_cents"], second["model"], third["amount_cents"]) == (None, None, None)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_utf_8_with_or_without_its_mark(mark: str, ending: str) -> None:
    text = mark + (HEADER + order("1", model="Präludium 极光")).replace("\n", ending)
    assert orders_of(text)[0]["model"] == "Präludium 极光"


def test_gb18030_is_refused_in_words_and_read_when_named() -> None:
    content = (HEADER + order("1", model="极光")).encode("gb18030")
    with pytest.raises(BadData, match=r"orders\.csv is not CSV in UTF-8 .* --encoding \(gb18030"):
        orders_of(content)
    assert orders_of(content, "gb18030")[0]["model"] == "极光"
    with pytest.raises(BadData, match="is not CSV in NONSENSE"):
        orders_of(content, "nonsense")


def test_a_file_of_mixed_encodings_is_refused() -> None:
    mixed = (HEADER + order("1", model="极光")).encode() + order("2", model="极光").encode("gb18030")
    with pytest.raises(BadData, match="is not CSV in UTF-8"):
        orders_of(mixed)


def test_a_value_may_hold_commas_quotes_and_lines() -> None:
    assert orders_of(HEADER + order("1", model='"a ""b"", c\nd"') + order("2"))[0]["model"] == 'a "b", c\nd'


def test_a_quote_never_closed_does_not_swallow_the_rest() -> None:
    with pytest.raises(BadData, match=r"orders\.csv opens a quote and never closes it"):
        orders_of(HEADER + order("1", model='"open') + order("2") + order("3"))


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_never_one_column_of_text(separator: str) -> None:
    with pytest.raises(BadData, match="separate the fields by commas"):
        orders_of((HEADER + order("1")).replace(",", separator))


@pytest.mark.parametrize(
    ("header", "said"),
    [("", "not CSV"), ("order_id,order_id\n1,2\n", "'order_id' is there twice"), ("\n\n\n", "not CSV")],
)
def test_a_file_without_a_proper_header_is_refused(header: str, said: str) -> None:
    with pytest.raises(BadData, match=said):
        orders_of(header)


def parquet(name: str, table: pa.Table) -> None:
    Path("in/orders").mkdir(parents=True, exist_ok=True)
    pq.write_table(table, f"in/orders/{name}.parquet")


def test_each_file_is_held_against_the_declaration_not_against_the_first() -> None:
    """The first file lacks an optional column, the second has them in another order, the third lacks a required one."""
    drawn = "order_id customer happened kind amount_cents\n{} a 2024-05-01 order 5"
    one, two, three = (rows("orders", drawn.format(n)).drop(["superseded_at"]) for n in "123")
    people(Path("in"))
    parquet("one", one.drop(["amount_cents"]))
    parquet("two", two.select(two.column_names[::-1]))
    everything = dict.fromkeys(CANONICAL, DELIVERED)
    load(deliveries_in(Path("in")), Path("warehouse"), complete_until=everything, delivered_at=DELIVERED)
    db = connect("warehouse")
    held = db.engine.to_pyarrow(db.tables["orders"].order_by("order_id")).to_pylist()
    assert [row["amount_cents"] for row in held] == [None, 5]
    parquet("three", three.drop(["kind"]))
    with pytest.raises(BadData, match=r"three\.parquet: column 'kind' of orders is missing"):
        load(deliveries_in(Path("in")), Path("warehouse"), complete_until=everything, delivered_at=DELIVERED)


def test_a_parquet_file_cut_off_or_with_a_flipped_bit_is_named() -> None:
    drawn = "order_id customer happened kind\n" + "\n".join(f"{n} a 2024-05-01 order" for n in range(500))
    people(Path("in"))
    Path("in/orders").mkdir()
    file = Path("in/orders/half.parquet")
    pq.write_table(rows("orders", drawn).drop(["superseded_at"]), file, write_page_checksum=True)
    sound = file.read_bytes()
    spoilt = bytearray(sound)
    spoilt[400] ^= 1
    for content in (sound[: len(sound) // 2], bytes(spoilt)):
        file.write_bytes(content)
        with pytest.raises(BadData, match=r"half\.parquet is not a readable Parquet file"):
            load(
                deliveries_in(Path("in")),
                Path("warehouse"),
                complete_until=dict.fromkeys(CANONICAL, DELIVERED),
                delivered_at=DELIVERED,
            )
        assert not Path("warehouse/CURRENT").exists()


def test_text_that_is_no_text_is_refused_by_file() -> None:
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    table = rows("orders", "order_id customer happened kind\n1 a 2024-05-01 order").drop(["superseded_at"])
    people(Path("in"))
    parquet("bytes", table.set_column(table.column_names.index("model"), "model", bad))
    with pytest.raises(BadData, match=r"bytes\.parquet is not a readable Parquet file"):
        load(
            deliveries_in(Path("in")),
            Path("warehouse"),
            complete_until=dict.fromkeys(CANONICAL, DELIVERED),
            delivered_at=DELIVERED,
        )


@pytest.mark.parametrize("malformed", [(), (1,), (3, 4), (2, 5, 9)])
def test_a_table_s_rows_are_numbered_around_the_malformed_ones(malformed: tuple[int, ...]) -> None:
    table = pa.table({"order_id": [str(n) for n in range(6)]})
    (block,) = Delivery(CANONICAL["orders"], "x", table, 1, malformed).open().blocks()
    free = [n for n in range(1, 20) if n not in malformed]
    assert block.column(1).to_pylist() == free[:6]
