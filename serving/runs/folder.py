"""The folder of runs: which there are, which one readers see, and how that changes.

scores/CURRENT          names the run readers see
       HISTORY.jsonl    every time that changed: when, to what, from what, and why
       run-000042-20240619T000000-3f2a9c1b/   never rewritten
       .work-.../       a run being made; of no concern to readers
       LOCK             who is writing
"""

import json
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from features.durable import flush, rename, writing
from features.errors import BadRun, NoWarehouse
from features.lock import held
from features.pointer import point, pointed
from serving.runs.manifest import MANIFEST, Manifest, damage

__all__ = [
    "HISTORY",
    "current",
    "named",
    "prune",
    "publish",
    "publish_again",
    "remove",
    "rollback",
    "runs",
    "verify",
]

HISTORY = "HISTORY.jsonl"
NAMES = "run-[0-9]*"


def runs(scores: Path) -> list[Path]:
    """Every published run, oldest first; by its number, whatever the clock said."""
    return sorted((folder for folder in scores.glob(NAMES) if folder.is_dir()), key=_sequence)


def current(scores: Path) -> Path:
    """The run that readers see. Raises `NoWarehouse` when nothing has been published."""
    if not (name := pointed(scores)):
        raise NoWarehouse(f"no scores in {scores}: run `python -m serving.batch --as-of DATE`")
    return scores / name


def named(scores: Path, name: str = "") -> Path:
    """The run of that name; the current one without. Raises `BadRun` for a name that is none of them."""
    if not name:
        return current(scores)
    if name not in {folder.name for folder in runs(scores)}:
        raise BadRun(
            f"{scores} holds no run of that name; `python -m serving.runs list` names those there are"
        )
    return scores / name


def verify(folder: Path) -> Manifest:
    """Compare every byte of a run with its manifest. Raises `BadRun`, naming the files that differ."""
    manifest = Manifest.read(folder)
    if found := list(damage(folder, manifest)):
        raise BadRun(f"{'; '.join(found)}. Roll back: python -m serving.runs rollback")
    return manifest


def publish(scores: Path, staged: Path, as_of: datetime, manifest_of: Callable[[str, int], Manifest]) -> Path:
    """Give a finished folder its name and let readers see it. `manifest_of` is told the run's name and number. The lock is held
    by the caller. Until the last step, the pointer's, nothing that readers see has changed."""
    sequence = max((_sequence(folder) for folder in runs(scores)), default=0) + 1
    manifest = manifest_of(f"run-{sequence:06d}-{as_of:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}", sequence)
    (staged / MANIFEST).unlink(missing_ok=True)
    with writing(staged / MANIFEST) as file:
        file.write(manifest.encoded())
    for folder in {staged, *(file.parent for file in staged.rglob("*") if file.is_file())}:
        flush(folder)
    target = scores / manifest.run
    rename(staged, target)
    _switch(scores, manifest.run, "published")
    return target


def publish_again(scores: Path, folder: Path) -> Path:
    """Let readers see a run that was named and then, by a kill, not pointed at."""
    verify(folder)
    _switch(scores, folder.name, "published")
    return folder


def rollback(scores: Path, to: str = "") -> Path:
    """Let readers see an older run again: the one before the current one, or the named one, after comparing every byte of it.

    Raises `BadRun` when there is none or it is damaged; then nothing has changed.
    """
    with held(scores):
        now = current(scores).name
        older = [folder for folder in runs(scores) if folder.name < now]
        if not to and not older:
            raise BadRun(f"{scores} holds no run before the current one; nothing was changed")
        target = named(scores, to) if to else older[-1]
        verify(target)
        _switch(scores, target.name, "rolled back")
        return target


def prune(scores: Path, keep: int) -> list[Path]:
    """Remove all but the newest `keep` runs, never the current one; returns those removed."""
    with held(scores):
        now = pointed(scores)
        gone = [folder for folder in runs(scores)[: -max(keep, 1)] if folder.name != now]
        for folder in gone:
            _away(folder)
        return gone


def remove(scores: Path, folder: Path) -> None:
    """Remove one run; never the one that readers see."""
    with held(scores):
        if folder.name != pointed(scores):
            _away(folder)


def _away(folder: Path) -> None:
    away = folder.with_name(f".gone-{folder.name}")  # no reader meets half a run
    rename(folder, away)
    shutil.rmtree(away)


def _switch(scores: Path, name: str, why: str) -> None:
    before = pointed(scores)
    point(scores, name)
    line = {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "what": why, "run": name, "before": before}
    # The pointer decides; a line that cannot be written does not take the switch back.
    with suppress(OSError), (scores / HISTORY).open("a") as file:
        file.write(json.dumps(line) + "\n")


def _sequence(folder: Path) -> int:
    number = folder.name.split("-")[1]
    return int(number) if number.isdigit() else 0
