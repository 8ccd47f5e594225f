"""The whole catalogue on a crowd: one row each, in a time one can wait for."""

import time

import pytest

from features.cohorts import everyone
from features.feature_set import FEATURES, at
from tests.features.crowd import AS_OF, crowd

CUSTOMERS = 20_000


@pytest.mark.slow
def test_twenty_thousand_customers_with_a_hundred_events_each() -> None:
    warehouse = crowd(CUSTOMERS)
    began = time.monotonic()
    expression = at(everyone(warehouse, [AS_OF]), warehouse, list(FEATURES.values()))
    compiled_s = -began + time.monotonic()
    rows = warehouse.engine.to_pyarrow(expression)
    took_s = time.monotonic() - began
    print(
        f"{rows.num_columns} columns, built in {compiled_s:.1f} s, {rows.num_rows:,} rows in {took_s:.1f} s"
    )
    assert len(set(rows["customer_id"].to_pylist())) == rows.num_rows == CUSTOMERS
    assert took_s < 120  # a shared, busy machine; a quiet one needs a fraction
