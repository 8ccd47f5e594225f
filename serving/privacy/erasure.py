"""To forget a person: refused at once, then taken out of every store, one after the other; each step can be repeated.

    told     a keyed tombstone in the ledger: from now on nobody scores or loads them, whatever file they come back in
    journal  erasing/<pseudonym>.json, the only place that still names them; it goes when all is done
    stores   warehouse, nightly rows, histories, runs of scores, score log, answers kept for repeats
    receipt  receipts/<pseudonym>.json, and a record in the audit trail: when, by whom, what went from where

Outside our control, and told so in the receipt: what was delivered to us and still lies there, a warehouse that does not let us delete,
and what others fetched or were sent. A tombstone outlives it all, so that none of these brings anybody back.
"""

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from features import audit
from features.durable import put
from features.forget import forget_in_rows, forget_in_warehouse, identities_of
from features.home import data_folder, scores_folder, warehouse_address
from features.lock import held
from features.standing import Standing
from serving.privacy.stores import forget_in_answers, forget_in_runs, forget_in_score_log

__all__ = ["Receipt", "erase", "finish", "finish_beside", "unfinished"]

log = logging.getLogger(__name__)

WAREHOUSE = "rows of the warehouse"
NOT_OURS = "the warehouse does not let us delete: delete there, or publish again"
OUTSIDE = (
    "deliveries that still lie where they came in: delete them there; loading them again brings nobody back",
    "what was copied, exported or sent on: tell those who have it",
)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was done for one person; it names them by pseudonym only. `gone` counts by store."""

    subject: str
    identities: int
    asked_at: datetime
    done_at: datetime
    by: str
    gone: dict[str, int]
    outside: tuple[str, ...]


class _Begun(msgspec.Struct, frozen=True):
    """An erasure that is under way: the only place that still names the person."""

    persons: list[str]
    asked_at: datetime
    by: str


def erase(customer_id: str, by: str = "") -> Receipt:
    """Forget a person under all their ids. Raises `RunInProgress` while somebody else is erased, `LedgerUnreadable`, `NotAudited` or
    `OSError`; called again it goes on."""
    by = by or audit.whoever()
    with _alone():
        persons = {customer_id} | identities_of(customer_id, warehouse_address())
        journal = _folder("erasing") / f"{Standing.here().pseudonyms.of(customer_id)}.json"
        if journal.exists():  # what was merged with whom may be gone already
            persons |= set(msgspec.json.decode(journal.read_bytes(), type=_Begun).persons)
        begun = _Begun(sorted(persons), datetime.now(UTC).replace(microsecond=0), by)
        put(journal, msgspec.json.encode(begun))
        return _finish(journal)


def finish() -> list[Receipt]:
    """Go on with every erasure that was interrupted; the batch does so before its work. Raises as `erase` does."""
    if not _left():
        return []
    with _alone():
        return [_finish(journal) for journal in unfinished()]


def finish_beside() -> "subprocess.Popen[bytes] | None":
    """Go on with what was interrupted in a process of its own, while a service answers others; None where nothing was. Of several
    workers that start at once, one does it and the others' say that it is being done."""
    if not _left():
        return None
    log.warning("an erasure was interrupted; it goes on in a process of its own")
    return subprocess.Popen([sys.executable, "-m", "serving.privacy", "finish"], stdin=subprocess.DEVNULL)


@contextmanager
def _alone() -> Iterator[None]:
    """One erasure at a time; a journal that was half-written when its process died names somebody nobody was asked to forget yet."""
    with held(_folder("erasing")):
        for left in _folder("erasing").glob("*.json-*"):
            left.unlink()
        yield


def unfinished() -> list[Path]:
    """The journals of erasures that are under way or were interrupted."""
    return sorted(_folder("erasing").glob("*.json"))


def _left() -> bool:
    """Whether a journal is there, be it half-written."""
    return any(_folder("erasing").glob("*.json*"))


def _finish(journal: Path) -> Receipt:
    begun = msgspec.json.decode(journal.read_bytes(), type=_Begun)
    persons, standing = set(begun.persons), Standing.here()
    if new := persons - standing.now().erased(persons):
        standing.tell([(one, "all", "erased") for one in sorted(new)], begun.by)
    rows = forget_in_warehouse(persons, warehouse_address())
    gone = {WAREHOUSE: rows or 0} | {name: forget(persons) for name, forget in _stores().items()}
    receipt = Receipt(
        subject=journal.stem,
        identities=len(persons),
        asked_at=begun.asked_at,
        done_at=datetime.now(UTC).replace(microsecond=0),
        by=begun.by,
        gone=gone,
        outside=OUTSIDE if rows is not None else (NOT_OURS, *OUTSIDE),
    )
    audit.noted(
        audit.Entry(who=begun.by, action="erasure", purpose="all", result="done", subjects=[journal.stem])
    )
    receipts = _folder("receipts")
    receipts.mkdir(parents=True, exist_ok=True)
    put(receipts / journal.name, msgspec.json.format(msgspec.json.encode(receipt), indent=1))
    journal.unlink()
    return receipt


def _stores() -> Mapping[str, Callable[[set[str]], int]]:
    """What was made of the warehouse's rows."""
    data, scores = data_folder(), scores_folder()
    return {
        "files of nightly rows": lambda who: forget_in_rows(who, data / "features"),
        "copies of histories": lambda _: _emptied(data / "histories"),
        "runs of scores": lambda who: forget_in_runs(who, scores),
        "scores in the log": lambda who: forget_in_score_log(who, data / "score-log"),
        "answers kept for repeats": lambda who: forget_in_answers(who, data / "idempotency"),
    }


def _emptied(folder: Path) -> int:
    """Copies are made again from the warehouse when somebody asks."""
    found = [one for one in folder.glob("*") if one.is_dir()]
    for one in found:
        shutil.rmtree(one)
    return len(found)


def _folder(name: str) -> Path:
    return data_folder() / name
