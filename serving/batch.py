"""The nightly batch: every customer, every champion, published at once.

    python -m serving.batch --as-of 1998-07-01 [--task churn]

    features ──► parts: scores and reasons by all models, kept as they are done ──► ranked, written, hashed ──► the pointer
                 (in as many processes as there are cores, where there are many)

    exit 0    published          exit 1    nothing has changed, the error says why
    exit 2    wrongly called     exit 4    another batch is at work, the error names it

Killed at any point and called again it goes on where it was: parts that are done are not done again.
"""

import os

# DuckDB, told before it is loaded, hands back what it has freed: else a night keeps, while it scores, what it took to count and
# sort everybody.
os.environ.setdefault("DUCKDB_JE_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from features import audit, nightly
from features.command import run
from features.consent import columns_of
from features.errors import BadData, BadModel, NoChampion
from features.home import scores_folder
from features.lock import held
from features.nightly import NightlyRows, rows_folder
from features.pointer import pointed
from features.progress import followed
from features.standing import Standing
from features.timeline import moment_named
from features.warehouse import Warehouse, connect
from serving.forecast import doubts
from serving.ledger import ledger
from serving.moves import Before
from serving.parts import Makers, Parts
from serving.privacy.erasure import finish
from serving.runs.folder import publish, publish_again, runs
from serving.runs.manifest import FileFacts, Manifest, TaskFacts, content_of
from serving.runs.reader import Run
from serving.runs.schema import SCHEMA_VERSION
from serving.runs.tables import Tables
from serving.runs.without import last_look, outdated
from serving.runs.work import Done, Work
from serving.scorer import Scorer
from serving.workers import makers
from training import registry

__all__ = ["batch"]

log = logging.getLogger(__name__)

VALID_DAYS = 7
MOST_REJECTED = 0.01
ROWS = "rows"
T = TypeVar("T")
_MadeBy = Callable[[int], AbstractContextManager[Makers]]
"""Those who make parts of so many rows."""


@dataclass(frozen=True)
class _Job:
    """What a run depends on. `key` is the same if and only if the result would be."""

    warehouse: Warehouse
    as_of: datetime
    scorers: Sequence[Scorer]
    valid_days: int
    since: Manifest | None = None

    @property
    def expires_at(self) -> datetime:
        return self.as_of + timedelta(days=self.valid_days)

    @property
    def key(self) -> str:
        models = [(s.task, s.version, s.loaded.digest) for s in self.scorers]
        since = self.since.rows if self.since else ""
        told = [SCHEMA_VERSION, self.as_of.isoformat(), self.valid_days, self.warehouse.digest, models, since]
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def batch(
    warehouse: Warehouse,
    as_of: datetime,
    tasks: Sequence[str] = (),
    scores: Path | None = None,
    *,
    valid_days: int = VALID_DAYS,
    processes: int | None = None,
) -> Run:
    """Score everyone known before `as_of` for the named champions (default: all) and publish the run.

    Per task, scored + rejected + excluded by reason = population. Nobody is in it who took a consent back before it was published.
    Parts are made in so many `processes` at once (default: see `serving.workers`); the run is the same whatever their number.
    Raises `UnknownMoment` for a moment that the event tables have not come to, `NoChampion` when there is nothing to score with,
    `RunInProgress` when somebody else is writing there, `BadData` when too many rows cannot be believed, `WorkerLost` when a process
    that makes parts is killed.
    """
    warehouse.require_reached(as_of)
    scores = scores or scores_folder()
    champions = [registry.champion(task) for task in tasks] or registry.champions()
    if not champions:
        raise NoChampion("no model has been promoted yet: run `python -m training.train --task TASK`")
    Standing.here().begin()
    with held(scores) as lock:
        scorers = [Scorer(champion) for champion in champions]
        job = _Job(warehouse, as_of, scorers, valid_days, _since(scores, as_of))
        if again := _made_already(scores, job.key):
            return Run.open(publish_again(scores, again))
        work = Work(scores, job.key)
        rows = _rows(job, work)
        parts = Parts(scorers, rows, _before(job), as_of, job.expires_at, work)
        done = _done(rows, work)
        made_by = partial(makers, parts, lock, processes)
        _score(rows, work, made_by, done)
        folder = _publish(job, rows, work, made_by, done, scores)
    return Run.open(folder, compare=False)


def _made_already(scores: Path, key: str) -> Path | None:
    """The newest run, when it is this one and a kill kept it from its readers."""
    for newest in runs(scores)[-1:]:
        told = Manifest.read(newest)
        if newest.name > pointed(scores) and told.key == key and not outdated(newest, told.tasks):
            return newest
    return None


def _since(scores: Path, as_of: datetime) -> Manifest | None:
    """The newest run of an earlier moment, when the rows it scored are still there."""
    for folder in reversed(runs(scores)):
        told = Manifest.read(folder)
        if told.as_of < as_of:
            return told if told.rows and rows_folder().joinpath(told.rows).is_file() else None
    return None


def _before(job: _Job) -> Before | None:
    """The rows of the run before, where all models can read them."""
    if job.since is None:
        return None
    needed = {
        name for s in job.scorers for name in (*s.card.features, *columns_of(s.card.purpose, s.card.cohort))
    }
    try:
        night = NightlyRows.open(rows_folder() / job.since.rows)
        for scorer in job.scorers:
            scorer.require(night.fingerprints)
        if needed - set(night.schema.names):
            raise BadModel("these rows do not say what customers allowed")
    except (FileNotFoundError, BadModel):
        log.info("%s was scored from rows that are gone or defined otherwise: no row says what moved", job.since.run)  # fmt: skip
        return None
    return Before(night, ("customer_id", *sorted(needed)))


def _rows(job: _Job, work: Work) -> NightlyRows:
    """The feature rows of the night: those this work began with, where it was interrupted, or new ones."""
    file = Path(work.remembered(ROWS))
    rows = NightlyRows.open(file) if file.is_file() else nightly.materialise(job.warehouse, job.as_of)
    work.remember(ROWS, str(rows.file.absolute()))
    for scorer in job.scorers:
        scorer.require(rows.fingerprints)
    return rows


def _done(rows: NightlyRows, work: Work) -> dict[int, Done]:
    """The parts that need not be made again."""
    return {n: part for n in range(len(rows.batches)) if (part := work.done(n))}


def _size(rows: NightlyRows, parts: Iterable[int]) -> int:
    return sum(rows.batches[number].num_rows for number in parts)


def _made(
    rows: NightlyRows,
    made_by: _MadeBy,
    numbers: Sequence[int],
    title: str,
    make: Callable[[Makers], Iterable[T]],
) -> dict[int, T]:
    """What is made of these parts, by number, with its progress."""
    size = _size(rows, numbers)
    with made_by(size) as those:
        made = zip(numbers, make(those), strict=True)
        return dict(followed(made, title, size, lambda one: _size(rows, one[:1])))


def _score(rows: NightlyRows, work: Work, made_by: _MadeBy, done: dict[int, Done]) -> None:
    """Every part that is not done yet, through all models."""
    left = [number for number in range(len(rows.batches)) if number not in done]
    done |= _made(rows, made_by, left, "scoring", lambda those: those.scored(left))
    rejected = sum(part.rejected for part in done.values())
    if rejected > MOST_REJECTED * len(rows):
        raise BadData(
            f"{rejected:,} of {len(rows):,} feature rows cannot be believed (first: {_first(work, done)}), "
            f"more than {MOST_REJECTED:.0%}: nothing was published; look at the delivery"
        )


def _first(work: Work, parts: Mapping[int, Done]) -> str:
    number = min(number for number, part in parts.items() if part.rejected)
    line = work.beside(number, "rejected").slice(0, 1).to_pylist()[0]
    return f"row {line['row']:,}: {line['field']} {line['rule']}"


def _publish(
    job: _Job, rows: NightlyRows, work: Work, made_by: _MadeBy, parts: Mapping[int, Done], scores: Path
) -> Path:
    """Everybody is ranked while nobody else takes memory, then written."""
    work.again()
    numbers = sorted(parts)
    tables = Tables(work, numbers, [scorer.task for scorer in job.scorers])
    written = tables.promise(doubts(job.scorers, ledger(scores)))
    for scorer in job.scorers:
        written |= tables.rank(scorer.task)
    for files in _made(rows, made_by, numbers, "writing", lambda those: those.written(numbers)).values():
        written |= files
    scored = {scorer.task: _facts(scorer, list(parts.values())) for scorer in job.scorers}
    with last_look(work.run, written, scored) as (files, facts):
        folder = _switch(job, rows, work, scores, files, facts)
    work.clear()
    return folder


def _switch(
    job: _Job,
    rows: NightlyRows,
    work: Work,
    scores: Path,
    files: Mapping[str, FileFacts],
    facts: Mapping[str, TaskFacts],
) -> Path:
    """Record the run, then let readers see it."""

    def manifest(name: str, sequence: int) -> Manifest:
        return Manifest(
            run=name, sequence=sequence, key=job.key, as_of=job.as_of, expires_at=job.expires_at,
            made_at=datetime.now(UTC).replace(tzinfo=None, microsecond=0), warehouse=job.warehouse.digest,
            rows=rows.file.name, population=len(rows), tasks=dict(facts), files=dict(files),
            content=content_of(files), since=job.since.run if job.since else "",
        )  # fmt: skip

    _note(facts, content_of(files))
    return publish(scores, work.run, job.as_of, manifest)


def _note(facts: Mapping[str, TaskFacts], content: str) -> None:
    """One record of the run, before anybody can read it; its digest is that of the tables that name the customers."""
    scored = {task: told for task, told in facts.items() if told.scored}
    audit.noted(
        audit.Entry(
            who=audit.whoever(),
            action="score-run",
            purpose=", ".join(sorted({told.purpose for told in scored.values()})),
            result="published",
            subjects_digest=content,
            count=max((told.scored for told in scored.values()), default=0),
            models={task: told.model_version for task, told in facts.items()},
        )
    )


def _facts(scorer: Scorer, parts: Sequence[Done]) -> TaskFacts:
    counts: Counter[str] = Counter()
    unseen: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts[scorer.task])
        unseen.update(part.unseen[scorer.task])
    if unseen:
        scorer.warn(unseen)
    scored, rejected = counts.pop("scored", 0), counts.pop("rejected", 0)
    return TaskFacts(
        model_version=scorer.version,
        model_digest=scorer.loaded.digest,
        purpose=scorer.card.purpose,
        horizon_days=scorer.card.horizon_days,
        scored=scored,
        rejected=rejected,
        excluded=dict(sorted(counts.items())),
        unseen=dict(sorted(unseen.items())),
    )


app = typer.Typer(add_completion=False)


@app.command()
def main(
    as_of: Annotated[
        str, typer.Option(help="the moment to score, or latest; events of that day do not count")
    ] = "latest",
    task: Annotated[
        list[str] | None, typer.Option(help="a task to score, may be repeated; default: all champions")
    ] = None,
    valid_days: Annotated[
        int, typer.Option(help="days after which nobody should act on a score")
    ] = VALID_DAYS,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="score in so many at once, of some 600 MB each; default: one per core where there are many customers",
        ),
    ] = None,
) -> None:
    """Score the whole customer base for a date and publish the run."""
    for receipt in finish():
        print(f"finished an erasure that was interrupted: {receipt.subject}")
    warehouse = connect()
    made = batch(
        warehouse,
        moment_named(as_of, warehouse.latest_moment),
        task or (),
        valid_days=valid_days,
        processes=processes,
    )
    for name, facts in made.manifest.tasks.items():
        counts = {"scored": facts.scored, "rejected": facts.rejected, **facts.excluded}
        print(f"{name}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items() if count))
    print(f"published {made.folder}")


if __name__ == "__main__":
    run(app)
