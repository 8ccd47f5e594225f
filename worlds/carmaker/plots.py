"""`python -m worlds.carmaker.plots DIR --to DIR2`: pictures of an invented world, to look at."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import duckdb
import matplotlib as mpl
import numpy as np
import typer
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from rich.console import Console

from worlds.carmaker.season import SPRING_FESTIVAL
from worlds.carmaker.tasks import open_world
from worlds.carmaker.world import World
from worlds.carmaker.write import NotOursError, read_world

__all__ = ["draw"]

INK, QUIET, WARM, COLD = "#22303c", "#9aa7b1", "#d1603d", "#2f6f8f"
Picture = Callable[[World, duckdb.DuckDBPyConnection], Figure]


def draw(folder: Path, to: Path) -> list[Path]:
    """Draw all pictures of the world in `folder` as PNG files into `to`; returns the files."""
    world, base = read_world(folder), open_world(folder, parts=4)
    to.mkdir(parents=True, exist_ok=True)
    mpl.use("Agg")
    files = []
    with mpl.rc_context(
        {
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": QUIET,
            "text.color": INK,
        }
    ):
        for name, picture in PICTURES.items():
            figure = picture(world, base)
            files.append(to / f"{name}.png")
            figure.savefig(files[-1], dpi=120)
            plt.close(figure)
    return files


def _canvas(title: str, height: float = 4.2) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(9, height), layout="constrained")
    axes.set_title(title, loc="left", color=INK, fontsize=12)
    axes.set_title("invented data", loc="right", color=QUIET, fontsize=8)
    return figure, axes


LANES = {
    "cars": "SELECT happened_at, kind FROM vehicles WHERE customer_id = $who",
    "orders": "SELECT happened_at, kind FROM orders WHERE customer_id = $who",
    "test drives": "SELECT happened_at, '' FROM touchpoints WHERE customer_id = $who AND kind = 'test_drive'",
    "showroom": "SELECT happened_at, '' FROM touchpoints WHERE customer_id = $who AND kind = 'showroom_visit'",
    "looking at cars": "SELECT happened_at, '' FROM touchpoints WHERE customer_id = $who AND kind IN ('model_page', 'configurator', 'quote_request', 'page_view', 'valuation_request')",
    "app and content": "SELECT happened_at, '' FROM touchpoints WHERE customer_id = $who AND initiated_by = 'customer' AND kind IN ('app_open', 'activity_signin', 'content_read', 'mini_program', 'social', 'post', 'live_stream')",
    "complaints": "SELECT happened_at, '' FROM touchpoints WHERE customer_id = $who AND kind = 'complaint'",
    "workshop": "SELECT happened_at, kind FROM visits WHERE customer_id = $who",
    "messages sent": "SELECT happened_at, '' FROM raw_contacts WHERE customer_id = $who AND kind = 'sent' AND channel IS NOT NULL",
}


def _one_life(world: World, base: duckdb.DuckDBPyConnection) -> Figure:
    """A replacement buyer with a rich history, chosen by rule: the first of those with test drive, visits and a trade-in."""
    (who,) = base.execute(_RICH_LIFE, {"start": world.start + timedelta(days=400)}).fetchall()[0]
    figure, axes = _canvas(f"One customer's life: {who}", 4.6)
    for height, (lane, sql) in enumerate(reversed(LANES.items())):
        events = [row for row in base.execute(sql, {"who": who}).fetchall() if row[0].date() >= world.start]
        color = WARM if lane in {"cars", "orders", "test drives", "complaints"} else COLD
        axes.scatter(
            [row[0] for row in events], [height] * len(events), s=26, color=color, alpha=0.7, linewidths=0
        )
        for happened, word in events:
            if lane in {"cars", "orders"}:
                below = word in {"disposal", "cancellation"}
                axes.annotate(
                    word,
                    (happened, height),
                    xytext=(0, -14 if below else 6),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
    axes.set_yticks(range(len(LANES)), list(reversed(LANES)))
    axes.set_xlim(date2num(world.start), date2num(world.end))
    axes.set_ylim(-0.6, len(LANES) - 0.3)
    axes.grid(axis="y", color="#eef1f3")
    axes.tick_params(axis="y", length=0)
    return figure


def _events_per_week(world: World, base: duckdb.DuckDBPyConnection) -> Figure:
    rows = base.execute(_WEEKLY, {"start": world.start, "end": world.end - timedelta(days=42)}).fetchall()
    last = max(row[1] for row in rows)  # a part of a week
    figure, axes = _canvas("Events per week, each relative to its own mean")
    for kind, color in (("test drives", WARM), ("orders", INK), ("touchpoints", COLD)):
        week, count = zip(
            *((row[1], row[2]) for row in rows if row[0] == kind and row[1] < last), strict=True
        )
        values = np.array(count, float)
        axes.plot(
            [np.datetime64(world.start) + np.timedelta64(int(w) * 7, "D") for w in week],
            values / values.mean(),
            color=color,
            label=kind,
            lw=1.4,
        )
    for year in range(world.start.year, world.end.year + 1):
        festival = SPRING_FESTIVAL.get(year, date(year, 2, 5))
        if world.start < festival < world.end:
            axes.axvline(float(date2num(festival)), color=QUIET, lw=0.8, ls=":")
            axes.annotate(
                "Spring Festival",
                (float(date2num(festival)), 0.02),
                xycoords=("data", "axes fraction"),
                rotation=90,
                fontsize=8,
                color=QUIET,
            )
    axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
    axes.legend(frameon=False, ncols=3, loc="upper left")
    return figure


def _retention(world: World, base: duckdb.DuckDBPyConnection) -> Figure:
    rows = base.execute(_RETENTION, {"end": world.end - timedelta(days=400), "start": world.start}).fetchall()
    figure, axes = _canvas("Still in touch after delivery")
    axes.plot([row[0] for row in rows], [100 * row[1] for row in rows], color=COLD, lw=2, clip_on=False)
    for day in (30, 60, 90):
        share = next(100 * row[1] for row in rows if row[0] == day)
        axes.scatter([day], [share], color=WARM, zorder=3)
        axes.annotate(
            f"day {day}\n{share:.0f} %",
            (day, share),
            xytext=(0, -30),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axes.set_xlabel("days since delivery")
    axes.set_ylabel("per cent seen within the next 30 days")
    axes.set_ylim(0, 102)
    return figure


def _replacement_hazard(world: World, base: duckdb.DuckDBPyConnection) -> Figure:
    rows = base.execute(_HAZARD, {"start": world.start, "end": world.end - timedelta(days=130)}).fetchall()
    figure, axes = _canvas("How likely is a car to leave, by its age?")
    width = 0.2
    for kind, color, shift in (("replacement", COLD, -width / 2), ("defection", WARM, width / 2)):
        found = {row[0]: row[2] for row in rows if row[1] == kind}
        age = np.array(sorted(found))
        axes.bar(
            age / 2 + 0.25 + shift, [100 * found[a] for a in age], width=width, color=color, label=f"{kind}"
        )
    axes.axvline(3, color=QUIET, lw=0.8, ls=":")
    axes.annotate(
        "warranty ends, most finance too",
        (3.05, 0.95),
        xycoords=("data", "axes fraction"),
        fontsize=8,
        color=QUIET,
        va="top",
    )
    axes.set_xlabel("age of the car in years")
    axes.set_ylabel("per cent per year")
    axes.set_xlim(0, 10)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 0.9))
    return figure


PICTURES: dict[str, Picture] = {
    "one_life": _one_life,
    "events_per_week": _events_per_week,
    "retention": _retention,
    "replacement_hazard": _replacement_hazard,
}

_RICH_LIFE = """
SELECT v.customer_id FROM vehicles v
WHERE v.kind = 'disposal' AND disposal_kind = 'trade_in' AND v.happened_at > $start
AND v.customer_id IN (SELECT customer_id FROM touchpoints WHERE kind = 'test_drive')
AND v.customer_id IN (SELECT customer_id FROM visits GROUP BY ALL HAVING count(*) >= 3)
AND v.customer_id IN (SELECT customer_id FROM touchpoints WHERE kind = 'complaint')
ORDER BY 1 LIMIT 1
"""
_WEEKLY = """
WITH events AS (
    SELECT happened_at, 'touchpoints' AS name FROM touchpoints WHERE initiated_by = 'customer'
    UNION ALL SELECT happened_at, 'test drives' FROM touchpoints WHERE kind = 'test_drive'
    UNION ALL SELECT happened_at, 'orders' FROM orders WHERE kind = 'order')
