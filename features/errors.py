"""Every error this product raises on purpose.

    PropensityError
    ├── BadData            rows or files that do not keep the declared contract
    ├── NoWarehouse        nothing to read at the warehouse address, or not what was declared
    ├── OpenWindow         an outcome window that the data does not cover yet
    ├── NoConsents         a warehouse that does not say who allows what, nor why it need not
    ├── UnknownMoment      a text that names no moment, or a moment that the events have not come to
    ├── UnknownName        a task, feature or cohort that does not exist
    ├── UnknownOperation   a definition that live rows cannot compute
    ├── NotTrainable       too little, or too uniform, to learn from
    ├── TrialsFailed       a search whose trials broke where they ran
    ├── LeakFound          a feature or column that knows what was not known at its moment
    ├── BadModel           model files that are missing, altered or of another contract
    ├── NoChampion         no model has been promoted for a task
    ├── NotPromoted        a model that a gate refused
    ├── ChampionMoved      another promotion came first
    ├── NotDelivered       a receiver that refuses, or does not answer
    ├── BadRun             a run of scores that is missing, damaged or of another contract
    ├── WorkerLost         a process of a batch that ended before its work
    ├── RunInProgress      another process is writing there (a command exits with 4)
    ├── NoRegistry         the tracking server or model registry does not answer
    ├── NotAudited         a deed that cannot be recorded, and so is not done
    ├── LedgerUnreadable   what customers told us since cannot be read, and so nobody is scored
    └── AuditBroken        an audit trail that is not as it was written

A message says what is wrong, where, and what to do. It never holds a personal value.
"""

from collections.abc import Iterable

__all__ = [
    "AuditBroken",
    "BadData",
    "BadModel",
    "BadRun",
    "ChampionMoved",
    "LeakFound",
    "LedgerUnreadable",
    "NoChampion",
    "NoConsents",
    "NoRegistry",
    "NoWarehouse",
    "NotAudited",
    "NotDelivered",
    "NotPromoted",
    "NotTrainable",
    "OpenWindow",
    "PropensityError",
    "RunInProgress",
    "TrialsFailed",
    "UnknownMoment",
    "UnknownName",
    "UnknownOperation",
    "WorkerLost",
]


class PropensityError(Exception):
    """Base of all of them; a command prints it as one line and exits with `exit_code`."""

    exit_code = 1


class BadData(PropensityError):
    pass


class NoWarehouse(PropensityError):
    pass


class NoConsents(PropensityError):
    pass


class OpenWindow(PropensityError):
    pass


class UnknownName(PropensityError):
    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"there is no {what} named {name!r}; there are: {', '.join(sorted(known)) or 'none'}"
        )


class UnknownMoment(PropensityError):
    pass


class UnknownOperation(PropensityError):
    pass


class NotTrainable(PropensityError):
    pass


class TrialsFailed(PropensityError):
    pass


class LeakFound(PropensityError):
    pass


class BadModel(PropensityError):
    pass


class NoChampion(PropensityError):
    pass


class NotPromoted(PropensityError):
    pass


class ChampionMoved(PropensityError):
    pass


class NoRegistry(PropensityError):
    pass


class BadRun(PropensityError):
    pass


class WorkerLost(PropensityError):
    pass


class RunInProgress(PropensityError):
    exit_code = 4


class NotAudited(PropensityError):
    pass


class AuditBroken(PropensityError):
    pass


class NotDelivered(PropensityError):
    pass


class LedgerUnreadable(PropensityError):
    pass
