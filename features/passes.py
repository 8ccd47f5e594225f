"""How the needs of one source become few group-bys over its rows.

    spread     counts, sums, least and greatest: group once by (moment, kind, ...), with every window, then spread
               the kinds into columns; a wide query of as many filtered aggregates costs several times more
    distinct   different values per window: group by (moment, value) with the newest age of each, then count
    latest     the newest rows of the selection, found by their age alone; only ties among those few are sorted
    rhythm     days against the day before: first each day once, so that few rows are sorted, by one number
    compared   a row against the one before it: only rows of the selection, in one window
    wide       the rest: one aggregate per need

Each pass gives a table keyed by moment; what it does not hold for a moment is nothing.
"""

from collections.abc import Iterable, Mapping

import ibis
import ibis.expr.types as ir

from features.needs import Mark, Need, Selection
from features.sources import CANONICAL
from features.timeline import within

__all__ = ["KEYS", "passes"]

KEYS = ("customer_id", "as_of")
Asked = Mapping[str, Need]  # by the name under which it is delivered
SPREAD = {"count": "sum", "sum": "sum", "min": "min", "max": "max"}


def passes(rows: ir.Table, needs: Iterable[Need]) -> list[ir.Table]:
    """Tables keyed by moment that together hold a column for every need."""
    rows, asked = _in_common(rows, {need.name: need for need in needs})
    groups: dict[tuple[str, object], dict[str, Need]] = {}
    for name, need in asked.items():
        groups.setdefault(_kind(need), {})[name] = need
    made = {
        "spread": _spread, "distinct": _distinct, "latest": _latest, "rhythm": _rhythm, "compared": _compared,
        "wide": _wide,
    }  # fmt: skip
    return [made[kind](rows, some) for (kind, _), some in groups.items()]


def _in_common(rows: ir.Table, asked: Asked) -> tuple[ir.Table, Asked]:
    """The rows and columns that any need reads, held once for all passes, and the needs without the tests that
    all of them share and these rows have passed."""
    selections = [need.selection for need in asked.values()]
    shared = set.intersection(*(set(selection.where) for selection in selections))
    if any(selection.newest_per or selection.since for selection in selections):
        shared = set()  # their marks look at rows beyond the selection
    source = CANONICAL[selections[0].source]
    read = frozenset({"known_at", source.key}.union(*(need.columns for need in asked.values())))
    kept = _where(rows, shared).select(*KEYS, "age_s", "day", *sorted(read - {*KEYS, "age_s", "day"}))
    # Without a name of its own the filter would be repeated in every pass.
    held = kept.alias(ibis.util.gen_name(f"past_of_{source.name}"))
    return held, {name: need.without(shared) for name, need in asked.items()}


def _kind(need: Need) -> tuple[str, object]:
    """Which pass a need belongs to, and with whom it can share one."""
    selection = need.selection
    if need.how == "latest":
        return "latest", (selection, need.days)
    if selection != Selection(selection.source, selection.owner, selection.where):
        return "wide", None
    if need.how == "distinct":
        return "distinct", (need.column, selection)
    if need.compares:
        rhythm = need.column == "day" and need.days is None and not need.per
        return "rhythm" if rhythm else "compared", selection
    if need.how in SPREAD and not need.reads_a_timestamp:
        return "spread", tuple(column for column, _ in selection.where)
    return "wide", None


def _spread(rows: ir.Table, asked: Asked) -> ir.Table:
    shared = set.intersection(*(set(need.selection.where) for need in asked.values()))
    apart = sorted({column for need in asked.values() for column, _ in set(need.selection.where) - shared})
    kept = _recent(_where(rows, shared), asked)
    for column in apart:
        kept = kept.filter(kept[column].isin(_values(column, asked.values())))
    measured = {_measure_name(need): need.anywhere() for need in asked.values()}
    measures = {name: need.measure(kept) for name, need in measured.items()}
    if not apart:
        found = kept.group_by(*KEYS).aggregate(**measures)
        return found.select(*KEYS, **{name: found[_measure_name(need)] for name, need in asked.items()})
    by_kind = kept.group_by(*KEYS, *apart).aggregate(**measures)
    gathered = {name: _gathered(by_kind, need, apart) for name, need in asked.items()}
    return by_kind.group_by(*KEYS).aggregate(**gathered)


