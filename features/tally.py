"""Needs measured in memory, for the moments of few customers at once.

    tally = Tally(needs)                        # of one source and owner; at start-up
    tally.of(rows, len(people))                 # per request: {need.name: (values, where there are none)}

A need becomes one of five reductions of a number over the rows that pass its tests: count, sum, min, max and latest.
Different values are counted in their newest rows, steps and changes in the newer row of each pair. Tests, and what
rows are compared with, are worked out once for all needs that share them; each reduction is one call for all its needs.
"""

from collections.abc import Callable, Hashable, Iterable
from functools import partial, reduce
from typing import Any

import numpy as np

from features.errors import BadData
from features.formula import Values
from features.needs import ZERO_WHEN_NOTHING, Need, Selection
from features.posted import PastRows
from features.timeline import DAY_S, within

__all__ = ["Tally"]

MOST = np.iinfo(np.int64).max
LEAST = np.iinfo(np.int64).min
Make = Callable[..., Any]


class Tally:
    """The needs of one source and owner. Its steps are kept in order: each reads what those before it made."""

    def __init__(self, needs: Iterable[Need]) -> None:
        self.absent: dict[str, Values] = {}
        self._place: dict[Hashable, int] = {}
        self._steps: list[tuple[Make, tuple[int, ...]]] = []
        self._reductions: dict[str, list[tuple[str, int, int]]] = {}
        for need in needs:
            reduction, mask, numbers = self._planned(need)
            self._reductions.setdefault(reduction, []).append((need.name, mask, numbers))
            self.absent[need.name] = _absent(need)

    def of(self, rows: PastRows, moments: int) -> dict[str, Values]:
        """Each need at each moment."""
        if not len(rows):
            return self.absent
        made: list[Any] = []
        for make, read in self._steps:
            made.append(make(rows, *[made[place] for place in read]))
        found: dict[str, Values] = {}
        for reduction, asked in self._reductions.items():
            masks = np.array([made[mask] for _, mask, _ in asked])
            numbers = [made[number] for _, _, number in asked]
            values = _REDUCED[reduction](rows, moments, masks, numbers)
            found |= {name: value for (name, _, _), value in zip(asked, values, strict=True)}
        return found

    # what is worked out before, each under a key so that needs share it

    def _step(self, key: Hashable, make: Make, *read: int) -> int:
        if key not in self._place:
            self._place[key] = len(self._steps)
            self._steps.append((make, read))
        return self._place[key]

    def _planned(self, need: Need) -> tuple[str, int, int]:
        """Its reduction, and where the rows and the numbers to reduce will stand."""
        column, chosen = need.column, self._chosen(need.selection, need.days)
        match need.how:
            case "count":
                return "count", chosen, chosen
            case "distinct":
                every = self._chosen(need.selection, None)
                newest = self._step(("newest", column, every), partial(_newest_of_each, column), every)
                return "count", self._all_of(chosen, newest), chosen
            case "sum":
                return "sum", chosen, self._numbers(column)
            case "min" | "max":
                return need.how, self._all_of(chosen, *self._told(column)), self._numbers(column)
            case "latest":
                return "latest", chosen, self._step(("latest", column), partial(_told_values, column))
        pairs = self._chosen(need.selection, None)
        pairs = self._step(("pairs", need.per, pairs), partial(_pairs, need.per), pairs)
        if need.how.startswith("change_"):
            changed = self._step(("changed", column, pairs), partial(_changed, column), pairs)
            reduction = "count" if need.how == "change_count" else "min"
            return reduction, self._all_of(chosen, changed), self._numbers("age_s")
        step = self._step(("step", column, pairs), partial(_step_of, column), pairs)
        stepped = self._all_of(chosen, self._step(("stepped", step), lambda _, step: step != 0, step))
        if need.how == "step_square_sum":
            return "sum", stepped, self._step(("square", step), lambda _, step: step * step, step)
        return need.how.removeprefix("step_"), stepped, step

    def _chosen(self, selection: Selection, days: int | None) -> int:
        """Where the test of `Selection.chosen` will stand."""
        tests = [self._holds(column, values) for column, values in selection.where]
        if days is not None:
            tests.append(self._step(("within", days), partial(_within, days)))
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
        return self._step(("holds", column, values), partial(_holds, column, frozenset(values)))

    def _told(self, column: str) -> tuple[int, ...]:
        if column in ("age_s", "day"):
            return ()
        return (self._step(("told", column), lambda rows: rows.told(column)),)

    def _numbers(self, column: str) -> int:
        return self._step(("numbers", column), lambda rows: rows.numbers(column))

    def _all_of(self, *tests: int) -> int:
        distinct = tuple(sorted(set(tests)))
        if len(distinct) == 1:
            return distinct[0]
        return self._step(("all of", distinct), _all_of, *distinct)


# Tests: a boolean per row.


def _all_of(rows: PastRows, *tests: np.ndarray) -> np.ndarray:
    return reduce(np.logical_and, tests) if tests else np.ones(len(rows), dtype=bool)


def _holds(column: str, values: frozenset[str], rows: PastRows) -> np.ndarray:
    codes, words = rows.codes(column)
    found: np.ndarray = np.array([word in values for word in words] + [False])[codes]
    return found


def _within(days: int, rows: PastRows) -> Any:
    return within(rows, days)


def _ahead(column: str, days: int | None, rows: PastRows) -> Any:
    until_s = rows.numbers(column)
    ahead = rows.told(column) & (until_s >= 0)
    return ahead if days is None else ahead & (until_s < days * DAY_S)


def _newest_per(column: str, rows: PastRows) -> np.ndarray:
    """The newest row of each value; rows without a value are of one kind."""
    newest = np.zeros(len(rows), dtype=bool)
    newest[np.unique(_kinds(rows, column), return_index=True)[1]] = True
    return newest


