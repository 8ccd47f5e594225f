"""What a person at the console looks at: a customer's history month by month, and what lists may be filtered by."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa

from serving.contract.people import Activity, AtMonth, Choices, FiltersAnswer, History, Kind, Value
from serving.desk.consents import not_allowed
from serving.desk.day import Day
from serving.desk.histories import known
from serving.desk.now import Now
from serving.desk.scoring import Seen
from serving.scorer import Scorer

__all__ = ["filters_of", "history_of"]

MOST_VALUES = 200


def history_of(
    customer_id: str, months: int, now: Now, champions: Mapping[str, Scorer], tasks: Sequence[str], day: Day
) -> History:
    """What is stored of a customer, and how the models that serve would have scored them at the end of each month."""
    ends = _ends(day.as_of, months)
    stored = now.histories(day.name).of(customer_id)
    activity = [
        Activity(name, kinds) for name, table in stored.items() if (kinds := _by_kind(table, ends, day.as_of))
    ]
    told = not_allowed(customer_id, day.sheet.find([customer_id]))
    features = frozenset(day.rows.fingerprints)
    rows = [now.rows(customer_id, end, stored, champions, features, told) for end in ends]
    scored = [AtMonth(task, [_probability(Seen.of(champions[task], row)) for row in rows]) for task in tasks]
    return History(customer_id, day.as_of, ends, activity, scored)


def filters_of(day: Day) -> FiltersAnswer:
    """What each filter of a list may ask for here."""
    found = []
    for name, one in day.segments.items():
        counts = np.bincount(one.codes[one.codes >= 0], minlength=len(one.words)).tolist()
        told = sorted(zip(one.words, counts, strict=True), key=lambda pair: (-pair[1], pair[0]))
        if told:
            found.append(Choices(name, [Value(word, count) for word, count in told[:MOST_VALUES]]))
    return FiltersAnswer(found)


def _ends(last: datetime, months: int) -> list[datetime]:
    """The firsts of so many months up to a moment, and that moment."""
    number = last.year * 12 + last.month - 1
    firsts = [datetime(n // 12, n % 12 + 1, 1) for n in range(number - months + 1, number + 1)]
    return [first for first in firsts if first != last] + [last]


def _by_kind(table: pa.Table, ends: Sequence[datetime], as_of: datetime) -> list[Kind]:
    """Rows known at `as_of` by kind and month; of a source without kinds all of them."""
    edges = np.array(ends, dtype="datetime64[us]")
    happened, seen = table["happened_at"].to_numpy().astype("datetime64[us]"), known(table, as_of)
    names = table["kind"].to_pylist() if "kind" in table.column_names else ["-"] * len(table)
    month = np.searchsorted(edges, happened, side="right")
    found: dict[str, list[int]] = {}
    for is_seen, name, place in zip(seen.tolist(), names, month.tolist(), strict=True):
        if is_seen and 0 < place < len(ends):
            found.setdefault(name, [0] * len(ends))[place] += 1
    return [Kind(name, rows) for name, rows in sorted(found.items(), key=lambda pair: -sum(pair[1]))]


def _probability(seen: Seen) -> float | None:
    return float(seen.probabilities[0]) if len(seen.grades) else None
