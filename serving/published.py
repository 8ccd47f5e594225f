"""Published scores: run folders that are never rewritten, a manifest with hashes, one pointer.

scores/run-19980701-3f2a.../churn.parquet        one file per task
                           /MANIFEST.json        what is in it, with counts and SHA-256
scores/CURRENT                                   the run that readers see
"""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from features.digest import sha256_of
from features.errors import NoWarehouse
from features.pointer import point, pointed

__all__ = ["Run", "current_run", "publishing"]

MANIFEST = "MANIFEST.json"


class Run:
    """A run being written. `files` name tables; `facts` go into the manifest."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder, self.facts = folder, facts


@contextmanager
def publishing(scores: Path, as_of: datetime) -> Iterator[Run]:
    """A new run folder to write into; when the block ends well it becomes the current one, else it is gone."""
    name = f"run-{as_of:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
    staging = scores / f".{name}"
    staging.mkdir(parents=True)
    run = Run(staging, {"run": name, "as_of": as_of.isoformat()})
    try:
        yield run
        hashes = {file.name: sha256_of(file) for file in sorted(staging.iterdir())}
        (staging / MANIFEST).write_text(json.dumps({**run.facts, "files": hashes}, indent=1))
        staging.rename(scores / name)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    point(scores, name)
    run.folder = scores / name


def current_run(scores: Path) -> Path:
    """The folder of the published run. Raises `NoWarehouse` when nothing has been published."""
    if not (name := pointed(scores)):
        raise NoWarehouse(f"no scores in {scores}: run `python -m serving.batch --as-of DATE`")
    return scores / name
