"""By hand in Polars, on its streaming engine: one wide aggregation, and narrower ones joined to it."""

from pathlib import Path

import polars as pl

from benchmarks.features.columns import CHANGES, COUNTS, LAST_SEEN, TOTAL_WINDOWS, ZERO_WHEN_NOTHING, named
from benchmarks.features.events import AS_OF
from features.timeline import midnight

__all__ = ["compute"]

DAY = 86_400
age, ALL = pl.col("age"), pl.lit(True)


def compute(events: Path, threads: int, memory_gb: int, out: Path) -> None:  # noqa: ARG001 - it takes what it needs
    """Write the columns of every customer to a Parquet file. Threads are set by POLARS_MAX_THREADS."""
    at = pl.lit(midnight(AS_OF))
    rows = pl.scan_parquet(f"{events}/touchpoints/*.parquet")
    past = rows.filter(
        pl.col("initiated_by") == "customer",
        pl.col("happened_at") < at,
        pl.col("known_at") < at,
        pl.col("superseded_at").is_null() | (pl.col("superseded_at") >= at),
    ).with_columns(
        age=(at - pl.col("happened_at")).dt.total_seconds(),
        day=pl.col("happened_at").dt.epoch("s") // DAY,
    )
    parts = [
        _counted(past),
        _active_days(past),
        _rhythm(past),
        _signin_rhythm(past),
        _last(past),
        _last_topic(past),
    ]
    parts += [_distinct(past, *asked) for asked in DISTINCT]
    people = pl.scan_parquet(f"{events}/customers/*.parquet").select("customer_id").unique()
    for part in parts:
        people = people.join(part, on="customer_id", how="left")
    people.with_columns(pl.col(ZERO_WHEN_NOTHING).fill_null(0)).sink_parquet(out)


def _within(days: int | None) -> pl.Expr:
    return ALL if days is None else age <= days * DAY


def _counted(past: pl.LazyFrame) -> pl.LazyFrame:
    def holds(column: str, value: str | None) -> pl.Expr:
        return ALL if value is None else pl.col(column) == value

    wanted = [
        (holds(column, value) & _within(days)).sum().cast(pl.Int64).alias(named(name, days))
        for column, value, name, windows in COUNTS
        for days in windows
    ]
    wanted += [
        _within(days).sum().cast(pl.Int64).alias(named("touchpoints", days)) for days in TOTAL_WINDOWS if days
    ]
    wanted += [pl.len().cast(pl.Int64).alias("touchpoints_ever")]
    for column, value, name, windows in CHANGES:
        for days in windows:
            lately, both = ((holds(column, value) & _within(n * days)).sum().cast(pl.Int64) for n in (1, 2))
            wanted.append((2 * lately - both).alias(named(name, days)))
    wanted += [
        (age.filter(holds(column, value)).min() // DAY).alias(name) for column, value, name in LAST_SEEN
    ]
    spent = pl.col("duration_s")
    wanted += [spent.filter(_within(days)).sum().alias(f"touchpoint_time_{days}d_s") for days in (30, 180)]
    wanted += [
        spent.filter(holds("kind", "live_stream") & _within(180)).sum().alias("live_stream_time_180d_s"),
        (age.min() // DAY).alias("days_since_touchpoint"),
        (age.max() // DAY).alias("days_since_first_touchpoint"),
    ]
    return past.group_by("customer_id").agg(wanted)


def _active_days(past: pl.LazyFrame) -> pl.LazyFrame:
    days = past.group_by("customer_id", "day").agg(age.min())
    wanted = [_within(n).sum().cast(pl.Int64).alias(f"active_days_{n}d") for n in (30, 90, 365)]
    for n in (30, 90):
        lately, both = (_within(k * n).sum().cast(pl.Int64) for k in (1, 2))
        wanted.append((2 * lately - both).alias(f"active_days_change_{n}d"))
    return days.group_by("customer_id").agg(wanted)


def _steps(days: pl.LazyFrame) -> pl.LazyFrame:
    """Per customer the distinct days in order, as the days between them."""
    step = pl.col("day").unique().sort().diff().drop_nulls()
    return (
        days.group_by("customer_id")
        .agg(
            steps=step.len().cast(pl.Int64),
            total=step.sum(),
            squares=(step * step).sum(),
            longest=step.max(),
            newest=age.min() // DAY,
        )
        .filter(pl.col("steps") > 0)
    )


def _rhythm(past: pl.LazyFrame) -> pl.LazyFrame:
    steps, total, squares = pl.col("steps"), pl.col("total"), pl.col("squares")
    return _steps(past).select(
        "customer_id",
        mean_days_between_touchpoints=total / steps,
        sd_days_between_touchpoints=(squares * steps - total * total).cast(pl.Float64).sqrt() / steps,
        longest_days_between_touchpoints="longest",
        touchpoint_overdue_ratio=pl.col("newest") / (total / steps),
    )


def _signin_rhythm(past: pl.LazyFrame) -> pl.LazyFrame:
    steps = _steps(past.filter(pl.col("kind") == "activity_signin"))
    return steps.select("customer_id", mean_days_between_activity_signins=pl.col("total") / pl.col("steps"))


def _last(past: pl.LazyFrame) -> pl.LazyFrame:
    # Sorting structs is slow: only the rows of the least age are compared further.
    newest = past.filter(pl.col("age") == pl.col("age").min().over("customer_id"))
    first = (
        newest.sort("known_at", "touchpoint_id", descending=True)
        .group_by("customer_id", maintain_order=True)
        .first()
    )
    return first.select("customer_id", last_touchpoint_channel="channel", last_touchpoint_kind="kind")


def _last_topic(past: pl.LazyFrame) -> pl.LazyFrame:
    return _last(past.filter(pl.col("topic").is_not_null()).with_columns(channel="topic")).select(
        "customer_id", last_content_topic="last_touchpoint_channel"
    )


DISTINCT = (
    ("channel", "touchpoint_channels", ALL, (90, 365)),
    ("kind", "touchpoint_kinds", ALL, (90,)),
    ("campaign", "touchpoint_campaigns", ALL, (180,)),
    ("topic", "content_topics", ALL, (90, 365)),
    ("model", "models_viewed", pl.col("kind") == "model_page", (30, 180)),
)


def _distinct(
    past: pl.LazyFrame, column: str, name: str, test: pl.Expr, windows: tuple[int, ...]
) -> pl.LazyFrame:
    kept = past.filter(test & pl.col(column).is_not_null() & _within(max(windows)))
    newest = kept.group_by("customer_id", column).agg(age.min())
    return newest.group_by("customer_id").agg(
        _within(n).sum().cast(pl.Int64).alias(named(name, n)) for n in windows
    )