SELECT name, epoch(happened_at - $start::TIMESTAMP)::BIGINT // 604800 AS week, count(*) AS events FROM events
WHERE happened_at >= $start AND happened_at < $end GROUP BY 1, 2 ORDER BY 1, 2
"""
_RETENTION = """
WITH new AS (SELECT customer_id, min(happened_at)::DATE AS delivered FROM vehicles
    WHERE kind = 'delivery' AND happened_at >= $start AND happened_at < $end GROUP BY ALL),
seen AS (
    SELECT customer_id, happened_at::DATE AS day FROM touchpoints WHERE initiated_by = 'customer'
    UNION SELECT customer_id, happened_at::DATE FROM visits),
days AS (SELECT unnest(range(0, 271, 10)) AS d),
lasting AS (
    SELECT d, n.customer_id, max(coalesce((s.day >= delivered + d::INT AND s.day < delivered + d::INT + 30)::INT, 0)) AS there
    FROM new n CROSS JOIN days LEFT JOIN seen s ON s.customer_id = n.customer_id GROUP BY ALL)
SELECT d, avg(there) FROM lasting GROUP BY d ORDER BY d
"""
_HAZARD = """
WITH cars AS (
    SELECT vehicle_id, any_value(customer_id) AS customer_id, min(happened_at) FILTER (kind = 'delivery') AS delivered,
        min(happened_at) FILTER (kind = 'disposal') AS gone FROM vehicles GROUP BY ALL HAVING delivered IS NOT NULL),
