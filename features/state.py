"""What is kept beside the nightly rows so that the next night need not start anew: everyone's needs.

    rows-20250701T000000-1f2e3d4c.arrow      the rows that readers see
    needs-20250701T000000-1f2e3d4c/          a folder of Parquet parts per source, and facts.json

The facts say which date, which needs, which meaning of them and which engine; and the hash of each file. What
does not match is not used.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ibis import BaseBackend

from features.digest import sha256_of
from features.feature import SEMANTICS
from features.needs import Need

__all__ = ["Kept", "beside", "kept", "seal", "why_not_on"]

FACTS = "facts.json"
LAYOUT = "2"  # raise it when the files or the fingerprints in them are made in another way


@dataclass(frozen=True)
class Kept:
    """The needs of one date, in files that are as they were sealed."""

    folder: Path
    as_of: datetime

    def parts(self, group: str) -> Path:
        """The folder of what a group needs, a part per piece of customers."""
        return self.folder / group.replace(" ", "-")


def beside(rows: Path) -> Path:
    """Where the needs lie that belong to a file of rows."""
    return rows.with_name(rows.stem.replace("rows-", "needs-", 1))


def why_not_on(engine: BaseBackend) -> str:
    """Why nothing can be kept on an engine; empty when it can."""
    return "" if engine.name == "duckdb" else f"needs are kept only on duckdb, and this is {engine.name}"


def seal(folder: Path, as_of: datetime, needs: Iterable[Need], engine: BaseBackend) -> None:
    """Write the facts of the files in the folder: from now on they do not change."""
    parts = sorted(folder.glob("*/*.parquet"))
    files = {file.relative_to(folder).as_posix(): sha256_of(file) for file in parts}
    facts = {"as_of": as_of.isoformat(), "files": files, **_meaning(needs, engine)}
    (folder / FACTS).write_text(json.dumps(facts, indent=1))


def kept(folder: Path, needs: Iterable[Need], engine: BaseBackend) -> Kept | str:
    """The needs kept in a folder, or the reason why they are of no use for measuring these."""
    if not (folder / FACTS).is_file():
        return "no needs are kept beside the rows before"
    facts = json.loads((folder / FACTS).read_text())
    for what, wanted in _meaning(needs, engine).items():
        if facts.get(what) != wanted:
            return f"the {what} of the needs kept are no longer those of today"
    for name, digest in facts["files"].items():
        if not (folder / name).is_file() or sha256_of(folder / name) != digest:
            return f"{name} of the needs kept is missing or altered"
    return Kept(folder, datetime.fromisoformat(facts["as_of"]))


def _meaning(needs: Iterable[Need], engine: BaseBackend) -> dict[str, str]:
    """What must be the same for needs to be carried over. Row fingerprints hold within one engine version."""
    text = "\n".join(sorted(repr(need) for need in needs))
    return {
        "definitions": hashlib.sha256(text.encode()).hexdigest(),
        "semantics": f"{SEMANTICS}, layout {LAYOUT}",
        "engine": f"{engine.name} {engine.version}",
    }
