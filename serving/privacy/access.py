"""Everything that is held about a person, for them: what was recorded, what was computed, what was scored and told, in words."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from features import audit
from features.feature_set import FEATURES
from features.home import data_folder, scores_folder
from features.nightly import latest
from features.pointer import pointed
from features.sources import CANONICAL
from features.standing import Standing
from features.warehouse import connect
from serving.runs import runs
from serving.runs.manifest import Manifest
from serving.runs.reader import Run
from serving.score_log import SUFFIX, scores_of

__all__ = ["export"]


def export(customer_id: str, by: str = "") -> dict[str, Any]:
    """What is held, by store; recorded in the audit trail before it is handed out. Raises `NotAudited`."""
    standing = Standing.here()
    audit.noted(
        audit.Entry(
            who=by or audit.whoever(),
            action="export",
            purpose="access",
            result="exported",
            subjects=[standing.pseudonyms.of(customer_id)],
        )
    )
    data = data_folder()
    return {
        "customer_id": customer_id,
        "at": datetime.now(UTC).replace(microsecond=0),
        "recorded": _recorded(customer_id),
        "features": _features(customer_id, data / "features"),
        "scores": _runs(customer_id, scores_folder()),
        "scores_given": [one for file in sorted((data / "score-log").glob(f"*{SUFFIX}")) for one in scores_of(file, customer_id)],
        "consents_told": standing.now().states_of(customer_id),
    }  # fmt: skip


def _recorded(customer_id: str) -> dict[str, list[dict[str, Any]]]:
    """Rows in which the person stands, as owner or named by others."""
    warehouse, found = connect(), {}
    for name, table in warehouse.tables.items():
        rows = []
        for column in CANONICAL[name].naming_customers:
            rows += warehouse.engine.to_pyarrow(table.filter(table[column] == customer_id)).to_pylist()
        if rows:
            found[name] = [{k: v for k, v in row.items() if v is not None} for row in rows]
    return found


def _features(customer_id: str, folder: Path) -> list[dict[str, Any]]:
    """The night's row, feature by feature, in words."""
    if not pointed(folder):
        return []
    row: dict[str, Any] = next(iter(latest(folder).find([customer_id]).to_pylist()), {})
    told = [(FEATURES[name], value) for name, value in row.items() if name in FEATURES and value is not None]
    return [{"name": f.name, "en": f.en, "zh": f.zh, "unit": f.unit, "value": value} for f, value in told]


def _runs(customer_id: str, scores: Path) -> list[dict[str, Any]]:
    """The person's rows of every run that is kept, those that nobody may use any more as well."""
    found = []
    for folder in runs(scores):
        run = Run(folder, Manifest.read(folder))
        for table in run.rows("long", mind=False):
            mine = table.filter(pc.equal(table["customer_id"], customer_id))
            found += [{"run": run.name, **row} for row in mine.to_pylist()]
    return found
