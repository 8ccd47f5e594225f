"""How many will act: each run says per task, grade and segment how many of its customers will have the outcome by each horizon.

The expected number is the sum of the probabilities. Its 90 % interval has two parts: chance, the variance of so many independent
outcomes, and drift, how far the model's sums have been off between one month and another. Drift is taken from the months of the model's
test, drawn towards `USUAL_DRIFT` because they are few. `serving.settle` holds the interval against what came.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from serving.desk.segments import Grouped
from serving.scorer import Scored, Scorer

__all__ = ["FORECAST", "PARTIAL", "among", "drift_of", "drifts", "forecast", "partial_sums"]

ALL = "all"
GRADES = ("A", "B", "C")
Z_90 = 1.6449
USUAL_DRIFT = 0.12
MONTHS_OF_DOUBT = 3
LEAST_DRIFT = 0.05

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


def forecast(parts: Iterable[pa.Table], drift: Mapping[str, float]) -> pa.Table:
    """What all parts say together, with intervals; `grade` is `all` for the three of them. `drift` is by task, relative."""
    found = pa.concat_tables([PARTIAL.empty_table(), *parts])
    graded = _summed(found)
    whole = _summed(graded.set_column(3, "grade", pa.array([ALL] * len(graded), pa.string())))
    table = pa.concat_tables([graded, whole]).sort_by([(name, "ascending") for name, _ in _KEYS])
    expected, variance = table["expected"].to_numpy(), table["variance"].to_numpy()
    by_task = np.array([drift.get(task, USUAL_DRIFT) for task in table["task"].to_pylist()])
    wide = Z_90 * np.sqrt(variance + (by_task * expected) ** 2)
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


def drift_of(happened: Sequence[int], promised: Sequence[float], apart: float = 1.0) -> float:
    """How far, relatively, a month's sum of probabilities has been off beyond chance; of the months of a test. `apart` is how far one month's window
    lies from the next in windows: those that overlap tell the same story, and count for less."""
    off = [((h - p) ** 2 - p) / p**2 for h, p in zip(happened, promised, strict=True) if p > 0]
    told = min(1 + (len(off) - 1) * apart, len(off)) if off else 0.0
    mean = sum(off) / max(len(off), 1)
    squared = (told * mean + MONTHS_OF_DOUBT * USUAL_DRIFT**2) / (told + MONTHS_OF_DOUBT)
    return float(max(squared, LEAST_DRIFT**2) ** 0.5)


def drifts(scorers: Iterable[Scorer]) -> dict[str, float]:
    """Each task's drift, from the months of its model's test."""
    found = {}
    for scorer in scorers:
        card = scorer.card
        months = [told for told in card.segments if told.segment == "month"]
        apart = (max(card.test_at) - min(card.test_at)).days / max(len(months) - 1, 1) / card.horizon_days
        found[scorer.task] = drift_of(
            [told.happened for told in months], [told.promised for told in months], apart
        )
    return found


def among(groups: Mapping[str, Grouped], eligible: np.ndarray) -> dict[str, Grouped]:
    """The groups of those rows only."""
    return {name: Grouped(grouped.codes[eligible], grouped.words) for name, grouped in groups.items()}
