"""Posted events as rows of the event tables: beside what is stored, corrections and repeats told apart as at loading.

A key that is stored or posted already, with the same values, is the same row and counts once; with other values and known
later it is a correction, and the older row counts until then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.sources import CANONICAL, Source
from serving.contract.refusals import Refused
from serving.contract.words import Cautioned

__all__ = ["SKEW", "Past", "moment", "past_of"]

SKEW = timedelta(minutes=5)
"""So far may clocks differ before something counts as future."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
OF_A_ROW = ("known_at", "superseded_at")


@dataclass(frozen=True)
class Past:
    """All rows of one customer, by source, and what is to be said about those that were posted."""

    tables: Mapping[str, pa.Table]
    warnings: list[Cautioned] = field(default_factory=list)


def moment(as_of: datetime, now: datetime) -> datetime:
    """A moment as tables know it, naive UTC. Raises `Refused` for one in the future, beyond `SKEW`."""
    if not EARLIEST <= as_of.astimezone(UTC) <= now + SKEW:
        raise Refused(422, "as_of lies in the future, or before 1970; nothing is known of it", "/as_of")
    return as_of.astimezone(UTC).replace(tzinfo=None)


def past_of(
    customer_id: str,
    events: Any,
    stored: Mapping[str, pa.Table],
    as_of: datetime,
    now: datetime,
    at: str = "/events",
) -> Past:
    """The stored rows and the posted `events` as one past. `as_of` is naive UTC; `at` is where the events stand in the request.
    Raises `Refused`, pointing at the event, for one in the future, known before it happened, or at odds with another."""
    tables, warnings = dict(stored), []
    later = twice = unusual = 0
    for name in CANONICAL:
        posted = getattr(events, name)
        if not posted:
            continue
        if name not in stored:
            raise Refused(
                422, f"this deployment has no {name}; its features were never learned", f"{at}/{name}"
            )
        source = CANONICAL[name]
        rows = _table(source, customer_id, posted, now, f"{at}/{name}")
        clocks = np.maximum(rows["happened_at"].to_numpy(), rows["known_at"].to_numpy())
        later += int((clocks >= np.datetime64(as_of)).sum())
        unusual += _unusual(source, rows)
        tables[name], again = _joined(source, stored[name], rows, f"{at}/{name}")
        twice += again
    if later:
        warnings.append(
            Cautioned(
                "events_after_as_of",
                f"{later} events happened or were known at as_of or later and do not count",
                f"{later}条事件发生或获知于as_of当时或之后，未计入",
                count=later,
            )
        )
    if twice:
        warnings.append(
            Cautioned(
                "events_delivered_twice",
                f"{twice} events are known already and count once",
                f"{twice}条事件此前已有，只计一次",
                count=twice,
            )
        )
    if unusual:
        warnings.append(
            Cautioned(
                "events_of_unknown_words",
                f"{unusual} events hold a word outside the declared vocabulary; only counts over all kinds see them",
                f"{unusual}条事件含有词表之外的取值，仅计入总量类特征",
                count=unusual,
            )
        )
    return Past(tables, warnings)


def _table(
    source: Source, customer_id: str, events: Sequence[msgspec.Struct], now: datetime, at: str
) -> pa.Table:
    """Events as rows of a table, their clocks naive UTC in whole seconds, as a load has them."""
    given = zip(*map(msgspec.structs.astuple, events), strict=True)
    told: dict[str, Sequence[Any]] = dict(zip(events[0].__struct_fields__, given, strict=True))
    told["customer_id"] = [customer_id] * len(events)
    told["known_at"] = [k or h for k, h in zip(told["known_at"], told["happened_at"], strict=True)]
    _require_clocks(told["happened_at"], told["known_at"], now + SKEW, at)
    columns = [
        pa.nulls(len(events), c.arrow) if c.name not in told else _column(told[c.name], c.arrow)
        for c in source.columns
    ]
    return pa.Table.from_arrays(columns, schema=source.arrow_schema)


def _require_clocks(
    happened: Sequence[datetime], known: Sequence[datetime], latest: datetime, at: str
) -> None:
    for place, (then, told) in enumerate(zip(happened, known, strict=True)):
        for clock, instant in (("happened_at", then), ("known_at", told)):
            if not EARLIEST <= instant <= latest:
                raise Refused(422, f"{clock} lies in the future, or before 1970", f"{at}/{place}/{clock}")
        if told < then:
            raise Refused(422, "an event cannot be known before it happened", f"{at}/{place}/known_at")


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_timestamp(kind):
        return pa.array(values, kind)
    instants = pa.array(values, pa.timestamp("us", "UTC"))
    return pc.floor_temporal(instants, unit="second").cast(kind)


def _unusual(source: Source, rows: pa.Table) -> int:
    """How many rows hold a word that their source does not declare."""
    odd = np.zeros(len(rows), dtype=bool)
    for column in source.columns:
        if column.usual:
            words = rows[column.name]
            known = pc.or_(pc.is_in(words, pa.array(column.usual)), pc.is_null(words))
            odd |= ~known.to_numpy()
    return int(odd.sum())


def _joined(source: Source, stored: pa.Table, posted: pa.Table, at: str) -> tuple[pa.Table, int]:
    """Stored and posted rows, and how many of the posted say nothing new."""
    keys = posted[source.key].combine_chunks()
    shared = pc.is_in(stored[source.key], keys)
    if pc.count_distinct(keys).as_py() == len(keys) and not pc.any(shared).as_py():
        return pa.concat_tables([stored, posted]), 0
    known, others = stored.filter(shared), stored.filter(pc.invert(shared))
    versions: dict[str, list[dict[str, Any]]] = {}
    for row in known.to_pylist():
        versions.setdefault(row[source.key], []).append(row)
    again = 0
    for place, row in enumerate(posted.to_pylist()):
        held = versions.setdefault(row[source.key], [])
        if any(_same(row, other) for other in held):
            again += 1
        elif any(row["known_at"] == other["known_at"] for other in held):
            raise Refused(
                422,
                f"two versions of one {source.key} are known at the same instant; state a later known_at",
                f"{at}/{place}",
            )
        else:
            held.append(row)
    kept = [row for held in versions.values() for row in _superseded(held)]
    return pa.concat_tables([others, pa.Table.from_pylist(kept, source.arrow_schema)]), again


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[name] == other[name] for name in one if name not in OF_A_ROW)


def _superseded(held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Versions of one key in the order they were known; each but the last counts until the next."""
    held = sorted(held, key=lambda row: row["known_at"])
    for row, following in pairwise(held):
        row["superseded_at"] = following["known_at"]
    return held
