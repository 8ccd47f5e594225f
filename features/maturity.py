"""The maturity ledger: per source, the instant before which everything that happened is in.

A delivery states it in `maturity.parquet` (source, complete_until). Whether an outcome can be asked about hangs on
it, so a statement that cannot be true is refused.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import BadData
from features.sources import CANONICAL

__all__ = ["check_ledger", "ledger"]

FILE = "maturity.parquet"


def ledger(incoming: Path, delivered_at: datetime) -> dict[str, datetime]:
    """The delivery's own statement; without one, everything known up to the day of the delivery counts as complete.

    Raises `BadData` for a statement that cannot be read, names a source twice or names none of ours.
    """
    stated = incoming / FILE
    if not stated.is_file():
        return dict.fromkeys(CANONICAL, delivered_at.replace(hour=0, minute=0, second=0, microsecond=0))
    try:
        columns = [("source", pa.string()), ("complete_until", pa.timestamp("us"))]
        rows = (
            pq.read_table(stated).select([name for name, _ in columns]).cast(pa.schema(columns)).to_pylist()
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError, OSError) as error:
        raise BadData(
            f"{stated} should be Parquet with the columns source (text) and complete_until (a timestamp)"
        ) from error
    names = [row["source"] for row in rows]
    for name in names:
        if name not in CANONICAL:
            raise BadData(
                f"{stated} speaks of {name!r}, which is no source; there are {', '.join(CANONICAL)}"
            )
        if names.count(name) > 1:
            raise BadData(f"{stated} speaks of {name} twice; say once until when it is complete")
    return {row["source"]: row["complete_until"] for row in rows}


def check_ledger(
    complete_until: Mapping[str, datetime | None], sources: Collection[str], delivered_at: datetime
) -> None:
    """Raise `BadData` unless every source delivered is complete until an instant not after the delivery."""
    for name in sources:
        until = complete_until.get(name)
        if until is None:
            raise BadData(
                f"nobody says until when {name} are complete: give {name} and the instant in {FILE}"
            )
        if max(until, delivered_at) != delivered_at:
            raise BadData(
                f"{name} are said to be complete until {until:%Y-%m-%d %H:%M}, after the delivery at "
                f"{delivered_at:%Y-%m-%d %H:%M}: correct {FILE} or --delivered-at"
            )
