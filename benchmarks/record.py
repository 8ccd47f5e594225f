"""A benchmark's result: a table of ratios to look at, and the same with every run in `var/bench`."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

__all__ = ["Ratios", "record", "write"]

PACKAGES = ("duckdb", "ibis-framework", "lightgbm", "numpy", "pandas", "scikit-learn")
Ratios = Mapping[str, Sequence[float]]


def record(
    name: str, title: str, rows: Mapping[str, Ratios], facts: Mapping[str, object] | None = None
) -> Path:
    """Print medians with their range, row by row, and write every run to `var/bench/NAME.json`.

    `rows` holds, per line of the table, the ratios of each column, one per run.
    """
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    table = Table("", *columns, title=title)
    for label, row in rows.items():
        table.add_row(label, *(_cell(row[column]) if column in row else "-" for column in columns))
    if rows:
        Console(width=None if Console().is_terminal else 150).print(table)
    return write(name, {"title": title, "facts": facts or {}, "runs": rows})


def write(name: str, result: Mapping[str, object]) -> Path:
    """Write a result with the versions it was measured with to `var/bench/NAME.json`."""
    file = Path("var/bench") / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    versions = {package: version(package) for package in PACKAGES} | {"python": platform.python_version()}
    file.write_text(json.dumps({"name": name, "versions": versions} | dict(result), indent=1))
    print(f"every run: {file}")
    return file


def _cell(runs: Sequence[float]) -> str:
    return f"{median(runs):.3f} ({min(runs):.3f}-{max(runs):.3f})"
