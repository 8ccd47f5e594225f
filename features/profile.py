"""The profile of a loaded table: what checks compare and the next load is compared with.

Plain numbers, ready for JSON: rows per day by `known_at`; per column how often it is told, and of numbers the least,
greatest, mean, deviation and median, of words how often each comes; all rows, and apart those that became known in
the last four weeks and before. Words that few rows hold are not named: somebody may have typed a name there.
"""

from typing import Any

import duckdb

from features.contract import quoted
from features.sources import Column, Source

__all__ = ["RECENT_DAYS", "Profile", "profile"]

RECENT_DAYS = 28
FEWEST_ROWS_NAMED = 20
MOST_WORDS = 200

Profile = dict[str, Any]


def profile(engine: duckdb.DuckDBPyConnection, source: Source) -> Profile:
    """Describe the rows of a source that the engine holds as `kept`: there its memory limit holds, which reading the
    files written from them would not keep. `columns[name][period]` is None where a period has no rows."""
    newest, rows = engine.execute("SELECT max(known_at), count(*) FROM kept").fetchall()[0]
    if not rows:
        return {"rows": 0, "newest": None, "days": {}, "columns": {}}
    recent = f"date_diff('day', known_at, TIMESTAMP '{newest}') < {RECENT_DAYS}"
    days = engine.execute("SELECT known_at::DATE, count(*) FROM kept GROUP BY 1 ORDER BY 1").fetchall()
    measured = [c for c in source.columns if c.name not in (source.key, "superseded_at")]
    columns = _numbers(engine, measured, recent)
    for column in measured:
        if column.values or column.usual:
            _add_words(engine, column.name, recent, columns[column.name])
    return {
        "rows": rows,
        "newest": newest.isoformat(),
        "days": {day.isoformat(): count for day, count in days},
        "columns": columns,
    }


def _numbers(engine: duckdb.DuckDBPyConnection, columns: list[Column], recent: str) -> dict[str, Profile]:
    """Per column and period (`recent`, `before`, `all`): rows, told and, of numbers, where they lie."""
    asked = []
    for column in columns:
        name = quoted(column.name)
        asked.append(f"'told': count({name})")
        if column.type == "int64":
            asked[-1] += (
                f", 'least': min({name}), 'greatest': max({name}), 'mean': avg({name}), "
                f"'sd': stddev_pop({name}), 'median': approx_quantile({name}, 0.5)"
            )
    values = ", ".join(f"{{'rows': count(*), {each}}}" for each in asked)
    found = engine.execute(
        f"SELECT {recent} AS recent, {values} FROM kept GROUP BY GROUPING SETS ((recent), ())"
    ).fetchall()
    periods = {True: "recent", False: "before", None: "all"}
    by_period = {periods[row[0]]: row[1:] for row in found}
    return {
        column.name: {
            period: by_period[period][n] if period in by_period else None for period in periods.values()
        }
        for n, column in enumerate(columns)
    }


def _add_words(engine: duckdb.DuckDBPyConnection, name: str, recent: str, found: Profile) -> None:
    """Add `words`, how many rows hold each, to each period of a column."""
    counted = engine.execute(
        f"SELECT {quoted(name)}, count(*) FILTER ({recent}), count(*) FROM kept WHERE {quoted(name)} IS NOT NULL "
        f"GROUP BY ALL HAVING count(*) >= {FEWEST_ROWS_NAMED} ORDER BY 3 DESC, 1 LIMIT {MOST_WORDS}"
    ).fetchall()
    words = {
        "all": {word: total for word, _, total in counted},
        "recent": {word: lately for word, lately, _ in counted if lately},
        "before": {word: total - lately for word, lately, total in counted if total > lately},
    }
    for period, counts in words.items():
        if found[period] is not None:
            found[period]["words"] = counts
