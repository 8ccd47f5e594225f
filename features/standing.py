"""What customers told us since the tables were loaded: consents given and taken back, and who is to be forgotten.

    standing = Standing.here()
    standing.tell([Told(...)], by="crm")              recorded, on the disk, and from now on minded by every process
    standing.refusals(customer_ids, "marketing")      those of them who may not be scored for it, and why

It only takes away. What the tables allow holds until somebody tells otherwise; what was taken back here stays so, whatever rows
say, until it is given again here, and then the tables decide again. Customers stand in the ledger under keyed pseudonyms
(`features.pseudonyms`), so that it names nobody and can be kept when a person has been erased.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from features import audit
from features.audit.trail import Action
from features.consent import needed_for, words_for
from features.errors import LedgerUnreadable
from features.home import anchors_folder, audit_folder, ledgers_folder
from features.ledger import Ledger
from features.pseudonyms import Pseudonyms, key_file

__all__ = ["ERASED", "Standing", "State", "Taken", "Told", "forget_what_was_opened"]

FILE = "consents.ledger"
ERASED = "was erased"
State = Literal["granted", "withdrawn", "refused", "erased"]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One thing told: `who` is a pseudonym, `purpose` one of those consents are given for, `erased` is of
    all of them; `key` tells under which key the pseudonym was made."""

    who: str
    purpose: str
    state: State
    at: datetime
    by: str
    key: str


@dataclass(frozen=True)
class Taken:
    """What had been taken back at one time: by pseudonym, the state of each purpose."""

    no: Mapping[str, Mapping[str, str]]
    pseudonyms: Pseudonyms | None

    def now(self) -> "Taken":
        """Itself: it does not change."""
        return self

    def refusals(self, customer_ids: Iterable[str], purpose: str) -> dict[str, str]:
        """Of these customers, those who may not be scored for a purpose by what was told, and why."""
        found = {}
        for customer, states in self.told(customer_ids):
            if why := _why(states, purpose):
                found[customer] = why
        return found

    def states_of(self, customer_id: str) -> dict[str, str]:
        """What one customer has taken back, by purpose."""
        return {purpose: state for _, states in self.told([customer_id]) for purpose, state in states.items()}

    @property
    def anybody_erased(self) -> bool:
        return any(ERASED in states for states in self.no.values())

    def refused(self, purpose: str) -> list[str]:
        """The pseudonyms of all who may not be scored for a purpose."""
        return [who for who, states in self.no.items() if _why(states, purpose)]

    def erased(self, customer_ids: Iterable[str]) -> set[str]:
        """Those of these customers who are to be forgotten."""
        return {customer for customer, states in self.told(customer_ids) if ERASED in states}

    def told(self, customer_ids: Iterable[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Those of these customers who took something back, each with the state of each purpose."""
        if self.no and self.pseudonyms:
            for customer in customer_ids:
                if states := self.no.get(self.pseudonyms.of(customer)):
                    yield customer, states


NOTHING = Taken({}, None)


class Standing:
    """Everything told so far, kept up to date. Threads may share it.

    Every method raises `LedgerUnreadable` when the ledger cannot be read: nobody may be scored then.
    """

    def __init__(self, ledger: Ledger[Told], pseudonyms: Pseudonyms | None = None) -> None:
        self.ledger = ledger
        self._pseudonyms = pseudonyms
        self._taken = NOTHING
        self._when: dict[tuple[str, str], datetime] = {}
        self._lock = threading.Lock()

    @classmethod
    def here(cls, folder: Path | None = None) -> "Standing":
        """That of this deployment; one per process."""
        return _opened(((folder or ledgers_folder()) / FILE).absolute())

    @property
    def pseudonyms(self) -> Pseudonyms:
        if self._pseudonyms is None:
            self._pseudonyms = Pseudonyms.open()
        return self._pseudonyms

    def tell(self, changes: Iterable[tuple[str, str, State]], by: str) -> datetime:
        """Take in (customer id, purpose, state), each recorded in the audit trail before it holds; returns when. Raises `NotAudited`,
        and then nothing was told."""
        at, names = datetime.now(UTC), self.pseudonyms
        told = [
            Told(who=names.of(customer), purpose=purpose, state=state, at=at, by=by, key=names.name)
            for customer, purpose, state in changes
        ]
        self.begin()
        self._trail.note(*(_entry(one) for one in told))
        self.ledger.add(*told)
        return at

    @cached_property
    def _trail(self) -> audit.Trail:
        return audit.Trail(audit_folder(), anchors_folder(), sync=True)

    def begin(self) -> None:
        """Have a ledger, so that from now on one that is not there is one that was lost. Whoever scores does so at the start."""
        Ledger.open(self.ledger.file, Told)

    def now(self) -> Taken:
        """What holds at this moment; nothing where nobody has begun a ledger."""
        if not self.ledger.begun and not self.ledger.file.exists():
            return NOTHING
        with self._lock:
            if news := self.ledger.news(self._require_key):
                no = dict(self._taken.no)
                for told in news:
                    no[told.who] = _after(no.get(told.who, {}), told)
                    self._when[told.who, told.purpose] = told.at
                self._taken = Taken({who: states for who, states in no.items() if states}, self.pseudonyms)
            return self._taken

    def told_at(self, customer_id: str, purpose: str) -> datetime | None:
        """When a customer last told something about a purpose here; None when they never did."""
        self.now()
        return self._when.get((self.pseudonyms.of(customer_id), purpose)) if self._when else None

    def _require_key(self, told: Told) -> None:
        there = self._pseudonyms is not None or key_file().exists()
        if not there or told.key != self.pseudonyms.name:
            raise LedgerUnreadable(
                f"{self.ledger.file} was written under another pseudonym key; restore the key from a copy: nobody can be "
                "scored before"
            )

    def refusals(self, customer_ids: Iterable[str], purpose: str) -> dict[str, str]:
        """Of these customers, those who may not be scored for a purpose by what was told until now, and why."""
        return self.now().refusals(customer_ids, purpose)


@lru_cache(maxsize=8)
def _opened(file: Path) -> Standing:
    return Standing(Ledger(file, Told))


def forget_what_was_opened() -> None:
    """As a new process: every ledger is opened anew."""
    _opened.cache_clear()


def _after(states: Mapping[str, str], told: Told) -> dict[str, str]:
    """What is taken back when one more thing was told."""
    if told.state == "granted":
        return {purpose: state for purpose, state in states.items() if purpose != told.purpose}
    return {**states, ERASED if told.state == "erased" else told.purpose: told.state}


def _why(states: Mapping[str, str], purpose: str) -> str:
    if ERASED in states:
        return ERASED
    return next((words_for(states[one], one) for one in needed_for(purpose) if one in states), "")


def _entry(told: Told) -> audit.Entry:
    action: Action = "erasure" if told.state == "erased" else "consent"
    return audit.Entry(
        who=told.by, action=action, purpose=told.purpose, result=told.state, subjects=[told.who]
    )
