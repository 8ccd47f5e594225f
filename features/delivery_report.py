"""What became of a delivery, as tables one would show: rows, ledger and rejects per source, and what the checks found."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from features.checks import Finding
from features.errors import NoWarehouse
from features.pointer import pointed
from features.sources import CANONICAL

__all__ = ["LoadReport", "report_of"]

FATES = ("read", "loaded", "delivered twice", "corrections", "rejected")
SELDOM = ("erased", "of cars that have gone")
WIDTH = 150
ORDER = list(CANONICAL)


@dataclass(frozen=True)
class LoadReport:
    """Per source what became of its rows (`FATES`, and `SELDOM` where there are such) and until when it is complete; and the findings of all checks.

    Printed, it shows what needs a look; `in_full` shows every check.
    """

    folder: Path
    counts: Mapping[str, Mapping[str, int]]
    complete_until: Mapping[str, datetime]
    newest: Mapping[str, str | None]
    findings: Sequence[Finding] = ()

    def __str__(self) -> str:
        odd = [finding for finding in self.findings if finding.verdict in ("stop", "allowed")]
        checked = sum(finding.verdict != "not judged" for finding in self.findings)
        closing = f"{checked} checks, " + (f"{len(odd)} not kept" if odd else "all kept")
        return _drawn(self._sources(), *([_checks(odd)] if odd else [])) + closing

    def in_full(self) -> str:
        return _drawn(self._sources(), _checks(self.findings)).rstrip()

    def _sources(self) -> Table:
        table = Table("source", box=None, pad_edge=False)
        fates = (*FATES, *(fate for fate in SELDOM if any(fate in row for row in self.counts.values())))
        for title in (*fates, "newest", "complete until"):
            table.add_column(title, justify="right")
        for name, row in self.counts.items():
            newest = (self.newest.get(name) or "-").replace("T", " ")
            until = f"{self.complete_until[name]:%Y-%m-%d %H:%M}"
            table.add_row(name, *(f"{row.get(fate, 0):,}" for fate in fates), newest, until)
        return table


def report_of(warehouse: Path) -> LoadReport:
    """The report of the load that readers of a warehouse see now. Raises `NoWarehouse` when there is none."""
    folder = warehouse / pointed(warehouse)
    try:
        facts: dict[str, Any] = json.loads((folder / "load.json").read_text())
    except (OSError, ValueError) as error:
        raise NoWarehouse(
            f"no load to report on in {warehouse}: load one with `python -m features.load`"
        ) from error
    return LoadReport(
        folder,
        facts["counts"],
        {name: datetime.fromisoformat(until) for name, until in facts["complete_until"].items()},
        {name: profile["newest"] for name, profile in facts.get("profiles", {}).items()},
        [Finding(**finding) for finding in facts.get("findings", ())],
    )


def _checks(findings: Sequence[Finding]) -> Table:
    """A line per finding; the columns that keep a check share one."""
    table = Table("check", "column", "measured", "allowed", "verdict", box=None, pad_edge=False)
    by_check = sorted(findings, key=lambda found: (ORDER.index(found.source), found.check, found.verdict))
    for (source, check, verdict), some in groupby(by_check, key=lambda f: (f.source, f.check, f.verdict)):
        alike = list(some)
        if verdict == "ok" and len(alike) > 1 and alike[0].column:
            table.add_row(f"{source}.{check}", f"{len(alike)} columns", "", alike[0].allowed, verdict)
            continue
        for one in alike:
            table.add_row(f"{source}.{check}", one.column, one.measured, one.allowed, verdict)
    return table


def _drawn(*tables: Table) -> str:
    console = Console(width=WIDTH, color_system=None)
    with console.capture() as text:
        for table in tables:
            console.print(table)
            console.print()
    return "\n".join(line.rstrip() for line in text.get().splitlines()) + "\n"
