"""By hand in pandas, as one writes it: filter, group, unstack, join."""

from pathlib import Path

import pandas as pd

from benchmarks.features.columns import CHANGES, COUNTS, LAST_SEEN, TOTAL_WINDOWS, named
from benchmarks.features.events import AS_OF

__all__ = ["compute"]

DAY = 86_400
COLUMNS = ["customer_id", "happened_at", "known_at", "superseded_at", "initiated_by", "kind", "channel", "topic",
           "model", "campaign", "duration_s", "touchpoint_id"]  # fmt: skip


def compute(events: Path, threads: int, memory_gb: int, out: Path) -> None:  # noqa: ARG001 - it takes what it needs
    """Write the columns of every customer to a Parquet file."""
    at = pd.Timestamp(AS_OF)
    rows = pd.read_parquet(events / "touchpoints", columns=COLUMNS)
    late = rows.superseded_at.notna() & (rows.superseded_at < at)
    past = rows[
        (rows.initiated_by == "customer") & (rows.happened_at < at) & (rows.known_at < at) & ~late
    ].copy()
    del rows
    past["age"] = (at - past.happened_at) // pd.Timedelta(seconds=1)
    past["day"] = (past.happened_at - pd.Timestamp(0)) // pd.Timedelta(days=1)
    people = (
        pd.read_parquet(events / "customers", columns=["customer_id"])
        .drop_duplicates()
        .set_index("customer_id")
    )
    counted = pd.concat(
        [people, *_counts(past), *_changes(past), *_distinct(past), *_times(past)], axis=1
    ).fillna(0)
    other = pd.concat([people, *_last_seen(past), _rhythm(past), _signin_rhythm(past), _last(past)], axis=1)
    counted.astype("int64").join(other).reset_index().to_parquet(out)


def _lately(rows: pd.DataFrame, days: int | None) -> pd.DataFrame:
    return rows if days is None else rows[rows.age <= days * DAY]


def _per_customer(rows: pd.DataFrame, name: str) -> pd.Series:
    return rows.groupby("customer_id").size().rename(name)


def _counts(past: pd.DataFrame) -> list[pd.DataFrame | pd.Series]:
    found: list[pd.DataFrame | pd.Series] = [
        _per_customer(_lately(past, d), named("touchpoints", d)) for d in TOTAL_WINDOWS
    ]
    for column in ("kind", "channel", "topic"):
        asked = [(value, name, days) for c, value, name, windows in COUNTS if c == column for days in windows]
        for days in dict.fromkeys(days for *_, days in asked):
            wide = _lately(past, days).groupby(["customer_id", column]).size().unstack(fill_value=0)
            names = {value: named(name, days) for value, name, d in asked if d == days}
            found.append(wide[list(names)].rename(columns=names))
    days_active = past.groupby(["customer_id", "day"], as_index=False).age.min()
    return [*found, *(_per_customer(_lately(days_active, d), f"active_days_{d}d") for d in (30, 90, 365))]


def _changes(past: pd.DataFrame) -> list[pd.Series]:
    found = []
    days_active = past.groupby(["customer_id", "day"], as_index=False).age.min()
    asked = [
        (past if value is None else past[past[column] == value], name, w)
        for column, value, name, w in CHANGES
    ]
    for rows, name, windows in [*asked, (days_active, "active_days_change", (30, 90))]:
        for days in windows:
            lately, both = (_per_customer(_lately(rows, n * days), "n") for n in (1, 2))
            found.append((2 * lately).sub(both, fill_value=0).rename(named(name, days)))
    return found


def _distinct(past: pd.DataFrame) -> list[pd.Series]:
    asked = [
        ("channel", "touchpoint_channels", past, (90, 365)), ("kind", "touchpoint_kinds", past, (90,)),
        ("campaign", "touchpoint_campaigns", past, (180,)), ("topic", "content_topics", past, (90, 365)),
        ("model", "models_viewed", past[past.kind == "model_page"], (30, 180)),
    ]  # fmt: skip
    return [
        _lately(rows, days).groupby("customer_id")[column].nunique().rename(named(name, days))
        for column, name, rows, windows in asked
        for days in windows
    ]


def _times(past: pd.DataFrame) -> list[pd.Series]:
    asked = [("touchpoint_time_30d_s", past, 30), ("touchpoint_time_180d_s", past, 180)]
    asked += [("live_stream_time_180d_s", past[past.kind == "live_stream"], 180)]
    return [
        _lately(rows, days).groupby("customer_id").duration_s.sum().rename(name) for name, rows, days in asked
    ]


def _last_seen(past: pd.DataFrame) -> list[pd.DataFrame]:
    ages = past.groupby("customer_id").age
    found = [
        pd.DataFrame(
            {"days_since_touchpoint": ages.min() // DAY, "days_since_first_touchpoint": ages.max() // DAY}
        )
    ]
    for column in ("kind", "topic"):
        names = {value: name for c, value, name in LAST_SEEN if c == column}
        newest = past.groupby(["customer_id", column]).age.min().unstack()
        found.append((newest[list(names)] // DAY).rename(columns=names))
    return found


def _steps(rows: pd.DataFrame) -> pd.DataFrame:
    days = rows[["customer_id", "day"]].drop_duplicates().sort_values(["customer_id", "day"])
    days["step"] = days.groupby("customer_id").day.diff()
    days["square"] = days.step * days.step
    found = days.groupby("customer_id").agg(
        n=("step", "count"), total=("step", "sum"), squares=("square", "sum"), longest=("step", "max")
    )
    return found[found.n > 0]


def _rhythm(past: pd.DataFrame) -> pd.DataFrame:
    steps = _steps(past)
    mean = steps.total / steps.n
    newest = past.groupby("customer_id").age.min() // DAY
    return pd.DataFrame(
        {
            "mean_days_between_touchpoints": mean,
            "sd_days_between_touchpoints": (steps.squares * steps.n - steps.total**2) ** 0.5 / steps.n,
            "longest_days_between_touchpoints": steps.longest,
            "touchpoint_overdue_ratio": newest.reindex(steps.index) / mean,
        }
    )


def _signin_rhythm(past: pd.DataFrame) -> pd.Series:
    steps = _steps(past[past.kind == "activity_signin"])
    return (steps.total / steps.n).rename("mean_days_between_activity_signins")


def _last(past: pd.DataFrame) -> pd.DataFrame:
    ordered = past.sort_values(["age", "known_at", "touchpoint_id"], ascending=[True, False, False])
    newest = ordered.drop_duplicates("customer_id").set_index("customer_id")
    topics = ordered[ordered.topic.notna()].drop_duplicates("customer_id").set_index("customer_id").topic
    named_newest = newest[["channel", "kind"]].rename(
        columns={"channel": "last_touchpoint_channel", "kind": "last_touchpoint_kind"}
    )
    return pd.concat([named_newest, topics.rename("last_content_topic")], axis=1)
