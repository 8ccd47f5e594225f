"""To keep for as long as is owed, and then to drop: what is due goes in one command, recorded before it goes.

    python -m serving.retention                 what is kept, for how long, and what is due
    python -m serving.retention --apply         removes it

    scores           runs, and the log of scores given: as long as the cards of their models say (three years where they do not)
    audit trail      three years, at least the six months that network logs are owed
    rejects          lists of rejected rows and refused loads: six months

A file goes whole, when the youngest thing in it is due; the run that readers see never goes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from features import audit
from features.audit.trail import ANCHOR, CHAIN
from features.command import run
from features.home import anchors_folder, audit_folder, data_folder, scores_folder, warehouse_address
from features.pointer import pointed
from serving.runs.folder import remove, runs
from serving.runs.manifest import Manifest
from serving.score_log import SUFFIX
from training import registry

__all__ = ["THREE_YEARS", "Due", "apply", "due"]

THREE_YEARS, SIX_MONTHS = timedelta(days=1_096), timedelta(days=184)


@dataclass(frozen=True)
class Due:
    """One thing that has been kept long enough: what it is, since when it is due, and how it goes."""

    what: str
    name: str
    since: datetime
    go: Callable[[], None]


def due(now: datetime) -> list[Due]:
    """Everything whose time is over at `now` (UTC with its zone), oldest first."""
    found = [*_runs(now), *_logs(now), *_chains(now), *_rejects(now)]
    return sorted(found, key=lambda one: one.since)


def apply(now: datetime) -> list[Due]:
    """Remove it; one record each, before it goes. Raises `NotAudited`, and then nothing goes."""
    found = due(now)
    for one in found:
        told = audit.Entry(
            who=audit.whoever(), action="retention", purpose="retention", result="removed", told=f"{one.what} {one.name}"
        )  # fmt: skip
        audit.noted(told)
        one.go()
    return found


def kept_for(tasks: list[str]) -> timedelta:
    """How long scores of these tasks are kept: the longest that a card says."""
    said = {champion.task: champion.loaded.card.retention_days for champion in registry.champions()}
    days = [said.get(task) or THREE_YEARS.days for task in tasks]
    return timedelta(days=max(days, default=THREE_YEARS.days))


def _runs(now: datetime) -> Iterator[Due]:
    scores = scores_folder()
    for folder in runs(scores):
        manifest = Manifest.read(folder)
        over = manifest.made_at.replace(tzinfo=UTC) + kept_for(list(manifest.tasks))
        if over <= now and folder.name != pointed(scores):
            yield Due("run of scores", folder.name, over, partial(remove, scores, folder))


def _logs(now: datetime) -> Iterator[Due]:
    keep = kept_for([champion.task for champion in registry.champions()])
    yield from _files(now, "score log", (data_folder() / "score-log").glob(f"*{SUFFIX}"), keep)


def _chains(now: datetime) -> Iterator[Due]:
    for chain in audit_folder().glob(f"*{CHAIN}"):
        over = _last_written(chain) + THREE_YEARS
        anchors = anchors_folder() / f"{chain.stem}{ANCHOR}"
        if over <= now:
            yield Due("audit chain", chain.stem, over, partial(_unlink, anchors, chain))


def _rejects(now: datetime) -> Iterator[Due]:
    if ":" not in warehouse_address():
        folder = Path(warehouse_address())
        yield from _files(now, "rejects", [*folder.glob("rejects-*"), *folder.glob("refused-*")], SIX_MONTHS)


def _files(now: datetime, what: str, files: Iterator[Path] | list[Path], keep: timedelta) -> Iterator[Due]:
    for file in files:
        if (over := _last_written(file) + keep) <= now:
            yield Due(what, file.name, over, partial(_unlink, file))


def _last_written(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _unlink(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    apply_: Annotated[bool, typer.Option("--apply", help="remove what is due")] = False,
    at: Annotated[
        datetime | None, typer.Option("--now", help="as if it were this moment, UTC; default: now")
    ] = None,
) -> None:
    """Say what is due, or remove it."""
    now = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    found = apply(now) if apply_ else due(now)
    table = Table("what", "name", "due since", box=None)
    for one in found:
        table.add_row(one.what, one.name, f"{one.since:%Y-%m-%d}")
    Console(width=None if Console().is_terminal else 130).print(table)
    print(f"{len(found)} {'removed' if apply_ else 'due'}")


if __name__ == "__main__":
    run(app)
