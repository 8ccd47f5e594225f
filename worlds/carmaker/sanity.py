"""Does the invented world look like car customers? Its figures beside the figures known of the trade.

The figures of the trade are orientation, not targets: they come from two white papers and published studies.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from worlds.carmaker.tasks import HORIZONS, labelled, open_world
from worlds.carmaker.world import World
from worlds.carmaker.write import read_world

__all__ = ["Figure", "figures", "print_sanity"]


@dataclass(frozen=True)
class Figure:
    """One line of the table: `value` in this world, `low` and `high` where a plausible value lies, what the trade says."""

    name: str
    value: float
    low: float
    high: float
    orientation: str

    @property
    def plausible(self) -> bool:
        return bool(self.low <= self.value <= self.high)


def figures(folder: Path) -> list[Figure]:
    """All figures of a world, computed from the tables of its first blocks (100,000 customers at most)."""
    world, base = read_world(folder), open_world(folder, parts=10)
    day = world.start + timedelta(days=7 * int(world.weeks * 0.52))
    found = _order_shares(base, world) + _service(base, world)
    found += [
        Figure(
            "test drives followed by an order within 30 days",
            _one(base, _DRIVE_TO_ORDER),
            0.08,
            0.30,
            "a lead going cold after 30 days is a rule of the trade",
        ),
        Figure(
            "active people silent for 7 days",
            _one(base, _SILENT, day),
            0.35,
            0.75,
            "the rule '7 days silent' must not catch nobody or everybody",
        ),
        Figure(
            "customers' touchpoints on private channels",
            _one(base, _PRIVATE),
            0.60,
            0.80,
            "68 % follow private channels",
        ),
        Figure(
            "content read by owners that is about maintenance",
            _one(base, _MAINTENANCE),
            0.25,
            0.50,
            "43 % want maintenance tips",
        ),
        Figure("events per customer", _events_per_customer(folder), 70, 130, "about 100"),
    ]
    return found + _stages(base, day) + _rates(base, day)


def print_sanity(folder: Path, console: Console) -> None:
    """Print the figures of a world beside those of the trade, labelled as invented."""
    table = Table(title="Invented carmaker: sanity table (invented data, first blocks)", title_justify="left")
    for heading, side in (
        ("figure", "left"),
        ("here", "right"),
        ("plausible", "right"),
        ("orientation", "left"),
    ):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    for f in figures(folder):
        mark = "" if f.plausible else " !"
        table.add_row(f.name, _show(f.value) + mark, f"{_show(f.low)} to {_show(f.high)}", f.orientation)
    console.print(table)


def _show(value: float) -> str:
    return f"{value:.0f}" if value > 3 else f"{100 * value:.1f} %"


def _one(base: duckdb.DuckDBPyConnection, sql: str, day: date | None = None) -> float:
    (value,) = base.execute(sql, {} if day is None else {"day": day}).fetchall()[0]
    return float("nan") if value is None else float(value)


def _order_shares(base: duckdb.DuckDBPyConnection, world: World) -> list[Figure]:
    """First orders among all, per year of the history, by what the customer owned when ordering."""
    base.execute(_SITUATION_OF_ORDERS)
    found = []
    for year in range(world.years):
        span = {
            "a": world.start + timedelta(days=365 * year),
            "b": world.start + timedelta(days=365 * (year + 1)),
        }
        first = base.execute(
            "SELECT avg((cars = 0)::INT) FROM order_situation WHERE happened_at >= $a AND happened_at < $b",
            span,
        ).fetchone()
        wanted = 0.66 - 0.14 * year / max(world.years - 1, 1)
        orientation = f"66 % towards 52 %: {100 * wanted:.0f} % in this year"
        found.append(
            Figure(
                f"first orders among all, year {year + 1}",
                float(first[0]) if first else 0.0,
                wanted - 0.08,
                wanted + 0.08,
                orientation,
            )
        )
    return found


def _service(base: duckdb.DuckDBPyConnection, world: World) -> list[Figure]:
    """Share of car years with at least one workshop visit, by car year."""
    rows = base.execute(_SERVICE, {"end": world.end - timedelta(days=60), "start": world.start}).fetchall()
    shares: dict[int, float] = dict(rows)
    bounds = {1: (0.6, 0.9), 2: (0.5, 0.85), 3: (0.4, 0.8), 4: (0.2, 0.6), 6: (0.1, 0.45)}
    say = {
        1: "84 % in year one (one study)",
        2: "29 % in year two (one study); later here: warranty lasts 3 years",
        4: "falls after warranty",
    }
    return [
        Figure(
            f"authorised service in car year {y}",
            shares.get(y, float("nan")),
            *bounds[y],
            say.get(y, "falls"),
        )
        for y in bounds
    ]


def _stages(base: duckdb.DuckDBPyConnection, day: date) -> list[Figure]:
    rows: dict[str, float] = dict(base.execute(_STAGES, {"day": day}).fetchall())
    bounds = {
        "owner": (0.25, 0.6),
        "lead": (0.1, 0.5),
        "tested": (0.005, 0.1),
        "ordered": (0.003, 0.05),
        "lapsed": (0.1, 0.5),
    }
    return [
        Figure(f"lifecycle stage: {stage}", rows.get(stage, 0.0), *bounds[stage], "share of known people")
        for stage in bounds
    ]


def _rates(base: duckdb.DuckDBPyConnection, day: date) -> list[Figure]:
    found = []
    for task, horizons in HORIZONS.items():
        for horizon in horizons:
            outcome = labelled(base, task, day, horizon)["outcome"]
            for word in ("additional", "replacement", "defection") if task == "repurchase" else (1,):
                name = f"{task} {horizon} d" + (f": {word}" if task == "repurchase" else "")
                found.append(
                    Figure(
                        name,
                        float((outcome == word).mean()),
                        *_RATES[task, horizon, word],
                        f"base rate on {day}",
                    )
                )
    return found


_RATES: dict[tuple[str, int, Any], tuple[float, float]] = {
    ("purchase_intent", 30, 1): (0.008, 0.035),
    ("purchase_intent", 60, 1): (0.015, 0.06),
    ("purchase_intent", 90, 1): (0.03, 0.08),
    ("churn", 90, 1): (0.10, 0.35),
    ("churn", 180, 1): (0.10, 0.25),
    ("repurchase", 180, "additional"): (0.008, 0.03),
    ("repurchase", 180, "replacement"): (0.025, 0.07),
    ("repurchase", 180, "defection"): (0.018, 0.05),
    ("repurchase", 365, "additional"): (0.02, 0.05),
    ("repurchase", 365, "replacement"): (0.06, 0.12),
    ("repurchase", 365, "defection"): (0.04, 0.08),
    ("upgrade", 365, 1): (0.03, 0.10),
}


def _events_per_customer(folder: Path) -> float:
    events = ("orders", "vehicles", "touchpoints", "visits", "contacts", "points", "referrals", "charges")
    rows = sum(
        pq.ParquetFile(file).metadata.num_rows
        for name in events
        for file in (folder / name).glob("*.parquet")
    )
    return float(rows / read_world(folder).customers)


_SITUATION_OF_ORDERS = """
CREATE OR REPLACE TEMP TABLE order_situation AS
SELECT o.customer_id, o.happened_at, coalesce(sum(CASE v.kind WHEN 'delivery' THEN 1 WHEN 'disposal' THEN -1 END), 0) AS cars
FROM orders o LEFT JOIN vehicles v ON v.customer_id = o.customer_id AND v.happened_at < o.happened_at
WHERE o.kind = 'order' GROUP BY o.customer_id, o.order_id, o.happened_at
"""
_DRIVE_TO_ORDER = """
SELECT avg((EXISTS (FROM orders o WHERE o.kind = 'order' AND o.customer_id = t.customer_id
    AND o.happened_at >= t.happened_at AND o.happened_at < t.happened_at + INTERVAL 30 DAY))::INT)
