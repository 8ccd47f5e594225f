"""Is a delivery plausible? Each source against its own past and against the load before it.

A row that breaks a rule is rejected on its own; these checks find what no single row shows: a source that stopped, ten
times the rows, kilometres that became metres, a column that fell silent. Each says what it measured, what is allowed
and its verdict. Whoever knows better allows it by name, `visits.volume` or `touchpoints.words.kind`, and the load
keeps a record of that.

The limits stand here, beside what they limit. They are meant to catch accidents and to let seasons pass.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from statistics import median, quantiles

from features.profile import Profile
from features.sources import CANONICAL, Source

__all__ = ["Finding", "findings"]

FEWEST_ROWS = 1_000  # a smaller source has no rhythm
FEWEST_ROWS_COMPARED = 200  # in each of two periods, before their columns are compared
RHYTHM_WEEKS = 8
FEWEST_USUAL = 30  # rows of a usual day or week; fewer come and go by chance
WEEK_RATIO = (1 / 3, 3.0)  # a week's rows over those of a usual week
DAY_RATIO = (0.2, 5.0)  # a day's rows over those of the same weekday
# Days of the last week, but for the very last, that may be quiet without any such day in the history.
QUIET_DAYS = 2
BEYOND_THE_YEAR = (0.5, 1.5)  # and beyond what the year's quietest and busiest days, holidays among them, had
HISTORY_RATIO = (0.9, 1.1)  # rows of the days that the load before held already
UNKNOWN_SHARE = 0.2  # of recent words neither declared nor seen by the load before
NULL_RISE = 0.5
CONSTANT_SHARE = 0.9  # a value that nearly all rows held before may be all there is
SHIFT_SD = 5.0
UNIT_RATIO = (0.1, 10.0)  # of medians: cents to yuan, seconds to milliseconds, kilometres to metres


@dataclass(frozen=True)
class Finding:
    """What a check found; `verdict` is ok, stop, allowed (it would stop, and somebody allowed it) or not judged."""

    source: str
    check: str
    measured: str
    allowed: str
    verdict: str = "ok"
    column: str = ""

    @property
    def name(self) -> str:
        return ".".join(part for part in (self.source, self.check, self.column) if part)

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def findings(
    profiles: Mapping[str, Profile],
    complete_until: Mapping[str, datetime],
    delivered_at: datetime,
    before: Mapping[str, Profile],
    allow: Collection[str] = (),
    unknown_share: float = UNKNOWN_SHARE,
) -> list[Finding]:
    """All checks of all sources. `before` has the profiles of the load that this one would replace."""
    last_day = min(delivered_at, max(complete_until[name] for name in profiles)).date() - timedelta(days=1)
    found: list[Finding] = []
    for name, profile in profiles.items():
        source, earlier = CANONICAL[name], before.get(name) or {}
        found += [_freshness(source, profile, complete_until[name]), *_volume(name, profile, last_day)]
        found += _history(name, profile, earlier)
        found += _words(source, profile, earlier, unknown_share)
        for then, now in (("before", "recent"), ("earlier", "all")):
            found += _columns(source, profile, earlier, then, now)
    return [_pardoned(finding, allow) for finding in found]


def _pardoned(finding: Finding, allow: Collection[str]) -> Finding:
    forgiven = any(f"{finding.name}.".startswith(f"{name}.") for name in allow)
    return replace(finding, verdict="allowed") if finding.verdict == "stop" and forgiven else finding


def _freshness(source: Source, profile: Profile, until: datetime) -> Finding:
    """Said to be complete until then: do its rows reach there?"""
    if source.fresh_days is None or profile["rows"] < FEWEST_ROWS:
        return Finding(source.name, "freshness", _ago(profile, until), "-", "not judged")
    late = until - datetime.fromisoformat(profile["newest"]) > timedelta(days=source.fresh_days)
    allowed = f"within {source.fresh_days} days of {until:%Y-%m-%d}"
    return Finding(source.name, "freshness", _ago(profile, until), allowed, _verdict(late))


def _ago(profile: Profile, until: datetime) -> str:
    if not profile["newest"]:
        return "no rows"
    newest = datetime.fromisoformat(profile["newest"])
    return f"newest row {newest:%Y-%m-%d}, complete until {until:%Y-%m-%d}"


def _volume(name: str, profile: Profile, last: date) -> Iterator[Finding]:
    """The last seven days, together and each, against eight weeks of the same and the year's extremes."""
    days = {date.fromisoformat(day): count for day, count in profile["days"].items()}
    known = [days.get(last - timedelta(days=n), 0) for n in range(400)]
    began = min(days, default=last)
    if (last - began).days < 7 * (RHYTHM_WEEKS + 1):
        yield Finding(name, "volume", f"{len(days):,} days of history", "-", "not judged")
        return
    past = known[7 : (last - began).days + 1]
    weeks = [sum(past[n : n + 7]) for n in range(len(past) - 6)]
    usual = median(weeks[0 : 7 * RHYTHM_WEEKS : 7])
    yield _judged_volume(name, "the last week", sum(known[:7]), usual, weeks, WEEK_RATIO)
    ratios = [(n, median(past[n : n + 7 * RHYTHM_WEEKS : 7])) for n in range(7)]
    judged = [
        _judged_volume(name, f"{last - timedelta(days=n)}", known[n], expected, past, DAY_RATIO)
        for n, expected in ratios
    ]
    quiet = [n for n, usual in ratios if judged[n].verdict == "stop" and known[n] < usual]
    if len(quiet) <= QUIET_DAYS and 0 not in quiet:  # a holiday; but a last day cut short is no holiday
        judged = [finding for n, finding in enumerate(judged) if n not in quiet]
    yield min(judged, key=lambda finding: ("stop", "ok", "not judged").index(finding.verdict))


