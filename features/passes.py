"""How the needs of one source become few group-bys over its rows.

    spread     counts, sums, least and greatest: group once by (moment, kind, ...), with every window, then spread
               the kinds into columns; a wide query of as many filtered aggregates costs several times more
    distinct   different values per window: group by (moment, value) with the newest age of each, then count
    compared   a row against the one before it: only rows of the selection, in one window
    wide       the rest: one aggregate per need

Each pass gives a table keyed by moment; what it does not hold for a moment is nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import ibis
import ibis.expr.types as ir

from features.needs import Mark, Need, Selection
from features.timeline import within

__all__ = ["KEYS", "passes"]

KEYS = ("customer_id", "as_of")
SPREAD = {"count": "sum", "sum": "sum", "min": "min", "max": "max"}


def passes(rows: ir.Table, needs: Iterable[Need]) -> list[ir.Table]:
    """Tables keyed by moment that together hold a column for every need."""
    groups: dict[tuple[str, object], list[Need]] = {}
    for need in needs:
        groups.setdefault(_kind(need), []).append(need)
    made = {"spread": _spread, "distinct": _distinct, "compared": _compared, "wide": _wide}
    return [made[kind](rows, some) for (kind, _), some in groups.items()]


def _kind(need: Need) -> tuple[str, object]:
    """Which pass a need belongs to, and with whom it can share one."""
    selection = need.selection
    if selection != Selection(selection.source, selection.owner, selection.where):
        return "wide", None
    if need.how == "distinct":
        return "distinct", (need.column, selection)
    if need.compares:
        return "compared", selection
    if need.how in SPREAD and not need.reads_a_timestamp:
        return "spread", tuple(column for column, _ in selection.where)
    return "wide", None


def _spread(rows: ir.Table, needs: list[Need]) -> ir.Table:
    shared = set.intersection(*(set(need.selection.where) for need in needs))
    apart = sorted({column for need in needs for column, _ in set(need.selection.where) - shared})
    kept = _only(rows, shared, needs)
    for column in apart:
        wanted = {
            value
            for need in needs
            for name, values in need.selection.where
            if name == column
            for value in values
        }
        kept = kept.filter(kept[column].isin(sorted(wanted)))
    measured = {_measure_name(need): need for need in needs}
    measures = {
        name: replace(need, selection=Selection(need.source)).measure(kept) for name, need in measured.items()
    }
    if not apart:
        found = kept.group_by(*KEYS).aggregate(**measures)
        return found.select(*KEYS, **{need.name: found[_measure_name(need)] for need in needs})
    by_kind = kept.group_by(*KEYS, *apart).aggregate(**measures)
    return by_kind.group_by(*KEYS).aggregate(**{need.name: _gathered(by_kind, need, apart) for need in needs})


def _gathered(by_kind: ir.Table, need: Need, apart: list[str]) -> ir.Value:
    """A need from the rows of its kinds."""
    tests = [by_kind[column].isin(values) for column, values in need.selection.where if column in apart]
    gather: Callable[..., ir.Value] = getattr(by_kind[_measure_name(need)], SPREAD[need.how])
    return gather(where=ibis.and_(*tests)) if tests else gather()


def _measure_name(need: Need) -> str:
    return " ".join(
        part for part in (need.how, need.column, f"{need.days}d" if need.days is not None else "") if part
    )


def _distinct(rows: ir.Table, needs: list[Need]) -> ir.Table:
    column, selection = needs[0].column, needs[0].selection
    kept = _only(rows, selection.where, needs)
    kept = kept.filter(kept[column].notnull())
    newest = kept.group_by(*KEYS, column).aggregate(age_s=kept.age_s.min())
    counts = {
        need.name: newest.count(where=within(newest, need.days) if need.days is not None else None)
        for need in needs
    }
    return newest.group_by(*KEYS).aggregate(**counts)


def _compared(rows: ir.Table, needs: list[Need]) -> ir.Table:
    # The row before may lie outside the needs' windows, so only the selection filters here.
    kept = _where(rows, needs[0].selection.where)
    alone = Selection(needs[0].source)
    asked = {need.name: replace(need, selection=alone) for need in needs}
    marked = _marked(kept, asked.values())
    return marked.group_by(*KEYS).aggregate(**{name: need.measure(marked) for name, need in asked.items()})


def _wide(rows: ir.Table, needs: list[Need]) -> ir.Table:
    marked = _marked(rows, needs)
    return marked.group_by(*KEYS).aggregate(**{need.name: need.measure(marked) for need in needs})


def _marked(rows: ir.Table, needs: Iterable[Need]) -> ir.Table:
    """The rows with the marks the needs read, layer by layer."""
    marks: dict[str, Mark] = {mark.name: mark for need in needs for mark in need.marks}
    for layer in (0, 1):
        if wanted := {name: mark.value(rows) for name, mark in marks.items() if mark.layer == layer}:
            rows = rows.mutate(**wanted)
    return rows


def _only(rows: ir.Table, where: Iterable[tuple[str, tuple[str, ...]]], needs: list[Need]) -> ir.Table:
    """The rows that pass the tests all needs share, no older than the longest of their windows."""
    rows = _where(rows, where)
    windows = [need.days for need in needs]
    return (
        rows
        if None in windows
        else rows.filter(within(rows, max(days for days in windows if days is not None)))
    )


def _where(rows: ir.Table, where: Iterable[tuple[str, tuple[str, ...]]]) -> ir.Table:
    """The rows whose columns hold one of the values."""
    for column, values in sorted(where):
        rows = rows.filter(rows[column].isin(values))
    return rows