FROM touchpoints t WHERE kind = 'test_drive'
"""
_SILENT = """
SELECT avg((last_seen < $day::TIMESTAMP - INTERVAL 7 DAY)::INT) FROM (
    SELECT max(happened_at) AS last_seen FROM touchpoints
    WHERE initiated_by = 'customer' AND happened_at < $day AND happened_at >= $day::TIMESTAMP - INTERVAL 90 DAY GROUP BY customer_id)
"""
_PRIVATE = """
SELECT avg((channel IN ('app', 'mini_program', 'official_account', 'wecom'))::INT) FROM touchpoints WHERE initiated_by = 'customer'
"""
_MAINTENANCE = """
SELECT avg((topic = 'maintenance')::INT) FROM touchpoints t
JOIN (SELECT customer_id, min(happened_at) AS first_car FROM vehicles WHERE kind = 'delivery' GROUP BY ALL) USING (customer_id)
WHERE kind = 'content_read' AND happened_at > first_car
"""
_SERVICE = """
WITH cars AS (
    SELECT vehicle_id, min(happened_at) FILTER (kind = 'delivery') AS delivered,
           coalesce(min(happened_at) FILTER (kind = 'disposal'), '2100-01-01'::TIMESTAMP) AS gone FROM vehicles GROUP BY ALL
), car_years AS (
    SELECT vehicle_id, year, delivered + year * INTERVAL 1 YEAR AS upto, delivered + (year - 1) * INTERVAL 1 YEAR AS since
    FROM cars, range(1, 9) AS years(year)
    WHERE delivered + (year - 1) * INTERVAL 1 YEAR >= $start AND delivered + year * INTERVAL 1 YEAR <= least(gone, $end::TIMESTAMP)
), served AS (SELECT DISTINCT y.vehicle_id, year FROM car_years y JOIN visits v ON v.vehicle_id = y.vehicle_id
    AND v.happened_at >= since AND v.happened_at < upto)
