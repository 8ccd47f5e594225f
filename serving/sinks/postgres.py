"""A run in PostgreSQL: staged, then visible in one transaction, and the same however often it is sent.

    propensity_scores   the long table with `run`, keyed by (run, customer_id, task); outlook and reasons as jsonb
    propensity_runs     the runs that are there, and which is the current one
    propensity_current  a view: the rows of the current run

A connection that breaks leaves what was there before. Needs the extra `postgres`.
"""

import json
from typing import Any

from features.errors import BadRun
from features.home import without_secrets
from serving.runs import Run

__all__ = ["send"]

COLUMNS = (
    "customer_id", "task", "as_of", "expires_at", "horizon_days", "probability", "percentile", "grade", "outlook", "reasons", "model_version",
    "since", "previous_probability", "previous_grade", "moved",
)  # fmt: skip
TABLES = """
CREATE TABLE IF NOT EXISTS propensity_runs (
    run text PRIMARY KEY, as_of timestamp NOT NULL, expires_at timestamp NOT NULL, content text NOT NULL,
    rows bigint NOT NULL, schema_version int NOT NULL, is_current boolean NOT NULL);
CREATE TABLE IF NOT EXISTS propensity_scores (
    run text NOT NULL, customer_id text NOT NULL, task text NOT NULL, as_of timestamp NOT NULL, expires_at timestamp NOT NULL,
    horizon_days int NOT NULL, probability double precision NOT NULL, percentile double precision NOT NULL, grade text NOT NULL,
    outlook jsonb NOT NULL, reasons jsonb NOT NULL, model_version text NOT NULL, PRIMARY KEY (run, customer_id, task));
ALTER TABLE propensity_scores ADD COLUMN IF NOT EXISTS since timestamp, ADD COLUMN IF NOT EXISTS previous_probability double precision,
    ADD COLUMN IF NOT EXISTS previous_grade text, ADD COLUMN IF NOT EXISTS moved jsonb;
CREATE OR REPLACE VIEW propensity_current AS
    SELECT s.* FROM propensity_scores s JOIN propensity_runs r ON r.run = s.run AND r.is_current;
"""
LOCK = 7_263_001  # one sender at a time, whoever it is


def send(run: Run, address: str, *, keep: int = 2) -> int:
    """Copy the long table and make the run the current one there; older runs than the newest `keep` are removed. Returns the rows.

    Raises `BadRun` when the database does not answer or refuses; then it holds what it held before.
    """
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        raise BadRun("writing PostgreSQL needs: pip install 'car-propensity[postgres]'") from missing
    try:
        with psycopg.connect(address) as connection, connection.cursor() as cursor:
            return _send(cursor, run, keep)
    except psycopg.Error as error:
        told = str(error).strip().splitlines()[:1]
        raise BadRun(
            f"{without_secrets(address)}: {' '.join(told) or type(error).__name__}; it holds what it held before, call again"
        ) from error


def _send(cursor: Any, run: Run, keep: int) -> int:
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    cursor.execute(TABLES)
    cursor.execute("CREATE TEMP TABLE staged (LIKE propensity_scores) ON COMMIT DROP")
    rows = 0
    with cursor.copy(f"COPY staged (run, {', '.join(COLUMNS)}) FROM STDIN") as copy:
        for table in run.rows("long"):
            for row in table.to_pylist():
                copy.write_row([run.name, *(_cell(row[name]) for name in COLUMNS)])
            rows += len(table)
    told = run.manifest
    expected = sum(facts.scored for facts in told.tasks.values())
    if rows != expected:
        raise BadRun(f"{run.name} holds {rows:,} rows, its manifest says {expected:,}; nothing was sent")
    cursor.execute("DELETE FROM propensity_scores WHERE run = %s", [run.name])
    cursor.execute("INSERT INTO propensity_scores SELECT * FROM staged")
    cursor.execute("UPDATE propensity_runs SET is_current = false WHERE is_current")
    cursor.execute(
        "INSERT INTO propensity_runs VALUES (%s, %s, %s, %s, %s, %s, true) ON CONFLICT (run) DO UPDATE SET is_current = true",
        [run.name, told.as_of, told.expires_at, told.content, rows, told.schema_version],
    )
    cursor.execute(
        "DELETE FROM propensity_runs WHERE NOT is_current AND run NOT IN (SELECT run FROM propensity_runs ORDER BY run DESC LIMIT %s)",
        [max(keep, 1)],
    )
    cursor.execute("DELETE FROM propensity_scores WHERE run NOT IN (SELECT run FROM propensity_runs)")
    return rows


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
