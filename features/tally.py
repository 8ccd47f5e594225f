"""Needs measured over arrays: of one customer's posted rows, or of a piece of the warehouse.

    tally = Tally(needs)                        # of one source and owner; prepared once
    tally.of(PastRows.of(histories))            # {need.name: (values, where there are none)}, at each moment

Which rows pass a selection's tests is worked out once for all needs that share it; the rows of a moment are a slice,
and a window is a shorter one. Counts and sums are then differences of running sums, the least and greatest age and
the latest value stand at the first or last passing row of the slice, and of different values the newest row of each
counts. Nothing is done need by need over all rows. Tests that depend on the moment are asked where each moment has
rows of its own.
"""

from collections.abc import Callable, Hashable, Iterable
from functools import partial, reduce
from typing import Any

import numpy as np

from features.formula import Values
from features.needs import ZERO_WHEN_NOTHING, Need, Selection, Where
from features.past import holding
from features.reductions import REDUCED, Asked, Passing, Spans
from features.slices import PastRows
from features.timeline import DAY_S

__all__ = ["Tally"]

LEAST = np.iinfo(np.int64).min
Make = Callable[..., Any]


class Tally:
    """The needs of one source and owner."""

    def __init__(self, needs: Iterable[Need]) -> None:
        every = list(needs)
        self.where = _shared(every)
        self.absent: dict[str, Values] = {need.name: _absent(need) for need in every}
        by_moment = [need for need in every if _by_moment(need.selection)]
        self._plans = [
            (_Plan([need for need in every if need not in by_moment], self.where), False),
            (_Plan(by_moment, self.where), True),
        ]

    def of(self, rows: PastRows) -> dict[str, Values]:
        """Each need at each moment."""
        if not len(rows):
            return self.absent
        found: dict[str, Values] = {}
        for plan, alone in self._plans:
            if plan.asked:
                found |= plan.of(rows.alone if alone else rows)
        return found


def _shared(needs: list[Need]) -> Where:
    """The tests that all of them share, unless some look at rows beyond their selection."""
    if any(need.selection.newest_per or need.selection.since for need in needs):
        return ()
    return tuple(sorted(set.intersection(*(set(need.selection.where) for need in needs))))


def _by_moment(selection: Selection) -> bool:
    """Whether a row may pass at one moment and not at another that sees it too."""
    return bool(selection.newest_per or selection.since or selection.ahead)


class _Plan:
    """Steps in order, each of which reads what those before it made; and what is then taken from the slices."""

    def __init__(self, needs: Iterable[Need], passed: Where) -> None:
        self._place: dict[Hashable, int] = {}
        self._steps: list[tuple[Make, tuple[int, ...]]] = []
        self._passed = set(passed)
        self.asked: dict[int, list[Asked]] = {}  # by the mask that needs share
        for need in needs:
            reduction, mask, numbers = self._planned(need)
            self.asked.setdefault(mask, []).append(Asked(need.name, need, reduction, numbers))

    def of(self, rows: PastRows) -> dict[str, Values]:
        made: list[Any] = []
        for make, read in self._steps:
            made.append(make(rows, *[made[place] for place in read]))
        found: dict[str, Values] = {}
        for mask, asked in self.asked.items():
            passing = Passing(rows, made[mask], made)
            found |= {each.name: REDUCED[each.reduction](passing, each) for each in asked}
        return found

    # what is worked out before, each under a key so that needs share it

    def _step(self, key: Hashable, make: Make, *read: int) -> int:
        if key not in self._place:
            self._place[key] = len(self._steps)
            self._steps.append((make, read))
        return self._place[key]

    def _planned(self, need: Need) -> tuple[str, int, int]:
        """Its reduction, and where the rows and the numbers to reduce will stand."""
        column, chosen = need.column, self._chosen(need.selection)
        match need.how:
            case "count":
                return "count", chosen, chosen
            case "distinct":
                newest = self._step(("spans", column, chosen), partial(_spans, column), chosen)
                return "distinct", chosen, newest
            case "sum":
                return "sum", chosen, self._numbers(column)
            case "min" | "max":
                told = self._all_of(chosen, *self._told(column))
                if column == "age_s":
                    return ("newest age" if need.how == "min" else "oldest age"), told, self._numbers(column)
                return need.how, told, self._numbers(column)
            case "latest":
                return "latest", chosen, self._step(("latest", column), partial(_told_values, column))
        pairs = self._step(("pairs", need.per, chosen), partial(_pairs, need.per), chosen)
        if need.how.startswith("change_"):
            changed = self._step(("changed", column, pairs), partial(_changed, column), pairs)
            reduction = "count" if need.how == "change_count" else "newest age"
            return reduction, changed, self._numbers("age_s")
        step = self._step(("step", column, pairs), partial(_step_of, column), pairs)
        stepped = self._step(("stepped", step), lambda _, step: step != 0, step)
        if need.how == "step_square_sum":
            return "sum", stepped, self._step(("square", step), lambda _, step: step * step, step)
        return need.how.removeprefix("step_"), stepped, step

    def _chosen(self, selection: Selection) -> int:
        """Where the test of `Selection.chosen` will stand, for rows of any age."""
        tests = [self._holds(*test) for test in selection.where if test not in self._passed]
        if selection.told:
            tests += self._told(selection.told)
        if selection.newest_per:
            newest = partial(_newest_per, selection.newest_per)
            tests.append(self._step(("newest per", selection.newest_per), newest))
        if selection.since:
            reference = self._all_of(*(self._holds(column, values) for column, values in selection.since))
            tests.append(self._step(("since", reference), _since, reference))
        if selection.ahead:
            tests.append(self._step(("ahead", selection.ahead), partial(_ahead, *selection.ahead)))
        return self._all_of(*tests)

    def _holds(self, column: str, values: tuple[str, ...]) -> int:
        return self._step(("holds", column, values), partial(_holds, column, values))

    def _told(self, column: str) -> tuple[int, ...]:
        if column in ("age_s", "day"):
            return ()
        return (self._step(("told", column), lambda rows: rows.told(column)),)

    def _numbers(self, column: str) -> int:
        return self._step(("numbers", column), lambda rows: rows.integers(column))

    def _all_of(self, *tests: int) -> int:
        distinct = tuple(sorted(set(tests)))
        if len(distinct) == 1:
            return distinct[0]
        return self._step(("all of", distinct), _all_of, *distinct)


