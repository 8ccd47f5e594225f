"""What the audit trail says of each answer about customers, and of each attempt to get in: no record, no answer.

An answer about models only (tasks, cards, the catalogue) speaks of nobody and is not recorded.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from features.audit import Entry, Trail
from features.home import anchors_folder, audit_folder
from features.pseudonyms import Pseudonyms
from serving.call import Call
from serving.contract.events import WhatIfAnswer
from serving.contract.explanation import Explanation
from serving.contract.lists import ListAnswer
from serving.contract.people import History
from serving.contract.scores import ScoresAnswer
from serving.edge import metrics
from serving.edge.gathering import Gathering

__all__ = ["Records"]

MOST_FAILURES_A_SECOND = 20

log = logging.getLogger(__name__)


class Records:
    """One worker's part of the trail."""

    def __init__(self, trail: Trail, pseudonyms: Pseudonyms) -> None:
        self.trail, self.pseudonyms = trail, pseudonyms
        self._failures = _Throttle(MOST_FAILURES_A_SECOND)
        self._gathering = Gathering()

    @classmethod
    def open(cls) -> "Records":
        return cls(Trail(audit_folder(), anchors_folder()), Pseudonyms.open())

    def answered(self, answer: Any, call: Call, purposes: Mapping[str, str]) -> None:
        """Record an answer before it is given, with the `purposes` of its tasks. Raises `NotAudited`: then do not give it."""
        if (told := TOLD.get(type(answer))) is None:
            return
        action, models, customers, result = told(answer)
        subjects = self.pseudonyms.all(customers)
        self.trail.note(
            Entry(
                who=call.asker,
                action=action,
                purpose=", ".join(sorted({purposes.get(task, "unknown") for task in models}))
                or "none stated",
                result=result,
                subjects=subjects,
                models=models,
            )
        )
        for kind, count in self._gathering.noticed(call.asker, subjects).items():
            metrics.alarm(kind)
            log.warning("alarm: a token %s; the audit trail says whose and about whom", kind)
            self.trail.note(Entry(who=call.asker, action="alarm", purpose="none", result=kind, count=count))

    def not_let_in(self) -> None:
        """Record an attempt with a wrong token or none. Beyond so many a second they are counted by the next record, so
        that nobody fills the disk by knocking."""
        if count := self._failures.due():
            self.trail.note(
                Entry(who="nobody", action="login-failed", purpose="none", result="refused", count=count)
            )


class _Throttle:
    """How many events a record should speak of now; 0 while the second's records are used up."""

    def __init__(self, a_second: int) -> None:
        self._a_second, self._second, self._said, self._waiting = a_second, 0, 0, 0
        self._lock = threading.Lock()

    def due(self) -> int:
        with self._lock:
            now = int(time.monotonic())
            if now != self._second:
                self._second, self._said = now, 0
            self._waiting += 1
            if self._said >= self._a_second:
                return 0
            self._said += 1
            count, self._waiting = self._waiting, 0
            return count


Told = tuple[Any, dict[str, str], Sequence[str], str]


def _of_scores(answer: ScoresAnswer) -> Told:
    scored = [score for score in answer.scores if score.status == "scored"]
    models = {task: used.version for task, used in answer.models.items()}
    customers = list(dict.fromkeys(score.customer_id for score in answer.scores))
    return "score", models, customers, f"{len(scored)} of {len(answer.scores)} scored"


def _of_what_if(answer: WhatIfAnswer) -> Told:
    models = {task: used.version for task, used in answer.models.items()}
    return "what-if", models, list(dict.fromkeys(p.as_is.customer_id for p in answer.pairs)), "supposed"


def _of_list(answer: ListAnswer) -> Told:
    named = [one.customer_id for one in answer.customers]
    return "list", {answer.task: answer.model.version}, named, f"{answer.listed} listed, {len(named)} named"


def _of_explanation(answer: Explanation) -> Told:
    return "explanation", {answer.task: answer.model_version}, [answer.customer_id], "explained"


def _of_history(answer: History) -> Told:
    return "history", {}, [answer.customer_id], f"{len(answer.months)} months shown"


TOLD: dict[type, Callable[[Any], Told]] = {
    ScoresAnswer: _of_scores,
    WhatIfAnswer: _of_what_if,
    ListAnswer: _of_list,
    Explanation: _of_explanation,
    History: _of_history,
}
