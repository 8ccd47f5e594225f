"""Persons taken out of what the serving half keeps: runs of scores, the log of scores given, answers kept for repeats."""

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.durable import flush, rename, writing
from features.lock import held
from features.standing import ERASED
from serving.runs.folder import runs
from serving.runs.manifest import MANIFEST, FileFacts, Manifest, content_of
from serving.runs.tables import write_parquet
from serving.runs.without import without
from serving.score_log import SUFFIX, blanked

__all__ = ["forget_in_answers", "forget_in_runs", "forget_in_score_log"]

Persons = Collection[str]


def forget_in_runs(persons: Persons, scores: Path) -> int:
    """Write every run that names one of them anew, with a manifest that says so; returns how many. What is being made is dropped:
    it is made again. Raises `RunInProgress` while a batch is at work there."""
    if not scores.is_dir():
        return 0
    with held(scores):
        for left in (*scores.glob(".work-*"), *scores.glob(".gone-*"), *scores.glob(".erasing-*")):
            shutil.rmtree(left)
        _put_back(scores)
        found = [run for run in runs(scores) if _anew(run, persons)]
        if found:
            for state in scores.glob("FEED-*.json"):
                state.unlink()  # a feed goes on by the number of a line, and lines have gone
    return len(found)


def _put_back(scores: Path) -> None:
    """A run that lay aside when its successor was to take its name."""
    for aside in scores.glob(".aside-*"):
        target = scores / aside.name.removeprefix(".aside-")
        if target.exists():
            shutil.rmtree(aside)
        else:
            rename(aside, target)


def _anew(run: Path, persons: Persons) -> bool:
    manifest = Manifest.read(run)
    staged = run.with_name(f".erasing-{run.name}")
    shutil.copytree(run, staged, copy_function=os.link)  # whatever is rewritten becomes a file of its own
    gone = {task: dict.fromkeys(persons, ERASED) for task in manifest.tasks}
    files, tasks = without(staged, manifest.files, manifest.tasks, gone)
    files = {**files, **_rejected(staged, manifest, persons)}
    if files != manifest.files:
        files = {**files, **_promised(staged, files)}
    if files == manifest.files:
        shutil.rmtree(staged)
        return False
    told = msgspec.structs.replace(manifest, files=dict(files), tasks=dict(tasks), content=content_of(files))
    (staged / MANIFEST).unlink()
    with writing(staged / MANIFEST) as file:
        file.write(told.encoded())
    for folder in {staged, *(file.parent for file in staged.rglob("*") if file.is_file())}:
        flush(folder)
    aside = run.with_name(f".aside-{run.name}")
    rename(run, aside)
    rename(staged, run)
    shutil.rmtree(aside)
    return True


def _promised(folder: Path, files: Mapping[str, FileFacts]) -> dict[str, FileFacts]:
    """What was promised of groups in which nobody is left names them no more."""
    left: dict[str, set[str]] = {}
    for name in files:
        if name.startswith("segments/"):
            held = pq.read_table(folder / name, memory_map=False)
            for segment in held.column_names[1:]:
                left.setdefault(segment, set()).update(held[segment].unique().to_pylist())
    made = {}
    for name in files:
        if name.startswith("forecast/"):
            told = pq.read_table(folder / name, memory_map=False)
            pairs = zip(told["segment"].to_pylist(), told["value"].to_pylist(), strict=True)
            kept = [segment not in left or value in left[segment] for segment, value in pairs]
            if not all(kept):
                (folder / name).unlink()
                made[name] = write_parquet(folder / name, told.filter(pa.array(kept)))
    return made


def _rejected(folder: Path, manifest: Manifest, persons: Persons) -> dict[str, FileFacts]:
    made = {}
    for name in manifest.files:
        if name.startswith("rejected/"):
            table = pq.read_table(folder / name, memory_map=False)
            mine = pc.is_in(table["customer_id"], pa.array(sorted(persons), pa.string()))
            if pc.any(mine).as_py():
                (folder / name).unlink()
                made[name] = write_parquet(folder / name, table.filter(pc.invert(mine)))
    return made


def forget_in_score_log(persons: Persons, folder: Path) -> int:
    """Blank their scores where they stand; those of others keep their places, and so their ids. Returns how many."""
    return sum(blanked(segment, persons) for segment in sorted(folder.glob(f"*{SUFFIX}")))


def forget_in_answers(persons: Persons, folder: Path) -> int:
    """Remove answers that name one of them; returns how many."""
    found = 0
    names = [one.encode() for one in persons]
    for file in (one for one in folder.rglob("*") if one.is_file()):
        content = file.read_bytes()
        if any(name in content for name in names):
            file.unlink()
            found += 1
    return found
