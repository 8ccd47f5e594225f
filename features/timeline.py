"""Time, in one place: nothing else in the product compares timestamps.

    past(as_of)                               future(as_of, horizon, gap)
    ─────────────────────────)        gap     [─────────── horizon ───────────)
                             as_of            as_of + gap                     as_of + gap + horizon

An event is in the **past** of a moment when it happened before `as_of` *and* was known before `as_of`
*and* no correction of it was known before `as_of`. It is in the **future** when it happened in the
half-open outcome window, whenever we learned of it, in its latest version; such a window may be asked
about only when it is closed, that is, when the sources it watches are complete to its end.

Times are naive UTC with whole seconds; a day is 86,400 of them. A moment may be any second of a day:
the nightly batch uses midnight, a live request uses now.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from features.errors import OpenWindow, UnknownMoment

__all__ = [
    "DAY_S",
    "MOMENTS",
    "Today",
    "around",
    "dated_before",
    "earliest_within_s",
    "first_after",
    "future",
    "held_at",
    "instants",
    "latest_closed",
    "midnight",
    "moment_named",
    "months",
    "past",
    "require_closed",
    "seconds",
    "seconds_since_known",
    "seconds_until",
    "seen_from",
    "seen_on",
    "spread",
    "within",
    "within_next",
]

DAY_S = 86_400
MOMENTS = pa.schema([("customer_id", pa.string()), ("as_of", pa.timestamp("us"))])


def past(moments: ir.Table, events: ir.Table) -> ir.Table:
    """Each moment's rows of `events` known strictly before it, with `as_of` and `age_s`, seconds before it.

    `moments` has (customer_id, as_of). Moments without such rows have no rows here.
    """
    rows = _known_before(moments.inner_join(events, "customer_id"))
    return rows.mutate(
        age_s=_seconds(rows.as_of) - _seconds(rows.happened_at), day=_seconds(rows.happened_at) // DAY_S
    )


def seen_on(dates: Iterable[datetime], events: ir.Table) -> ir.Table:
    """Everybody's rows of `events` known strictly before each of the dates, with `as_of`: `past` without asking of whom."""
    return _known_before(events.cross_join(instants(dates)))


def _known_before(rows: ir.Table) -> ir.Table:
    return rows.filter(
        rows.happened_at < rows.as_of,
        rows.known_at < rows.as_of,
        rows.superseded_at.isnull() | (rows.superseded_at >= rows.as_of),
    )


def first_after(dates: np.ndarray, instants: np.ndarray) -> np.ndarray:
    """The place of the first of the dates, in order, that lies after each instant: a row known then is seen from that
    date on, one superseded then no longer. datetime64; after nothing (NaT) there is no date."""
    if len(dates) == 1:
        return np.where(instants < dates[0], 0, 1)
    return np.searchsorted(dates, instants, side="right")


def earliest_within_s(as_of_s: np.ndarray, days: int) -> np.ndarray:
    """The earliest second that `within` lets in, for moments held as an array."""
    return as_of_s - days * DAY_S


def seconds(instants: np.ndarray) -> np.ndarray:
    """Whole seconds since 1970 of datetime64[us] values, rounded as the engine does; NaT gives some number."""
    return np.rint(instants.view(np.int64) / 1e6).astype(np.int64)


def seen_from(rows: ir.Table, as_of: datetime) -> ir.Table:
    """The same rows as they look from another moment: their `as_of` and `age_s` are those of that moment."""
    moment = ibis.literal(as_of, "timestamp(6)")
    return rows.mutate(as_of=moment, age_s=_seconds(moment) - _seconds(rows.happened_at))


