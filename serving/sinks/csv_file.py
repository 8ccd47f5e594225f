"""A run's wide table as CSV that a spreadsheet opens safely.

A text that begins like a formula (= + - @, a tab, a return) gets an apostrophe before it, and so does one that already begins with an
apostrophe, so that `restored` gives back what was there. Numbers are numbers. With `bom`, Excel takes the file for UTF-8.
"""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from features.durable import Hashed, rename, writing
from serving.runs import Run

__all__ = ["restored", "safe", "write_csv"]

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
BOM = b"\xef\xbb\xbf"


def safe(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(DANGEROUS) else text


def restored(cell: str) -> str:
    """What `safe` was given."""
    return cell[1:] if cell.startswith("'") else cell


def write_csv(run: Run, file: Path, *, bom: bool = False) -> int:
    """Write the wide table; the file appears when it is complete. Returns the number of customers."""
    beside, count = file.with_name(f".{file.name}-{os.getpid()}"), 0
    beside.unlink(missing_ok=True)
    try:
        with writing(beside) as sink:
            sink.write(BOM if bom else b"")
            names: list[str] = []
            for table in run.rows("wide"):
                if not names:
                    names = table.column_names
                    _lines(sink, [names])
                _lines(sink, zip(*(table[name].to_pylist() for name in names), strict=True))
                count += len(table)
        rename(beside, file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return count


def _lines(sink: Hashed, rows: Iterable[Iterable[object]]) -> None:
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\r\n")
    writer.writerows([safe(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    sink.write(page.getvalue().encode())
