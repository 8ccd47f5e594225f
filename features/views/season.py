"""Season: what the moment's own date says, the same for everybody. It reads no rows, so absence means nothing here."""

from datetime import date
from typing import Any

import ibis

from features.feature import Feature

__all__ = ["FEATURES", "SPRING_FESTIVALS"]

# First day of the lunar year. The sales calendar turns around it: a rush before, a lull after.
SPRING_FESTIVALS = (
    "1996-02-19", "1997-02-07", "1998-01-28", "1999-02-16", "2000-02-05", "2001-01-24", "2002-02-12",
    "2003-02-01", "2004-01-22", "2005-02-09", "2006-01-29", "2007-02-18", "2008-02-07", "2009-01-26",
    "2010-02-14", "2011-02-03", "2012-01-23", "2013-02-10", "2014-01-31", "2015-02-19", "2016-02-08",
    "2017-01-28", "2018-02-16", "2019-02-05", "2020-01-25", "2021-02-12", "2022-02-01", "2023-01-22",
    "2024-02-10", "2025-01-29", "2026-02-17", "2027-02-06", "2028-01-26", "2029-02-13", "2030-02-03",
    "2031-01-23", "2032-02-11", "2033-01-31", "2034-02-19", "2035-02-08", "2036-01-28",
)  # fmt: skip
DAYS = tuple((date.fromisoformat(day) - date(1970, 1, 1)).days for day in SPRING_FESTIVALS)
LONGEST_LUNAR_YEAR_DAYS = 385


def days_to_festival(past: Any) -> Any:
    today = past.today.day
    after = [(today <= day, day - today) for day in DAYS]
    return ibis.cases((today <= DAYS[0] - LONGEST_LUNAR_YEAR_DAYS, None), *after, else_=ibis.null("int64"))


def days_since_festival(past: Any) -> Any:
    today = past.today.day
    before = [(today >= day, today - day) for day in reversed(DAYS)]
    return ibis.cases((today >= DAYS[-1] + LONGEST_LUNAR_YEAR_DAYS, None), *before, else_=ibis.null("int64"))


FEATURES = (
    Feature(
        "month",
        lambda past: past.today.month,
        unit="month",
        nothing=None,
        concept="season",
        en="Month of the year",
        zh="月份",
    ),
    Feature(
        "month_of_quarter",
        lambda past: (past.today.month - 1) % 3 + 1,
        unit="month",
        nothing=None,
        concept="season",
        en="Month of the quarter, 3 is when sales targets close",
        zh="季度内第几个月，3为冲量月",
    ),
    Feature(
        "days_to_spring_festival",
        days_to_festival,
        unit="days",
        nothing=None,
        concept="season",
        en="Days to the next Spring Festival",
        zh="距下一个春节的天数",
    ),
    Feature(
        "days_since_spring_festival",
        days_since_festival,
        unit="days",
        nothing=None,
        concept="season",
        en="Days since the last Spring Festival",
        zh="距上一个春节的天数",
    ),
)
