"""What an engine holds when it has been opened: raw tables by source name, and what their loader stated."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
from ibis import BaseBackend

__all__ = ["LEDGER", "Held", "facts_of"]

# One row per source: source, complete_until, digest of the whole load and why it needs no consents, where it needs none; what
# load.json is to a folder.
LEDGER = "load_ledger"


@dataclass(frozen=True)
class Held:
    """`tables` as the engine has them, columns not yet compared with the declaration; `where` names the place
    in errors, without password; `files` are those that tables of a folder consist of, in order."""

    engine: BaseBackend
    tables: Mapping[str, ir.Table]
    where: str
    complete_until: Mapping[str, datetime] = field(default_factory=dict)
    digest: str = ""
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    without_consents: str = ""


def facts_of(stated: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the rows of a ledger say of the whole load, as `Held` has it; a ledger of an earlier release says less."""
    rows = list(stated)
    return {
        "complete_until": {row["source"]: row["complete_until"] for row in rows},
        "digest": max((row["digest"] for row in rows), default=""),
        "without_consents": max((row.get("without_consents", "") for row in rows), default=""),
    }
