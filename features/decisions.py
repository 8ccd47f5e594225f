"""What people decided about scores: contested by the customer, or decided by a human instead. It travels with every later score.

    decisions = Decisions.here()
    decisions.tell([("C00001", "churn", "contested")], by="an adviser")
    decisions.of(customer_ids, "churn")               {"C00001": Decided("contested", ...)}

Kept as consents are (`features.standing`): a ledger under keyed pseudonyms, each word in the audit trail before it holds.
"""

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from features import audit
from features.errors import LedgerUnreadable
from features.home import anchors_folder, audit_folder, ledgers_folder
from features.ledger import Ledger
from features.pseudonyms import Pseudonyms

__all__ = ["Decided", "Decision", "Decisions"]

FILE = "decisions.ledger"
Decision = Literal["contested", "human_decided", "settled"]


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """One word about the scores of a customer (a pseudonym) for a task; `settled` ends what was said before."""

    who: str
    task: str
    decision: Decision
    at: datetime
    by: str
    key: str


class Decisions:
    """Everything decided so far, kept up to date. Threads may share it. Raises `LedgerUnreadable`."""

    def __init__(self, ledger: Ledger[Decided]) -> None:
        self.ledger = ledger
        self._held: dict[tuple[str, str], Decided] = {}
        self._lock = threading.Lock()

    @classmethod
    def here(cls, folder: Path | None = None) -> "Decisions":
        """Those of this deployment; one per process."""
        return _opened(((folder or ledgers_folder()) / FILE).absolute())

    def tell(self, decided: Iterable[tuple[str, str, Decision]], by: str) -> datetime:
        """Take in (customer id, task, decision). Raises `NotAudited`, and then nothing was decided."""
        at, names = datetime.now(UTC), self._pseudonyms
        told = [
            Decided(who=names.of(customer), task=task, decision=decision, at=at, by=by, key=names.name)
            for customer, task, decision in decided
        ]
        self._trail.note(
            *(
                audit.Entry(
                    who=by, action="decision", purpose=one.task, result=one.decision, subjects=[one.who]
                )
                for one in told
            )
        )
        Ledger.open(self.ledger.file, Decided).add(*told)
        return at

    def of(self, customer_ids: Iterable[str], task: str) -> dict[str, Decided]:
        """Of these customers, those about whose scores something stands."""
        if not self.ledger.begun and not self.ledger.file.exists():
            return {}  # nobody has decided anything yet
        with self._lock:
            for one in self.ledger.news(self._require_key):
                self._held[one.who, one.task] = one
            held = self._held
        if not held:
            return {}
        found = ((customer, held.get((self._pseudonyms.of(customer), task))) for customer in customer_ids)
        return {customer: one for customer, one in found if one and one.decision != "settled"}

    def _require_key(self, one: Decided) -> None:
        if one.key != self._pseudonyms.name:
            raise LedgerUnreadable(
                f"{self.ledger.file} was written under another pseudonym key; restore the key"
            )

    @cached_property
    def _pseudonyms(self) -> Pseudonyms:
        return Pseudonyms.open()

    @cached_property
    def _trail(self) -> audit.Trail:
        return audit.Trail(audit_folder(), anchors_folder(), sync=True)


@lru_cache(maxsize=8)
def _opened(file: Path) -> Decisions:
    return Decisions(Ledger(file, Decided))