told AS (SELECT cars.*, EXISTS (FROM orders o WHERE o.customer_id = cars.customer_id AND o.kind = 'order'
    AND o.happened_at > gone - INTERVAL 120 DAY AND o.happened_at <= gone + INTERVAL 60 DAY) AS replaced FROM cars),
ages AS (SELECT *, unnest(range(0, 20)) AS half FROM told),
risk AS (SELECT half, replaced, gone,
    greatest(delivered + half * INTERVAL 6 MONTH, $start::TIMESTAMP) AS since,
    least(delivered + (half + 1) * INTERVAL 6 MONTH, $end::TIMESTAMP, coalesce(gone, $end::TIMESTAMP)) AS upto FROM ages),
years AS (SELECT half, sum(date_diff('hour', since, upto)) / 8766 AS years,
    count(*) FILTER (gone = upto AND replaced) AS replaced, count(*) FILTER (gone = upto AND NOT replaced) AS defected
    FROM risk WHERE upto > since GROUP BY ALL HAVING years > 50)
SELECT half, 'replacement', replaced / years FROM years UNION ALL SELECT half, 'defection', defected / years FROM years ORDER BY 1, 2
"""


def main(
    folder: Annotated[Path, typer.Argument(help="a carmaker world")],
    to: Annotated[Path, typer.Option(help="folder for the pictures")],
) -> None:
    """Draw one life, events per week, retention after delivery and the hazard of replacement."""
    try:
        files: list[Any] = draw(folder, to)
    except NotOursError as error:
        Console(stderr=True).print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    for file in files:
        typer.echo(f"invented data: {file}")


if __name__ == "__main__":
    typer.run(main)
