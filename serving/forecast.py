"""How many will act: each run says per task, grade and segment how many of its customers will have the outcome by each horizon.

The expected number is the sum of the probabilities. Its 90 % interval has two parts: chance, the variance of so many independent
outcomes, and doubt, how far the odds of a whole list have been off beyond chance (a random effect on the log scale, estimated by moments
as in DerSimonian and Laird 1986). A month is off as a whole; a grade is off beside it, more so: between one quarter and another the
middle of the range may hold half as many again as promised while the sum of all grades holds. Both are taken from the months and grades of
the model's test and from the runs that are settled, drawn towards what is usual because they are few. A test at the very dates that were
learned from says nothing of other months: such a model is doubted more until runs of it are settled. `serving.settle` holds the
interval against what came (`make bench-coverage` on a world of its own).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from serving.desk.segments import Grouped
from serving.ledger import ALL, Settled
from serving.scorer import Scored, Scorer

__all__ = ["FORECAST", "PARTIAL", "Doubt", "among", "beyond_chance", "doubts", "forecast", "partial_sums"]

GRADES = ("A", "B", "C")
Z_90 = 1.6449
USUAL_OF_MONTH, USUAL_OF_GRADE = 0.12, 0.25
USUAL_OF_MONTH_UNTESTED = 0.35
LISTS_OF_DOUBT = 3  # what is usual counts as so many lists
LEAST = 0.05

_KEYS = [("task", pa.string()), ("segment", pa.string()), ("value", pa.string()), ("grade", pa.string()),
         ("outcome", pa.string()), ("horizon_days", pa.int32())]  # fmt: skip
PARTIAL = pa.schema(
    [*_KEYS, ("customers", pa.int64()), ("expected", pa.float64()), ("variance", pa.float64())]
)
FORECAST = pa.schema(
    [
        *_KEYS,
        ("customers", pa.int64()),
        ("expected", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Doubt:
    """How far the odds of a list may be off beyond chance (standard deviation on the log scale): of everybody in a `month`, and beside that of one
    `grade` of them."""

    month: float = USUAL_OF_MONTH
    grade: float = USUAL_OF_GRADE


def partial_sums(scorer: Scorer, scored: Scored, groups: Mapping[str, Grouped]) -> pa.Table:
    """Counts and sums of a block of scored rows, by segment value, grade, outcome and horizon. `groups` are of the same rows."""
    size = len(scored.probabilities)
    grade = np.searchsorted(GRADES, scored.grades)
    everybody = Grouped(np.zeros(size, dtype=np.int32), (ALL,))
    rows: list[dict[str, Any]] = []
    for segment, grouped in {ALL: everybody, **groups}.items():
        known = grouped.codes >= 0
        place = grouped.codes[known] * len(GRADES) + grade[known]
        cells = len(grouped.words) * len(GRADES)
        counts = np.bincount(place, minlength=cells)
        for m, outcome in enumerate(scorer.card.kinds):
            for k, days in enumerate(scorer.card.horizons_days):
                p = scored.outlook[known, k, m]
                sums = np.bincount(place, p, cells)
                spread = np.bincount(place, p * (1 - p), cells)
                rows += [
                    {"task": scorer.task, "segment": segment, "value": grouped.words[cell // 3], "grade": GRADES[cell % 3],
                     "outcome": outcome, "horizon_days": days, "customers": counts[cell], "expected": sums[cell], "variance": spread[cell]}
                    for cell in np.flatnonzero(counts).tolist()
                ]  # fmt: skip
    return pa.Table.from_pylist(rows, PARTIAL)


def forecast(parts: Iterable[pa.Table], doubts: Mapping[str, Doubt]) -> pa.Table:
    """What all parts say together, with intervals; `grade` is `all` for the three of them. `doubts` are by task."""
    found = pa.concat_tables([PARTIAL.empty_table(), *parts])
    graded = _summed(found)
    whole = _summed(graded.set_column(3, "grade", pa.array([ALL] * len(graded), pa.string())))
    table = pa.concat_tables([graded, whole]).sort_by([(name, "ascending") for name, _ in _KEYS])
    expected, variance = table["expected"].to_numpy(), table["variance"].to_numpy()
    shared = np.array([
        doubt.month**2 + (doubt.grade**2 if grade != ALL else 0.0)
        for doubt, grade in zip((doubts.get(task, Doubt()) for task in table["task"].to_pylist()), table["grade"].to_pylist(), strict=True)
    ])  # fmt: skip
    # Odds that are off by a small share move a sum by that share of its variance.
    wide = Z_90 * np.sqrt(variance + shared * variance**2)
    low = np.floor(np.maximum(expected - wide, 0.0))
    high = np.ceil(np.minimum(expected + wide, table["customers"].to_numpy()))
    made = {"low": pa.array(low), "high": pa.array(high)}
    return pa.table([made.get(field.name, table[field.name] if field.name in table.column_names else None) for field in FORECAST], schema=FORECAST)  # fmt: skip


def _summed(table: pa.Table) -> pa.Table:
    names = [name for name, _ in _KEYS]
    # In one thread: floats added in another order differ in their last bits, and runs are compared by their bytes.
    sums = table.group_by(names, use_threads=False).aggregate(
        [("customers", "sum"), ("expected", "sum"), ("variance", "sum")]
    )
    return sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names]).select(
        PARTIAL.names
    )


def beyond_chance(lists: Iterable[tuple[int, float, int]], usual: float, apart: float = 1.0) -> float:
    """How far lists of (customers, expected, happened) are off on the scale of log-odds, beyond chance. `apart` is how far one's window lies
    from the next in windows: those that overlap tell the same story, and count for less."""
    off, weight = [], []
    for customers, expected, happened in lists:
        variance = expected * (1 - expected / max(customers, 1))
        if variance > 0:
            off.append(((happened - expected) ** 2 - variance) / variance**2)
            weight.append(variance)
    if not off:
        return usual
    w = np.array(weight)
    many = float(w.sum() ** 2 / (w**2).sum())
    told = min(1 + (many - 1) * apart, many)
    mean = float(np.average(off, weights=w))
    squared = (told * mean + LISTS_OF_DOUBT * usual**2) / (told + LISTS_OF_DOUBT)
    return float(max(squared, LEAST**2) ** 0.5)


def doubts(scorers: Iterable[Scorer], settled: Iterable[Settled] = ()) -> dict[str, Doubt]:
    """Each task's doubt, from its model's test and from settled runs."""
    lines = [line for line in settled if line.segment == ALL]
    return {
        scorer.task: _doubt(scorer, [line for line in lines if line.task == scorer.task])
        for scorer in scorers
    }


def _doubt(scorer: Scorer, lines: Sequence[Settled]) -> Doubt:
    card = scorer.card
    tested = {kind: [(one.rows, one.promised, one.happened) for one in card.segments if one.segment == kind] for kind in ("month", "grade")}  # fmt: skip
    usual = USUAL_OF_MONTH
    if set(card.test_at) <= set(card.fit_at):
        usual, tested["month"] = USUAL_OF_MONTH_UNTESTED, []
    longest = [
        line for line in lines if line.horizon_days == card.horizon_days and line.outcome in card.wanted
    ]
    came = {
        "month": [(line.customers, line.expected, line.happened) for line in longest if line.grade == ALL],
        "grade": [(line.customers, line.expected, line.happened) for line in longest if line.grade != ALL],
    }
    moments = sorted({*card.test_at, *(line.as_of for line in longest)})
    apart = (moments[-1] - moments[0]).days / max(len(moments) - 1, 1) / card.horizon_days
    return Doubt(
        beyond_chance([*tested["month"], *came["month"]], usual, apart),
        beyond_chance([*tested["grade"], *came["grade"]], USUAL_OF_GRADE, apart),
    )


def among(groups: Mapping[str, Grouped], eligible: np.ndarray) -> dict[str, Grouped]:
    """The groups of those rows only."""
    return {name: Grouped(grouped.codes[eligible], grouped.words) for name, grouped in groups.items()}