SELECT year, avg((s.vehicle_id IS NOT NULL)::INT) FROM car_years y LEFT JOIN served s USING (vehicle_id, year) GROUP BY ALL
"""
_STAGES = """
WITH cars AS (SELECT customer_id, sum(CASE kind WHEN 'delivery' THEN 1 ELSE -1 END) AS cars, max(happened_at) AS last_car
    FROM vehicles WHERE happened_at < $day GROUP BY ALL),
ordered AS (SELECT customer_id, max(happened_at) AS ordered_at FROM orders o WHERE kind = 'order' AND happened_at < $day
    AND NOT EXISTS (FROM orders c WHERE c.cancels = o.order_id AND c.happened_at < $day) GROUP BY ALL),
seen AS (SELECT customer_id, max(happened_at) AS seen, max(happened_at) FILTER (kind = 'test_drive') AS drove
    FROM touchpoints WHERE initiated_by = 'customer' AND happened_at < $day GROUP BY ALL),
people AS (SELECT DISTINCT customer_id FROM raw_customers WHERE known_at < $day AND customer_id NOT IN (SELECT old FROM merged)),
stages AS (SELECT CASE
    WHEN ordered_at > coalesce(last_car, '1900-01-01'::TIMESTAMP) THEN 'ordered'
    WHEN coalesce(seen, '1900-01-01'::TIMESTAMP) < $day::TIMESTAMP - INTERVAL 180 DAY THEN 'lapsed'
    WHEN cars > 0 THEN 'owner'
    WHEN drove >= $day::TIMESTAMP - INTERVAL 90 DAY THEN 'tested'
    ELSE 'lead' END AS stage
    FROM people LEFT JOIN cars USING (customer_id) LEFT JOIN ordered USING (customer_id) LEFT JOIN seen USING (customer_id))
SELECT stage, count(*) / sum(count(*)) OVER () FROM stages GROUP BY ALL
"""
