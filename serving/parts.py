"""The parts of a run: a batch of feature rows each, scored through all models and, once everybody is ranked, written as tables.

One call makes one part, and leaves nothing behind but its files: parts may be made in any order, in any process (see
`serving.workers`), and again after a kill.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import accumulate
from typing import Protocol

import pyarrow as pa

from features.nightly import NightlyRows
from serving.moves import Before
from serving.partition import believed, score_part
from serving.runs.manifest import FileFacts
from serving.runs.tables import Tables
from serving.runs.work import Done, Work
from serving.scorer import Scorer

__all__ = ["Makers", "Parts"]

SAMPLE = 500


class Makers(Protocol):
    """Whoever makes parts: this process, or several beside it. What comes out is in the order of what was asked for."""

    def scored(self, numbers: Iterable[int]) -> Iterator[Done]:
        """Score these parts and keep them in the work folder."""

    def written(self, numbers: Iterable[int]) -> Iterator[Mapping[str, FileFacts]]:
        """Write the tables of these parts, which are scored, as is everybody else, and ranked."""


@dataclass(frozen=True)
class Parts:
    """Makes parts here. `before` are the rows of the run before, where they are there."""

    scorers: Sequence[Scorer]
    rows: NightlyRows
    before: Before | None
    as_of: datetime
    expires_at: datetime
    work: Work

    def scored(self, numbers: Iterable[int]) -> Iterator[Done]:
        """Part by part."""
        return (self.score(number) for number in numbers)

    def written(self, numbers: Iterable[int]) -> Iterator[Mapping[str, FileFacts]]:
        """Part by part."""
        return (self._tables.write(number) for number in numbers)

    def score(self, number: int) -> Done:
        """Score a part and keep it. Raises `BadModel` where a model gives what is no probability."""
        began = time.monotonic()
        good, bad = believed(
            self.rows.read(number), self._columns, self._first_rows[number], self._last_id(number)
        )
        ids = good["customer_id"].combine_chunks()
        then = self.before.beside(ids) if self.before and len(good) else None
        made = score_part(self._quick, good, bad, self.as_of, self.expires_at, then)
        self.rows.let_go()
        return self.work.keep(number, made, time.monotonic() - began)

    @cached_property
    def _quick(self) -> Sequence[Scorer]:
        """The scorers, held against LightGBM on the first rows of the night before they answer from tables."""
        sample = pa.Table.from_batches([self.rows.batches[0].slice(0, SAMPLE)], self.rows.schema)
        for scorer in self.scorers:
            scorer.quicken(sample)
        return self.scorers

    @cached_property
    def _tables(self) -> Tables:
        return Tables(self.work, range(len(self.rows.batches)), [scorer.task for scorer in self.scorers])

    @cached_property
    def _columns(self) -> list[str]:
        return sorted({name for scorer in self.scorers for name in scorer.card.features})

    @cached_property
    def _first_rows(self) -> list[int]:
        return list(accumulate((batch.num_rows for batch in self.rows.batches), initial=0))

    def _last_id(self, number: int) -> str | None:
        """The customer before a part."""
        return self.rows.batches[number - 1].column(0)[-1].as_py() if number else None