def _values(column: str, needs: Iterable[Need]) -> list[str]:
    """All values of a column that any need looks for."""
    tests = (test for need in needs for test in need.selection.where)
    return sorted({value for name, values in tests if name == column for value in values})


def _gathered(by_kind: ir.Table, need: Need, apart: list[str]) -> ir.Value:
    """A need from the rows of its kinds. A chosen value costs engines less than a filtered aggregate, and the
    greatest of one value less than its sum."""
    tests = [(column, values) for column, values in need.selection.where if column in apart]
    value = by_kind[_measure_name(need)]
    if not tests:
        return getattr(value, SPREAD[need.how])()
    chosen = ibis.ifelse(
        ibis.and_(*(by_kind[c].isin(values) for c, values in tests)), value, ibis.null(value.type())
    )
    one_row = len(tests) == len(apart) and all(len(values) == 1 for _, values in tests)
    return chosen.max() if one_row else getattr(chosen, SPREAD[need.how])()


def _measure_name(need: Need) -> str:
    return " ".join(
        part for part in (need.how, need.column, f"{need.days}d" if need.days is not None else "") if part
    )


def _distinct(rows: ir.Table, asked: Asked) -> ir.Table:
    one = next(iter(asked.values()))
    kept = _recent(_where(rows, one.selection.where), asked)
    kept = kept.filter(kept[one.column].notnull())
    newest = kept.group_by(*KEYS, one.column).aggregate(age_s=kept.age_s.min())
    windows = {name: None if need.days is None else within(newest, need.days) for name, need in asked.items()}
    return newest.group_by(*KEYS).aggregate(**{name: newest.count(where=w) for name, w in windows.items()})


def _latest(rows: ir.Table, asked: Asked) -> ir.Table:
    one = next(iter(asked.values()))
    marked = _marked(rows, one.selection.marks)
    chosen = one.selection.chosen(marked, one.days)
    kept = marked if chosen is None else marked.filter(chosen)
    newest = kept.group_by(*KEYS).aggregate(age_s=kept.age_s.min())
    tied = kept.inner_join(newest, [*KEYS, "age_s"])
    place = Mark("place", one.source)
    first = tied.mutate(**{place.name: place.value(tied)})
    first = first.filter(first[place.name] == 0)
    return first.select(*KEYS, **{name: need.measured(first) for name, need in asked.items()})


def _rhythm(rows: ir.Table, asked: Asked) -> ir.Table:
    one = next(iter(asked.values()))
    days = _where(rows, one.selection.where).select(*KEYS, "day").distinct()
    before = days.day.lag().over(group_by=[days[key] for key in KEYS], order_by=days.day)
    alone = {name: need.anywhere() for name, need in asked.items()}
    marked = days.mutate(**{mark.name: before for need in alone.values() for mark in need.marks})
    return marked.group_by(*KEYS).aggregate(**{name: need.measure(marked) for name, need in alone.items()})


def _compared(rows: ir.Table, asked: Asked) -> ir.Table:
    # The row before may lie outside the needs' windows, so only the selection filters here.
    one = next(iter(asked.values()))
    alone = {name: need.anywhere() for name, need in asked.items()}
    return _wide(_where(rows, one.selection.where), alone)


def _wide(rows: ir.Table, asked: Asked) -> ir.Table:
    marked = _marked(rows, (mark for need in asked.values() for mark in need.marks))
    return marked.group_by(*KEYS).aggregate(**{name: need.measure(marked) for name, need in asked.items()})


def _marked(rows: ir.Table, marks: Iterable[Mark]) -> ir.Table:
    """The rows with the marks beside them, layer by layer."""
    by_name = {mark.name: mark for mark in marks}
    for layer in (0, 1):
        if wanted := {name: mark.value(rows) for name, mark in by_name.items() if mark.layer == layer}:
            rows = rows.mutate(**wanted)
    return rows


def _recent(rows: ir.Table, asked: Asked) -> ir.Table:
    """The rows no older than the longest of the windows."""
    windows = [need.days for need in asked.values()]
    ends = [days for days in windows if days is not None]
    return rows.filter(within(rows, max(ends))) if len(ends) == len(windows) else rows


def _where(rows: ir.Table, where: Iterable[tuple[str, tuple[str, ...]]]) -> ir.Table:
    """The rows whose columns hold one of the values."""
    for column, values in sorted(where):
        rows = rows.filter(rows[column].isin(values))
    return rows