def _judged_volume(
    name: str, when: str, rows: int, usual: float, year: list[int], allowed: tuple[float, float]
) -> Finding:
    measured = f"{rows:,} rows in {when}; usual are {usual:,.0f}"
    if usual < FEWEST_USUAL:
        return Finding(name, "volume", measured, "-", "not judged")
    marks = quantiles(year, n=50)
    low = min(allowed[0] * usual, BEYOND_THE_YEAR[0] * marks[0])
    high = max(allowed[1] * usual, BEYOND_THE_YEAR[1] * marks[-1])
    return Finding(name, "volume", measured, f"{low:,.0f} to {high:,.0f}", _verdict(not low <= rows <= high))


def _history(name: str, profile: Profile, earlier: Profile) -> Iterator[Finding]:
    """Days that the load before held already hold about as many rows as they did."""
    days = earlier.get("days", {})
    settled = sorted(days)[:-1]  # its last day may have been half over
    had, has = (sum(counts.get(day, 0) for day in settled) for counts in (days, profile["days"]))
    if had < FEWEST_ROWS:
        return
    low, high = HISTORY_RATIO
    measured = f"{has:,} rows known through {settled[-1]}; the load before had {had:,}"
    yield Finding(
        name, "history", measured, f"{low:g} to {high:g} times", _verdict(not low <= has / had <= high)
    )


def _words(source: Source, profile: Profile, earlier: Profile, allowed: float) -> Iterator[Finding]:
    """The share of recent rows whose word nobody declared and the load before did not hold."""
    for column in source.columns:
        now = profile["columns"].get(column.name, {}).get("recent")
        if not column.usual or not now or not now["told"]:
            continue
        seen = (_period(earlier, column.name, "all") or {}).get("words", {})
        known = sum(count for word, count in now["words"].items() if word in column.usual or word in seen)
        share = (now["told"] - known) / now["told"]
        verdict = _verdict(share > allowed) if now["told"] >= FEWEST_ROWS_COMPARED else "not judged"
        measured = f"{share:.1%} of recent rows hold unknown words"
        yield Finding(source.name, "words", measured, f"{allowed:.0%}", verdict, column.name)


def _columns(source: Source, profile: Profile, earlier: Profile, then: str, now: str) -> Iterator[Finding]:
    """Each column in one period against another: of its own past, or of the load before."""
    against = "before" if then == "before" else "in the load before"
    for column in source.columns:
        new = _period(profile, column.name, now)
        old = _period(*((profile, column.name, then) if then == "before" else (earlier, column.name, "all")))
        if not new or not old or min(new["rows"], old["rows"]) < FEWEST_ROWS_COMPARED:
            continue
        for check in (_nulls, _constant, _shift, _unit):
            if made := check(new, old):
                measured, allowed, bad = made
                name = check.__name__.strip("_")
                yield Finding(source.name, name, f"{measured} {against}", allowed, _verdict(bad), column.name)


def _period(profile: Profile, column: str, period: str) -> Profile | None:
    found: Profile | None = profile.get("columns", {}).get(column, {}).get(period)
    return found


Compared = tuple[str, str, bool] | None


def _nulls(new: Profile, old: Profile) -> Compared:
    now, then = (1 - period["told"] / period["rows"] for period in (new, old))
    return f"{now:.1%} null, {then:.1%}", f"up by {NULL_RISE:.0%}", now - then > NULL_RISE


def _constant(new: Profile, old: Profile) -> Compared:
    if _both_tell_numbers(new, old):
        far = abs(new["mean"] - old["mean"]) > 0.5 * old["sd"] > 0
        return (
            "from {least:,} to {greatest:,}".format(**new),
            "not all the same",
            new["least"] == new["greatest"] and far,
        )
    words = old.get("words")
    if not words or not new.get("words") or new["told"] < FEWEST_ROWS_COMPARED:
        return None
    top = max(new["words"], key=lambda word: new["words"][word])
    share, was = new["words"][top] / new["told"], words.get(top, 0) / max(old["told"], 1)
    bad = len(words) > 1 and share == 1.0 and was < CONSTANT_SHARE
    return f"the most frequent word in {share:.1%}, {was:.1%}", "not all the same", bad


def _shift(new: Profile, old: Profile) -> Compared:
    if not _both_tell_numbers(new, old):
        return None
    spread = max(old["sd"], 0.05 * abs(old["mean"])) or 1.0
    moved = abs(new["mean"] - old["mean"]) / spread
    measured = f"mean {new['mean']:,.4g}, {old['mean']:,.4g} ({moved:.1f} deviations)"
    return measured, f"{SHIFT_SD:g} deviations", moved > SHIFT_SD


def _unit(new: Profile, old: Profile) -> Compared:
    if not _both_tell_numbers(new, old) or min(new["median"], old["median"]) <= 0:
        return None
    ratio = new["median"] / old["median"]
    low, high = UNIT_RATIO
    measured = f"median {new['median']:,}, {old['median']:,}"
    return measured, f"{low:g} to {high:g} times", not low < ratio < high


def _both_tell_numbers(new: Profile, old: Profile) -> bool:
    return "mean" in new and "mean" in old and min(new["told"], old["told"]) >= FEWEST_ROWS_COMPARED


def _verdict(bad: bool) -> str:
    return "stop" if bad else "ok"
