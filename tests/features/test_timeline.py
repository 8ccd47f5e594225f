"""Dates and windows as people write them."""

from datetime import date, datetime

import pytest

from features.errors import OpenWindow, UnknownMoment
from features.timeline import latest_closed, midnight, moment_named, months, require_closed

LEDGER = {"orders": datetime(2024, 6, 30), "visits": datetime(2024, 5, 1)}


def test_midnight_reads_dates_in_any_form() -> None:
    assert midnight("1997-10-01") == midnight(date(1997, 10, 1)) == datetime(1997, 10, 1)


def test_months_step_over_the_end_of_a_year() -> None:
    assert months("2023-11-01", "2024-02-15") == [
        datetime(2023, 11, 1),
        datetime(2023, 12, 1),
        datetime(2024, 1, 1),
        datetime(2024, 2, 1),
    ]
    assert months("2023-11-01", "2024-05-01", step=3) == [
        datetime(2023, 11, 1),
        datetime(2024, 2, 1),
        datetime(2024, 5, 1),
    ]


def test_the_source_that_lags_decides_what_is_closed() -> None:
    assert latest_closed(LEDGER, ["orders"], horizon_days=30) == datetime(2024, 5, 31)
    assert latest_closed(LEDGER, ["orders", "visits"], horizon_days=30, gap_days=1) == datetime(2024, 3, 31)
    with pytest.raises(
        OpenWindow, match=r"visits are complete only to 2024-05-01.*Latest usable date: 2024-04-01"
    ):
        require_closed([datetime(2024, 4, 2)], LEDGER, ["orders", "visits"], horizon_days=30)
    require_closed([datetime(2024, 4, 1)], LEDGER, ["orders", "visits"], horizon_days=30)


@pytest.mark.parametrize("text", ["yesterday", "2024-02-30", "", "01/02/2024"])
def test_a_text_that_is_no_moment_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(UnknownMoment, match="give a date such as"):
        moment_named(text, datetime(2024, 1, 1))
    assert moment_named("latest", datetime(2024, 1, 1)) == datetime(2024, 1, 1)