def _newest_of_each(column: str, rows: PastRows, chosen: np.ndarray) -> np.ndarray:
    """The newest of the chosen rows of each value that there is."""
    if column != "day":
        chosen = chosen & rows.told(column)
    places = np.flatnonzero(chosen)
    newest = np.zeros(len(rows), dtype=bool)
    newest[places[np.unique(_kinds(rows, column)[places], return_index=True)[1]]] = True
    return newest


def _since(rows: PastRows, reference: np.ndarray) -> np.ndarray:
    """After the newest of the reference rows; everything where there is none."""
    newest = np.minimum.reduceat(np.where(reference, rows.age_s, MOST), rows.begin)
    after: np.ndarray = rows.age_s < np.repeat(newest, rows.count)
    return after


def _kinds(rows: PastRows, column: str) -> np.ndarray:
    """A number for each value of a column at each moment."""
    codes, values = rows.codes(column)
    kinds: np.ndarray = rows.moment * (len(values) + 1) + codes
    return kinds


# Rows compared with the one before them.


def _pairs(per: str, rows: PastRows, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(newer, older): the chosen rows that follow another one, of the same moment and kind, and that one."""
    places = np.flatnonzero(chosen)
    group = (_kinds(rows, per) if per else rows.moment)[places]
    if per:
        order = np.argsort(group, kind="stable")
        places, group = places[order], group[order]
    same = np.flatnonzero(group[1:] == group[:-1])
    return places[same], places[same + 1]


def _step_of(column: str, rows: PastRows, pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """By how much each row exceeds the one before; 0 where there is none, which is no step either."""
    newer, older = pairs
    numbers, step = rows.numbers(column), np.zeros(len(rows), dtype=np.int64)
    step[newer] = numbers[newer] - numbers[older]
    if column != "day":
        told = rows.told(column)
        step[newer] *= told[newer] & told[older]
    return step


def _changed(column: str, rows: PastRows, pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    newer, older = pairs
    (codes, _), told = rows.codes(column), rows.told(column)
    changed = np.zeros(len(rows), dtype=bool)
    changed[newer] = (codes[newer] != codes[older]) & told[newer] & told[older]
    return changed


# Reductions: of (needs x rows), to values per moment.


def _count(rows: PastRows, moments: int, masks: np.ndarray, _: list[np.ndarray]) -> Iterable[Values]:
    counts = np.add.reduceat(masks, rows.begin, axis=1, dtype=np.int64)
    return ((values, None) for values in _at_moments(rows, moments, counts, 0))


def _sum(rows: PastRows, moments: int, masks: np.ndarray, numbers: list[np.ndarray]) -> Iterable[Values]:
    addends = np.array(numbers) * masks
    if max(int(addends.max()), -int(addends.min())) > MOST // len(rows):
        addends = addends.astype(object)  # Python's integers do not wrap around
    try:
        sums = np.add.reduceat(addends, rows.begin, axis=1).astype(np.int64)
    except OverflowError as error:
        raise BadData(
            f"a sum over {rows.source.name} does not fit into 64 bits; check the numbers posted there"
        ) from error
    return ((values, None) for values in _at_moments(rows, moments, sums, 0))


def _extreme(
    extreme: np.ufunc,
    beyond: int,
    rows: PastRows,
    moments: int,
    masks: np.ndarray,
    numbers: list[np.ndarray],
) -> Iterable[Values]:
    found = extreme.reduceat(np.where(masks, np.array(numbers), beyond), rows.begin, axis=1)
    missing = ~np.logical_or.reduceat(masks, rows.begin, axis=1)
    return _with_nothing(_at_moments(rows, moments, found, 0), _at_moments(rows, moments, missing, True))


def _latest(rows: PastRows, moments: int, masks: np.ndarray, told: list[Values]) -> Iterable[Values]:
    places = np.where(masks, np.arange(len(rows)), len(rows))  # the newest stands first
    first = _at_moments(rows, moments, np.minimum.reduceat(places, rows.begin, axis=1), len(rows))
    none = first == len(rows)
    first[none] = 0
    for (values, there), place, missing in zip(told, first, none, strict=True):
        yield values[place], missing | ~there[place]


def _with_nothing(values: np.ndarray, missing: np.ndarray) -> Iterable[Values]:
    some: list[bool] = np.any(missing, axis=1).tolist()
    for each, nothing, any_nothing in zip(values, missing, some, strict=True):
        yield each, nothing if any_nothing else None


def _told_values(column: str, rows: PastRows) -> Values:
    """A column's values as the latest one is told, and where there are any."""
    if rows.source[column].type != "string":
        return rows.numbers(column), rows.told(column)
    codes, words = rows.codes(column)
    return np.array([*words, None], dtype=object)[codes], rows.told(column)


def _at_moments(rows: PastRows, moments: int, found: np.ndarray, nothing: Any) -> np.ndarray:
    """From a column per moment that has rows to a column per moment."""
    if found.shape[1] == moments:
        return found
    spread = np.full((len(found), moments), nothing, dtype=found.dtype)
    spread[:, rows.present] = found
    return spread


def _absent(need: Need) -> Values:
    """What is measured where there are no rows, whatever the moment."""
    if need.how in ZERO_WHEN_NOTHING:
        return np.int64(0), None
    return np.array(None if need.text else 0), np.True_


_REDUCED: dict[str, Callable[..., Iterable[Values]]] = {
    "count": _count,
    "sum": _sum,
    "min": partial(_extreme, np.minimum, MOST),
    "max": partial(_extreme, np.maximum, LEAST),
    "latest": _latest,
}
