"""Nightly rows: everyone, sorted, found by customer, never rewritten."""

from datetime import datetime
from pathlib import Path

import pytest

import features
from features import cohorts, nightly
from features.errors import BadData, NoWarehouse
from features.warehouse import in_memory
from tests.shop import END, customers_and_orders

WAREHOUSE = in_memory(customers_and_orders(300), {})


def test_rows_are_those_of_features_at_and_hold_everyone() -> None:
    made = nightly.materialise(WAREHOUSE, END, Path("rows"))
    moments = cohorts.everyone(WAREHOUSE, [END])
    expected = WAREHOUSE.engine.to_pyarrow(features.at(moments, WAREHOUSE).order_by("customer_id")).drop(
        ["as_of"]
    )
    assert made.table().select(expected.column_names).to_pylist() == expected.to_pylist()
    assert len(made) == 300


def test_a_customer_is_found_and_a_stranger_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nightly, "ROWS_PER_BATCH", 64)
    made = nightly.materialise(WAREHOUSE, END, Path("rows"))
    ids = made.table()["customer_id"].to_pylist()
    assert ids == sorted(ids)
    assert len(made.batches) > 1
    asked = ["zzz", ids[299], "", ids[0], "C00010x", ids[64], ids[63]]
    assert made.find(asked)["customer_id"].to_pylist() == [ids[299], ids[0], ids[64], ids[63]]
    assert made.find(["nobody"]).num_rows == 0


def test_the_pointer_moves_and_an_open_reader_keeps_its_rows() -> None:
    old = nightly.materialise(WAREHOUSE, datetime(2023, 1, 1), Path("rows"))
    before = old.table().to_pylist()
    for _ in range(3):
        nightly.materialise(WAREHOUSE, END, Path("rows"))
    assert nightly.latest(Path("rows")).as_of == END
    assert old.table().to_pylist() == before
    assert len(list(Path("rows").glob("rows-*"))) == 2


def test_a_date_before_anybody_was_known_is_refused_and_leaves_nothing() -> None:
    with pytest.raises(BadData, match="nobody is known before 2020-01-01"):
        nightly.materialise(WAREHOUSE, datetime(2020, 1, 1), Path("rows"))
    assert list(Path("rows").iterdir()) == []
    with pytest.raises(NoWarehouse, match=r"features\.nightly"):
        nightly.latest(Path("rows"))