# Tests: a boolean per row.


def _all_of(rows: PastRows, *tests: np.ndarray) -> np.ndarray:
    return reduce(np.logical_and, tests) if tests else np.ones(len(rows), dtype=bool)


def _holds(column: str, values: tuple[str, ...], rows: PastRows) -> np.ndarray:
    codes, words = rows.codes(column)
    return holding(codes, words, values)


def _ahead(column: str, days: int | None, rows: PastRows) -> np.ndarray:
    until_s = rows.integers(column) - rows.as_of_s
    ahead = rows.told(column) & (until_s >= 0)
    within: np.ndarray = ahead if days is None else ahead & (until_s < days * DAY_S)
    return within


def _newest_per(column: str, rows: PastRows) -> np.ndarray:
    """The newest row of each value; rows without a value are of one kind."""
    newest = np.ones(len(rows), dtype=bool)
    newest[_again(rows, *_by_value(rows, column, np.arange(len(rows))))[0]] = False
    return newest


def _since(rows: PastRows, reference: np.ndarray) -> np.ndarray:
    """After the newest of the reference rows; everything where there is none."""
    places = np.flatnonzero(reference)[::-1]
    newest = np.full(len(rows.moments_begin), LEAST)
    newest[rows.viewer[places]] = rows.happened_s[places]  # the last one assigned, the newest, stays
    after: np.ndarray = rows.happened_s > newest[rows.viewer]
    return after


# Rows compared with others of their viewer.


def _by_value(rows: PastRows, column: str, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows in an order that has those of one value together, by viewer, newest first; and their values as codes."""
    if not column:
        return places, np.zeros(len(places), dtype=np.int8)
    if column == "day":
        return places, rows.integers("day")[places]
    codes, words = rows.codes(column)
    codes = codes[places].astype(np.min_scalar_type(len(words)))  # short numbers are sorted by their digits
    order = np.argsort(codes, kind="stable")
    return places[order], codes[order]


def _again(rows: PastRows, places: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(older, newer): the rows that have a newer one of their value and viewer, and that one."""
    viewer = rows.viewer[places]
    same = np.flatnonzero((codes[1:] == codes[:-1]) & (viewer[1:] == viewer[:-1]))
    return places[same + 1], places[same]


def _pairs(per: str, rows: PastRows, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(newer, older): the chosen rows that follow another one, of the same viewer and kind, and that one."""
    older, newer = _again(rows, *_by_value(rows, per, np.flatnonzero(chosen)))
    return newer, older


def _step_of(column: str, rows: PastRows, pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """By how much each row exceeds the one before; 0 where there is none, which is no step either."""
    newer, older = pairs
    numbers, step = rows.integers(column), np.zeros(len(rows), dtype=np.int64)
    step[newer] = numbers[newer] - numbers[older]
    if column not in ("age_s", "day"):
        told = rows.told(column)
        step[newer] *= told[newer] & told[older]
    return step


def _changed(column: str, rows: PastRows, pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    newer, older = pairs
    (codes, _), told = rows.codes(column), rows.told(column)
    changed = np.zeros(len(rows), dtype=bool)
    changed[newer] = (codes[newer] != codes[older]) & told[newer] & told[older]
    return changed


def _spans(column: str, rows: PastRows, chosen: np.ndarray) -> Spans:
    if column != "day":
        chosen = chosen & rows.told(column)
    places = np.flatnonzero(chosen)
    end = rows.moments_end[rows.viewer]
    older, newer = _again(rows, *_by_value(rows, column, places))
    end[older] = rows.seen_from[newer]
    places = places[rows.seen_from[places] < end[places]]
    return Spans(places, rows.seen_from[places], end[places])


def _told_values(column: str, rows: PastRows) -> tuple[Any, np.ndarray]:
    """A column's values as the latest one is told: of any rows, for words; and where there are any."""
    if column in ("age_s", "day"):
        return rows.integers(column), np.ones(len(rows), dtype=bool)
    if rows.source[column].type != "string":
        return rows.integers(column), rows.told(column)
    codes, words = rows.codes(column)
    named = np.array([*words.to_pylist(), None], dtype=object)
    return (lambda row: named[codes[row]]), rows.told(column)


def _absent(need: Need) -> Values:
    """What is measured where there are no rows, whatever the moment."""
    if need.how in ZERO_WHEN_NOTHING:
        return np.int64(0), None
    return np.array(None if need.text else 0), np.True_
