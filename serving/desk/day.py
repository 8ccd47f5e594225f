"""What the desk knows of the customers: the night's rows, the night's before, and how everybody was scored.

A request takes one `Day` at its start and sees it throughout, whatever is published meanwhile.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from features import nightly
from features.errors import BadData
from features.nightly import NightlyRows
from features.pointer import pointed
from serving.desk.picked import Sheet
from serving.desk.population import Population
from serving.desk.segments import SEGMENTS, Grouped, grouped
from serving.scorer import Scorer

__all__ = ["VALID", "Day", "nights"]

VALID = timedelta(days=7)
"""For so long after its moment a score may be acted on."""
ROWS_AT_ONCE = 8_192


@dataclass(frozen=True)
class Day:
    """The rows of one night; `before` are those of the night before, where they are kept and of the same features."""

    name: str
    rows: NightlyRows
    sheet: Sheet
    segments: Mapping[str, Grouped]
    before: Sheet | None = None
    before_at: datetime | None = None
    populations: Mapping[str, Population] = field(default_factory=dict)

    @property
    def as_of(self) -> datetime:
        return self.rows.as_of

    @property
    def expires_at(self) -> datetime:
        return self.as_of + VALID

    def population(self, scorer: Scorer) -> Population | None:
        """Everybody as this very model scores them; None while they are being ranked."""
        found = self.populations.get(scorer.task)
        return found if found is not None and found.version == scorer.version else None

    def ranked(self, scorers: Mapping[str, Scorer]) -> "Day":
        """The same day with everybody scored by these models; what was scored by the very model is kept."""
        kept = {
            task: found for task, scorer in scorers.items() if (found := self.population(scorer)) is not None
        }
        made = {task: _population(scorer, self) for task, scorer in scorers.items() if task not in kept}
        return replace(self, populations=kept | made)


def nights(folder: Path) -> Day:
    """The current rows and those of the night before. Raises `NoWarehouse` when there are none."""
    rows = nightly.latest(folder)
    before = _before(folder, rows)
    names = [name for segment in SEGMENTS for name in segment.reads if name in rows.schema.names]
    return Day(
        name=pointed(folder),
        rows=rows,
        sheet=Sheet(rows.batches),
        segments=grouped(rows.table().select(names)),
        before=None if before is None else Sheet(before.batches),
        before_at=None if before is None else before.as_of,
    )


def _before(folder: Path, rows: NightlyRows) -> NightlyRows | None:
    """The latest rows of an earlier moment; a night that was computed twice is no night before."""
    for file in sorted(folder.glob("rows-*.arrow"), key=lambda file: file.name, reverse=True):
        try:
            found = NightlyRows.open(file)
        except (OSError, pa.ArrowInvalid, BadData):
            continue
        if found.as_of != rows.as_of and found.as_of == min(found.as_of, rows.as_of):
            return found
    return None


def _population(scorer: Scorer, day: Day) -> Population:
    """Everybody scored, a block at a time: memory holds the probabilities."""
    probability, place, at, unseen = [], [], 0, Counter[str]()
    for batch in day.rows.batches:
        for start in range(0, batch.num_rows, ROWS_AT_ONCE):
            rows = pa.Table.from_batches([batch.slice(start, ROWS_AT_ONCE)])
            scored = scorer.score(rows, warn=False)
            eligible = pa.array(scored.eligible)
            probability.append(pa.array(scored.probabilities))
            place.append(pc.add(pc.indices_nonzero(eligible).cast(pa.int64()), at))
            unseen.update(scored.unseen)
            at += rows.num_rows
        day.rows.let_go()
    if unseen:
        scorer.warn(unseen)
    chances = pa.chunked_array(probability, pa.float64()).to_numpy()
    places = pa.chunked_array(place, pa.int64()).to_numpy()
    return Population.of(scorer.version, chances, places, day.segments)
