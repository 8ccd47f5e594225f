"""What a customer allowed when a score was given, and what they allow now, purpose by purpose.

Rows of consent keep both clocks and every version, so that what was known at an earlier moment is read from them as they are now. A score
is only ever given with consent: where its record is not held any more, or never was, that is what is said.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, TypeAlias, cast

import pyarrow as pa

from features.consent import USES, in_chinese, needed_for, words_for
from features.standing import Standing
from serving.contract.explanation import Allowed, Source, Status
from serving.desk.histories import known
from serving.score_log import LoggedScore

__all__ = ["Held", "allowed_now", "allowed_then"]

EVERY = "marketing"  # needs consent for all purposes
UNREACHABLE = ("what is held of it cannot be read now", "目前无法读取相关记录")


Held: TypeAlias = pa.Table | Literal["elsewhere", "unreachable"]
"""A customer's rows of consent, or why there are none: consent is kept elsewhere, or the warehouse does not answer now."""


def allowed_then(score: LoggedScore, consents: Held) -> list[Allowed]:
    """As it was known at the moment that was scored."""
    return [_then(score, purpose, consents) for purpose in _purposes(score)]


def allowed_now(score: LoggedScore, consents: Held, now: datetime) -> list[Allowed]:
    """As it stands, with what was told since the tables were loaded. Raises `LedgerUnreadable`."""
    standing = Standing.here()
    states, found = standing.now().states_of(score.customer_id), []
    moment = now.astimezone(UTC).replace(tzinfo=None) if now.tzinfo else now
    for purpose in _purposes(score):
        if purpose in states:
            at = standing.told_at(score.customer_id, purpose)
            found.append(_said(purpose, cast(Status, states[purpose]), "told", at))
        elif isinstance(consents, str):
            status: Status = "granted" if consents == "elsewhere" else "unknown"
            found.append(_said(purpose, status, cast(Source, consents), None))
        else:
            status, at = _by_rows(consents, purpose, moment)
            found.append(_said(purpose, status, "tables", at))
    return found


def _purposes(score: LoggedScore) -> Sequence[str]:
    return needed_for(score.model.purpose or EVERY)


def _then(score: LoggedScore, purpose: str, consents: Held) -> Allowed:
    """It was granted, or there were no score: either the record is held, or it came with the question, or is gone."""
    if isinstance(consents, str):
        return _said(purpose, "granted", cast(Source, consents), None)
    status, at = _by_rows(consents, purpose, score.as_of.replace(tzinfo=None))
    if status == "granted":
        return _said(purpose, status, "tables", at)
    return _said(purpose, "granted", "posted" if score.origin == "events" else "not_held", None)


def _by_rows(consents: pa.Table, purpose: str, moment: datetime) -> tuple[Status, datetime | None]:
    """The status at a moment by the latest row known then, and when it was said."""
    rows = consents.filter(pa.array(known(consents, moment))).to_pylist()
    said = [row for row in rows if row["purpose"] == purpose]
    last = max(
        said, key=lambda row: (row["happened_at"], row["known_at"], row["consent_id"].encode()), default=None
    )
    if last is None:
        return "unknown", None
    status: Status = last["state"] if last["state"] in ("granted", "withdrawn", "refused") else "other"
    if status == "granted" and last["expires_at"] and last["expires_at"] <= moment:
        status = "ended"
    return status, last["happened_at"].replace(tzinfo=UTC)


def _said(purpose: str, status: Status, source: Source, at: datetime | None) -> Allowed:
    if status == "granted":
        use, use_zh = USES[purpose]
        return Allowed(purpose, status, source, at, f"agreed to {use}", f"已同意用于{use_zh}")
    if source == "unreachable":
        return Allowed(purpose, status, source, at, *UNREACHABLE)
    why = words_for(status, purpose)
    return Allowed(purpose, status, source, at, why, in_chinese(why))
