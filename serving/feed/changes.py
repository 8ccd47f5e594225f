"""The change feed: customers whose grade or main reason differs between two runs, with before and after, and what moved.

It is computed from the two runs whenever it is asked for, in the order of customers and tasks, so that it can be replayed from any run:
the same two runs give the same lines with the same keys. Memory is bounded; the join is DuckDB's.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import duckdb
import msgspec

from features.words import CONCEPTS
from serving.feed.minded import minded
from serving.runs import Run
from serving.runs.schema import concepts

__all__ = ["Change", "Moved", "changes"]

ROWS_AT_A_TIME = 10_000
MOST_MOVED = 2
LEAST_MOVED = 10  # thousandths of log-odds: less is no reason to speak of
THOUSANDTHS = 1000.0


class Moved(msgspec.Struct, frozen=True, omit_defaults=True):
    """A group of features that says something else than before: by how much (log-odds), the `feature` that speaks, with its `value` now and
    before where they are numbers, and in words. Compared with another run than the one before, the groups alone are known."""

    concept: str
    change: float
    en: str
    zh: str
    feature: str | None = None
    value: float | None = None
    previous_value: float | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One customer and task. `key` is the same whenever the same change is sent again. Nobody should act on it after `expires_at`. `moved` is
    told by one model for both moments."""

    key: str
    run: str
    since: str
    customer_id: str
    task: str
    kind: Literal["new", "changed", "gone"]
    as_of: datetime
    expires_at: datetime
    grade: str | None
    previous_grade: str | None
    probability: float | None
    previous_probability: float | None
    reason: str | None
    previous_reason: str | None
    reason_en: str | None
    reason_zh: str | None
    moved: list[Moved]
    model_version: str | None
    previous_model_version: str | None


QUESTION = """
SELECT coalesce(n.customer_id, b.customer_id) AS customer_id, coalesce(n.task, b.task) AS task,
       n.grade, b.grade AS previous_grade, n.probability, b.probability AS previous_probability,
       n.model_version, b.model_version AS previous_model_version,
       n.reasons, b.reasons AS previous_reasons, n.since, n.moved, np AS parts, bp AS previous_parts
FROM read_parquet($now) n FULL JOIN {before} b ON n.customer_id = b.customer_id AND n.task = b.task
LEFT JOIN read_parquet($now_parts) np ON np.customer_id = n.customer_id AND np.task = n.task
LEFT JOIN {before_parts} bp ON bp.customer_id = b.customer_id AND bp.task = b.task
WHERE n.grade IS DISTINCT FROM b.grade OR n.reasons[1].concept IS DISTINCT FROM b.reasons[1].concept
ORDER BY 1, 2
"""


def changes(now: Run, since: Run | None = None) -> Iterator[Change]:
    """What differs in `now` from `since`; without it everybody is new. A customer who is no longer scored for a task is `gone`."""
    given: dict[str, Any] = {"now": now.files("long"), "now_parts": now.files("concepts")}
    tables = {"before": "(SELECT * FROM read_parquet($now) LIMIT 0)",
              "before_parts": "(SELECT * FROM read_parquet($now_parts) LIMIT 0)"}  # fmt: skip
    if since is not None:
        given |= {"before": since.files("long"), "before_parts": since.files("concepts")}
        tables = {name: f"read_parquet(${name})" for name in tables}
    engine = duckdb.connect()
    found = engine.execute(QUESTION.format(**tables), {k: [str(f) for f in v] for k, v in given.items()})
    for batch in found.fetch_record_batch(ROWS_AT_A_TIME):
        for row in minded(batch.to_pylist(), now.manifest.tasks):
            yield _change(row, now, since)


def _change(row: Mapping[str, Any], now: Run, since: Run | None) -> Change:
    main, previous = _main(row["reasons"]), _main(row["previous_reasons"])
    kind: Any = "gone" if row["grade"] is None else "new" if row["previous_grade"] is None else "changed"
    told = since.name if since else ""
    names = f"{now.manifest.content}\n{since.manifest.content if since else ''}\n{row['task']}\n{row['customer_id']}"
    return Change(
        key=hashlib.sha256(names.encode()).hexdigest()[:32],
        run=now.name,
        since=told,
        customer_id=row["customer_id"],
        task=row["task"],
        kind=kind,
        as_of=now.manifest.as_of,
        expires_at=now.manifest.expires_at,
        grade=row["grade"],
        previous_grade=row["previous_grade"],
        probability=row["probability"],
        previous_probability=row["previous_probability"],
        reason=main.get("concept"),
        previous_reason=previous.get("concept"),
        reason_en=main.get("en"),
        reason_zh=main.get("zh"),
        moved=_moved(row, since) if kind == "changed" else [],
        model_version=row["model_version"],
        previous_model_version=row["previous_model_version"],
    )


def _main(reasons: Sequence[Mapping[str, Any]] | None) -> Mapping[str, Any]:
    return reasons[0] if reasons else {}


def _moved(row: Mapping[str, Any], since: Run | None) -> list[Moved]:
    """What the run itself says moved, where it was compared with that run; else the groups whose contribution is most another one, by the
    same model."""
    if since and row["since"] == since.manifest.as_of and row["moved"] is not None:
        return [Moved(**moved) for moved in row["moved"]]
    if row["model_version"] != row["previous_model_version"]:
        return []
    parts, before = row["parts"] or {}, row["previous_parts"] or {}
    apart = {
        name: value - before[name]
        for name, value in parts.items()
        if name not in concepts([]).names and value is not None and before.get(name) is not None
    }
    most = sorted(apart, key=lambda name: (-abs(apart[name]), name))[:MOST_MOVED]
    return [_in_words(name, apart[name] / THOUSANDTHS) for name in most if abs(apart[name]) >= LEAST_MOVED]


def _in_words(concept: str, change: float) -> Moved:
    en = f"{concept} makes it {'more' if change > 0 else 'less'} likely than before"
    zh = f"{CONCEPTS.get(concept, concept)}较上次{'提高' if change > 0 else '降低'}可能性"
    return Moved(concept, change, en, zh)
