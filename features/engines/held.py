"""What an engine holds when it has been opened: raw tables by source name, and what their loader stated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import ibis.expr.types as ir
from ibis import BaseBackend

__all__ = ["LEDGER", "Held"]

# One row per source: source, complete_until, digest of the whole load; what load.json is to a folder.
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
