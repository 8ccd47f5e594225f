"""Order features as tables: what is there, what each customer's row must say. The moment is 2024-06-01 00:00."""

from datetime import datetime

import pyarrow as pa
import pytest

from features.live import Live
from tests.tables import rows

AS_OF = datetime(2024, 6, 1)
LIVE = Live(["customers", "orders"], without_consents="invented rows")


def told(drawn: str, *names: str) -> dict[str, tuple[float | None, ...]]:
    """The named features of every customer in the table, and of one without orders, `nobody`."""
    orders = rows("orders", drawn)
    customers = sorted({*orders["customer_id"].to_pylist(), "nobody"})
    moments = pa.table(
        {"customer_id": customers, "as_of": pa.array([AS_OF] * len(customers), pa.timestamp("us"))}
    )
    answered = LIVE.rows(moments, {"orders": orders}).to_pylist()
    return {row["customer_id"]: tuple(row[name] for name in names) for row in answered}


def test_recency_counts_whole_days_and_ignores_the_moment_itself() -> None:
    drawn = """
    order_id customer happened             kind
    1        a        2024-05-31           order
    2        a        2024-01-01           order
    3        b        2024-05-31T23:59:59  order
    4        c        2024-06-01           order
    """
    assert told(drawn, "days_since_order", "days_since_first_order") == {
        "a": (1, 152),
        "b": (0, 0),
        "c": (None, None),
        "nobody": (None, None),
    }


def test_windows_begin_exactly_that_many_days_before() -> None:
    drawn = """
    order_id customer happened             kind   amount_cents
    1        a        2024-05-02T00:00:00  order  100
    2        a        2024-05-01T23:59:59  order  20
    3        a        2024-03-03T00:00:00  order  3
    """
    names = (
        "orders_30d",
        "orders_90d",
        "order_value_30d_cents",
        "order_value_90d_cents",
        "order_value_ever_cents",
    )
    assert told(drawn, *names)["a"] == (1, 3, 100, 123, 123)


def test_what_became_known_too_late_is_not_seen() -> None:
    drawn = """
    order_id customer happened    known       kind
    1        a        2024-05-01  2024-05-01  order
    2        a        2024-05-20  2024-05-31  order
    3        a        2024-05-25  2024-06-01  order
    4        a        2024-05-26  2024-06-09  order
    """
    assert told(drawn, "orders_ever", "days_since_order")["a"] == (2, 12)


def test_a_correction_counts_from_the_day_it_is_known() -> None:
    drawn = """
    order_id customer happened    known       superseded  kind   amount_cents
    1        a        2024-05-01  2024-05-01  2024-05-10  order  999
    1        a        2024-05-01  2024-05-10  -           order  100
    2        b        2024-05-01  2024-05-01  2024-06-10  order  999
    2        b        2024-05-01  2024-06-10  -           order  100
    """
    answers = told(drawn, "orders_ever", "order_value_ever_cents")
    assert (answers["a"], answers["b"]) == ((1, 100), (1, 999))


def test_rhythm_is_between_days_not_between_orders() -> None:
    drawn = """
    order_id customer happened             kind
    1        a        2024-01-01T08:00:00  order
    2        a        2024-01-01T20:00:00  order
    3        a        2024-01-11           order
    4        a        2024-01-31           order
    5        b        2024-01-01           order
    """
    names = (
        "mean_days_between_orders",
        "sd_days_between_orders",
        "longest_days_between_orders",
        "order_overdue_ratio",
    )
    answers = told(drawn, *names)
    assert answers["a"] == (15.0, 5.0, 20, pytest.approx(122 / 15))
    assert answers["b"] == (None, None, None, None)


def test_a_change_compares_with_as_many_days_before() -> None:
    drawn = """
    order_id customer happened    kind   amount_cents
    1        a        2024-05-20  order  50
    2        a        2024-04-20  order  20
    3        a        2024-04-10  order  10
    4        b        2024-02-01  order  70
    """
    answers = told(drawn, "orders_change_30d", "orders_change_90d", "order_value_change_90d_cents")
    assert (answers["a"], answers["b"]) == ((-1, 3, 80), (0, -1, -70))


def test_a_discount_counts_beside_the_value_and_as_a_share_of_the_full_price_where_it_is_told() -> None:
    drawn = """
    order_id customer happened    kind          amount_cents  discount_cents
    1        a        2024-05-20  order         70            30
    2        a        2023-12-20  order         100           0
    3        a        2023-11-20  order         900           -
    4        a        2023-01-20  order         100           50
    5        b        2024-05-01  order         100           -
    6        c        2024-05-01  order         0             0
    7        d        2024-05-01  cancellation  70            30
    """
    names = ("order_discount_90d_cents", "order_discount_ever_cents", "order_discount_share_365d")
    answers = told(drawn, *names)
    assert answers["a"] == (30, 80, pytest.approx(0.15))
    assert {answers[who] for who in ("b", "c", "d", "nobody")} == {(0, 0, None)}


def test_cancellations_are_no_orders() -> None:
    drawn = """
    order_id customer happened    kind          cancels
    1        a        2024-05-01  order         -
    2        a        2024-05-02  cancellation  1
    """
    assert told(drawn, "orders_ever", "cancellations_365d")["a"] == (1, 1)


def test_the_last_order_is_the_one_known_later_when_two_are_at_once() -> None:
    drawn = """
    order_id customer happened    known       kind   amount_cents
    1        a        2024-05-01  2024-05-02  order  10
    2        a        2024-05-01  2024-05-01  order  20
    4        b        2024-05-01  2024-05-01  order  40
    3        b        2024-05-01  2024-05-01  order  30
    """
    answers = told(drawn, "last_order_value_cents")
    assert (answers["a"], answers["b"]) == ((10,), (40,))
