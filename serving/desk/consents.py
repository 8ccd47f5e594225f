"""What customers allow, at the desk: posted events give nothing back, lists leave out, and old answers are not given again."""

from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from features.barred import COLUMNS, Reasons, reasons_told
from features.pseudonyms import Pseudonyms
from features.standing import Standing, Taken
from serving.contract.consents import ConsentsAnswer, ConsentsRequest
from serving.contract.scores import Score, ScoresAnswer
from serving.desk.picked import Picked, Sheet
from serving.desk.scoring import refused

__all__ = ["not_allowed", "still_allowed", "taken_in", "without_refused"]


def taken_in(asked: ConsentsRequest, asker: str) -> ConsentsAnswer:
    """Tell everybody. Raises `NotAudited` or `LedgerUnreadable`: then nothing was told."""
    changes = [(one.customer_id, one.purpose, one.state) for one in asked.changes]
    return ConsentsAnswer(Standing.here().tell(changes, asker), len(changes))


def not_allowed(customer_id: str, night: Picked) -> Reasons:
    """What a customer does not allow whatever is posted: by their row of the night, if there is one, and by what was told since. Raises
    `LedgerUnreadable`."""
    held = {
        purpose: why
        for purpose, column in COLUMNS.items()
        if len(night) and (why := night.reasons([column])[0]) is not None
    }
    return {**held, **reasons_told(Standing.here().now().states_of(customer_id))}


def still_allowed(answer: ScoresAnswer, purposes: dict[str, str]) -> ScoresAnswer:
    """An answer that may have been given before, without the scores of those who do not allow it any more."""
    taken = Standing.here().now()
    if not taken.no:
        return answer
    scores = [_or_refusal(score, taken, purposes) for score in answer.scores]
    return msgspec.structs.replace(answer, scores=scores)


def _or_refusal(score: Score, taken: Taken, purposes: dict[str, str]) -> Score:
    if score.status != "scored" or score.task not in purposes:
        return score
    why = taken.refusals([score.customer_id], purposes[score.task]).get(score.customer_id)
    if why is None:
        return score
    return refused(score.customer_id, score.task, why)


def without_refused(places: np.ndarray, sheet: Sheet, purpose: str) -> np.ndarray:
    """Which of the places in a sheet, 0/1, are of customers who took back nothing that the purpose needs."""
    taken = Standing.here().now()
    if not taken.no or taken.pseudonyms is None:
        return np.ones(len(places), dtype=bool)
    names, order = _names(sheet, taken.pseudonyms)
    who = np.array(taken.refused(purpose) or [""], dtype=names.dtype)
    at = np.minimum(np.searchsorted(names, who), max(len(names) - 1, 0))
    gone = order[at[names[at] == who]] if len(names) else order
    allowed: np.ndarray = ~np.isin(places, gone)
    return allowed


_NAMES: "WeakKeyDictionary[Sheet, tuple[np.ndarray, np.ndarray]]" = WeakKeyDictionary()


def _names(sheet: Sheet, pseudonyms: Pseudonyms) -> tuple[np.ndarray, np.ndarray]:
    """Everybody's pseudonym, in order, and whose row it is: some thirty bytes each, made when somebody first takes something
    back, in about two seconds a million."""
    if sheet not in _NAMES:
        names = np.array(pseudonyms.all(sheet.ids_at(np.arange(len(sheet)))) or [""], dtype="S22")
        order = np.argsort(names)
        _NAMES[sheet] = names[order], order
    return _NAMES[sheet]