def future(moments: ir.Table, events: ir.Table, *, horizon_days: int, gap_days: int = 0) -> ir.Table:
    """Each moment's rows of `events` that happen in its outcome window, latest versions only.

    `age_s` counts seconds from the opening of the window.
    """
    rows = moments.inner_join(events, "customer_id")
    since_s = _seconds(rows.happened_at) - _seconds(rows.as_of) - gap_days * DAY_S
    rows = rows.mutate(age_s=since_s, day=_seconds(rows.happened_at) // DAY_S)
    return rows.filter(rows.superseded_at.isnull(), rows.age_s >= 0, rows.age_s < horizon_days * DAY_S)


def held_at(events: ir.Table, moment: datetime) -> ir.Table:
    """The rows of `events` as they lay in our systems at `moment`: what was not known yet is gone, and a row whose
    correction came later does not say so. It stands apart from `past`, so that one can be held against the other."""
    held = events.filter(events.happened_at < moment, events.known_at < moment)
    corrected = ibis.ifelse(
        held.superseded_at < moment, held.superseded_at, ibis.null(held.superseded_at.type())
    )
    return held.mutate(superseded_at=corrected)


def dated_before(rows: ir.Table, instant: datetime) -> ir.Table:
    """The rows that say they were known before an instant."""
    return rows.filter(rows.known_at < instant)


def seconds_since_known(rows: ir.Table, instant: ir.Value) -> ir.IntegerValue:
    """Whole seconds from when a row was known to an instant; negative when that lies before."""
    return _seconds(instant) - _seconds(rows.known_at)


def within(rows: Any, days: int) -> Any:
    """Whether a past row lies in `[as_of - days, as_of)`, a future row in the window's first `days`."""
    return rows.age_s <= days * DAY_S


def seconds_until(rows: ir.Table, column: str) -> ir.IntegerValue:
    """Whole seconds from the moment to a timestamp column; negative when it lies before."""
    return _seconds(rows[column]) - _seconds(rows.as_of)


def within_next(rows: ir.Table, column: str, days: int | None = None) -> ir.BooleanValue:
    """Whether a timestamp column lies in `[as_of, as_of + days)`; at any time from `as_of` on when `days` is None."""
    until_s = seconds_until(rows, column)
    return until_s >= 0 if days is None else (until_s >= 0) & (until_s < days * DAY_S)


def around(
    one: ir.TimestampColumn, other: ir.TimestampColumn, *, before_days: int, after_days: int
) -> ir.BooleanValue:
    """Whether the other instant lies in `[one - before_days, one + after_days)`."""
    apart_s = _seconds(other) - _seconds(one)
    return (apart_s >= -before_days * DAY_S) & (apart_s < after_days * DAY_S)


class Today:
    """The moment's own date, as deferred integers: all that a definition may know of the calendar."""

    @property
    def day(self) -> Any:
        """Days since 1970-01-01."""
        return ibis._.as_of.epoch_seconds().cast("int64") // DAY_S

    @property
    def month(self) -> Any:
        """1 to 12."""
        return ibis._.as_of.month().cast("int64")

    @property
    def year(self) -> Any:
        return ibis._.as_of.year().cast("int64")


def _seconds(instant: ir.Value) -> ir.IntegerValue:
    return instant.epoch_seconds().cast("int64")


def midnight(day: date | datetime | str) -> datetime:
    """The moment at which a date begins: `"1997-10-01"` sees everything through 30 September.

    Raises `ValueError` for text that is no ISO date.
    """
    if isinstance(day, str):
        day = datetime.fromisoformat(day)
    if isinstance(day, datetime):
        return day.replace(tzinfo=None)
    return datetime(day.year, day.month, day.day)


def moment_named(text: str, latest: datetime) -> datetime:
    """A moment as a command line names it: an ISO date or time, or `latest`.

    Raises `UnknownMoment` for anything else.
    """
    if text == "latest":
        return latest
    try:
        return midnight(text)
    except ValueError as error:
        raise UnknownMoment(f"{text!r} is no moment: give a date such as 2024-06-01, or latest") from error


def months(first: date | datetime | str, last: date | datetime | str, step: int = 1) -> list[datetime]:
    """The first midnight of every `step`-th month from `first` to `last`, both included."""
    moment, end = midnight(first), midnight(last)
    found = []
    while moment <= end:
        found.append(moment)
        years, month = divmod(moment.month - 1 + step, 12)
        moment = moment.replace(year=moment.year + years, month=month + 1)
    return found


def spread(first: datetime, last: datetime, count: int) -> list[datetime]:
    """`count` midnights spread evenly between two instants, the first a third of the way."""
    step = (last - first) * 2 / 3 / count
    return [midnight((last - step * left).date()) for left in range(count, 0, -1)]


def latest_closed(
    complete_until: Mapping[str, datetime], sources: Iterable[str], *, horizon_days: int, gap_days: int = 0
) -> datetime:
    """The latest moment whose outcome window is closed in all of `sources`.

    `complete_until` is the maturity ledger: before that instant, a source's events are all known.
    """
    return min(complete_until[name] for name in sources) - timedelta(days=horizon_days + gap_days)


def require_closed(
    dates: Iterable[datetime],
    complete_until: Mapping[str, datetime],
    sources: Iterable[str],
    *,
    horizon_days: int,
    gap_days: int = 0,
) -> None:
    """Raise `OpenWindow`, naming the latest usable date, if any date's outcome window is still open."""
    watched = sorted(sources)
    latest = latest_closed(complete_until, watched, horizon_days=horizon_days, gap_days=gap_days)
    for moment in dates:
        if moment > latest:
            lagging = min(watched, key=lambda name: complete_until[name])
            raise OpenWindow(
                f"the outcome of {moment:%Y-%m-%d} needs {horizon_days} days after a gap of {gap_days}, but "
                f"{lagging} are complete only to {complete_until[lagging]:%Y-%m-%d}. "
                f"Latest usable date: {latest:%Y-%m-%d}"
            )


def instants(dates: Iterable[datetime]) -> ir.Table:
    """A table of the distinct `as_of`s."""
    return ibis.memtable({"as_of": sorted(set(dates))}, schema={"as_of": "timestamp(6)"})
