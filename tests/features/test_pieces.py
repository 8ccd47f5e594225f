"""In pieces of customers an answer is what it is in one go."""

import pyarrow as pa
import pytest

from features.cohorts import everyone
from features.feature_set import at
from features.pieces import in_pieces
from tests.features.crowd import AS_OF, crowd


@pytest.mark.parametrize("customers_per_piece", [2, 50])
def test_pieces_make_up_the_whole(customers_per_piece: int) -> None:
    warehouse = crowd(5)
    whole = at(everyone(warehouse, [AS_OF]), warehouse).order_by("customer_id").to_pyarrow()
    pieces = in_pieces(
        lambda narrowed: at(everyone(narrowed, [AS_OF]), narrowed).order_by("customer_id"),
        warehouse,
        customers_per_piece,
    )
    assert pa.Table.from_batches(pieces).equals(whole)


def test_an_empty_base_has_no_pieces() -> None:
    warehouse = crowd(0)
    assert list(in_pieces(lambda narrowed: everyone(narrowed, [AS_OF]), warehouse)) == []
