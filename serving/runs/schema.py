"""The public tables of a run, column by column; docs/runs-of-scores.md says the same in words.

    long       customer x task: probability, outlook, percentile, grade, reasons
    wide       customer: for each task its probability, percentile, grade and main reason
    concepts   customer x task: what each group of features contributes, in thousandths of log-odds
    segments   customer: region, dealer and the like, of those with a score
    forecast   task x segment x grade x outcome x horizon: how many will act, with a 90 % interval
    rejected   customers whose row could not be believed: which field, which rule

`SCHEMA_VERSION` rises when a column is renamed, removed or means something else; new columns may come without it.
"""

from collections.abc import Sequence

import pyarrow as pa

__all__ = ["FIRSTS", "LONG", "REJECTED", "SCHEMA_VERSION", "SEGMENTS", "STAGED", "concepts", "wide"]

SCHEMA_VERSION = 1
FIRSTS = "first_ids"
"""Metadata of a lookup file: the first customer of each block, a JSON list."""

CHANCE = pa.struct([("outcome", pa.string()), ("horizon_days", pa.int32()), ("probability", pa.float64())])
REASON = pa.struct(
    [
        ("concept", pa.string()),
        ("direction", pa.string()),
        ("contribution", pa.float64()),
        ("feature", pa.string()),
        ("value", pa.float64()),
        ("en", pa.string()),
        ("zh", pa.string()),
    ]
)
MOVED = pa.struct(
    [
        ("concept", pa.string()),
        ("change", pa.float64()),
        ("feature", pa.string()),
        ("value", pa.float64()),
        ("previous_value", pa.float64()),
        ("en", pa.string()),
        ("zh", pa.string()),
    ]
)
_WHAT = [
    ("customer_id", pa.string()),
    ("task", pa.string()),
    ("as_of", pa.timestamp("us")),
    ("expires_at", pa.timestamp("us")),
    ("horizon_days", pa.int32()),
    ("probability", pa.float64()),
]
_AND_WHY = [
    ("grade", pa.string()),
    ("outlook", pa.list_(CHANCE)),
    ("reasons", pa.list_(REASON)),
    ("model_version", pa.string()),
    ("since", pa.timestamp("us")),
    ("previous_probability", pa.float64()),
    ("previous_grade", pa.string()),
    ("moved", pa.list_(MOVED)),
    ("decided", pa.string()),
]
STAGED = pa.schema([*_WHAT, *_AND_WHY])
LONG = pa.schema([*_WHAT, ("percentile", pa.float64()), *_AND_WHY])
REJECTED = pa.schema(
    [("customer_id", pa.string()), ("row", pa.int64()), ("field", pa.string()), ("rule", pa.string())]
)

SEGMENTS = pa.schema(
    [
        (name, pa.string())
        for name in ("customer_id", "region", "city_tier", "dealer", "model", "power_type", "stage")
    ]
)


def wide(tasks: Sequence[str]) -> pa.Schema:
    """One row per customer with at least one score; the columns of a task without one are null."""
    columns = [
        ("customer_id", pa.string()),
        ("as_of", pa.timestamp("us")),
        ("expires_at", pa.timestamp("us")),
    ]
    for task in tasks:
        columns += [
            (f"{task}_probability", pa.float64()),
            (f"{task}_percentile", pa.float64()),
            (f"{task}_grade", pa.string()),
            (f"{task}_reason", pa.string()),
            (f"{task}_reason_en", pa.string()),
            (f"{task}_reason_zh", pa.string()),
            (f"{task}_model_version", pa.string()),
        ]
    return pa.schema(columns)


def concepts(names: Sequence[str]) -> pa.Schema:
    """One column per concept; null where the task's model knows no such feature."""
    columns = [("customer_id", pa.string()), ("task", pa.string()), *((name, pa.int16()) for name in names)]
    return pa.schema(columns)
