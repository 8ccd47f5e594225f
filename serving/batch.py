"""The nightly batch: every customer, every champion, published at once.

python -m serving.batch --as-of 1998-07-01 [--task churn]
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from features import nightly
from features.command import run
from features.errors import NoChampion
from features.home import scores_folder
from features.nightly import NightlyRows
from features.progress import followed
from features.timeline import moment_named
from features.warehouse import Warehouse, connect
from serving.published import publishing
from serving.scorer import Scorer
from training import registry

__all__ = ["SCHEMA", "batch"]

CHANCE = pa.struct([("outcome", pa.string()), ("horizon_days", pa.int32()), ("probability", pa.float64())])
SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("task", pa.string()),
        ("as_of", pa.timestamp("us")),
        ("horizon_days", pa.int32()),
        ("probability", pa.float64()),
        ("grade", pa.string()),
        ("outlook", pa.list_(CHANCE)),
        ("reasons_en", pa.list_(pa.string())),
        ("reasons_zh", pa.list_(pa.string())),
        ("model_version", pa.string()),
    ]
)
Counts = dict[str, dict[str, int]]


def batch(
    warehouse: Warehouse, as_of: datetime, tasks: Sequence[str] = (), scores: Path | None = None
) -> tuple[Path, Counts]:
    """Score everyone known before `as_of` for the named champions (default: all); returns the run and its counts.

    Per task, scored + excluded by reason = population. Raises `NoChampion` when there is nothing to score with.
    """
    champions = [registry.champion(task) for task in tasks] or registry.champions()
    if not champions:
        raise NoChampion("no model has been promoted yet: run `python -m training.train --task TASK`")
    scorers = [Scorer(champion) for champion in champions]
    rows = nightly.materialise(warehouse, as_of)
    counts: Counts = {}
    with publishing(scores or scores_folder(), as_of) as made:
        for scorer in scorers:
            scorer.require(rows.fingerprints)
            counts[scorer.task] = _score_task(scorer, rows, made.folder / f"{scorer.task}.parquet")
        made.facts |= {
            "models": {s.task: s.version for s in scorers},
            "population": len(rows),
            "counts": counts,
        }
    return made.folder, counts


def _score_task(scorer: Scorer, rows: NightlyRows, target: Path) -> dict[str, int]:
    counts: dict[str, int] = {"scored": 0}
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        blocks = followed(rows.batches, f"scoring {scorer.task}", len(rows), lambda batch: batch.num_rows)
        for block in (pa.Table.from_batches([batch]) for batch in blocks):
            scored = scorer.score(block)
            for reason in scored.excluded:
                counts[reason or "scored"] = counts.get(reason or "scored", 0) + 1
            reasons = scorer.reasons(scored.rows)
            size = len(scored.probabilities)
            columns = [
                block["customer_id"].combine_chunks().filter(pa.array(scored.eligible)),
                [scorer.task] * size,
                [rows.as_of] * size,
                [scorer.card.horizon_days] * size,
                scored.probabilities,
                scored.grades,
                [
                    [msgspec.structs.asdict(chance) for chance in some]
                    for some in scorer.chances(scored.outlook)
                ],
                [[reason.en for reason in some] for some in reasons],
                [[reason.zh for reason in some] for some in reasons],
                [scorer.version] * size,
            ]
            writer.write_table(
                pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
            )
    return counts


app = typer.Typer(add_completion=False)


@app.command()
def main(
    as_of: Annotated[
        str, typer.Option(help="the moment to score, or latest; events of that day do not count")
    ] = "latest",
    task: Annotated[
        list[str] | None, typer.Option(help="a task to score, may be repeated; default: all champions")
    ] = None,
) -> None:
    """Score the whole customer base for a date and publish the run."""
    warehouse = connect()
    folder, counts = batch(warehouse, moment_named(as_of, warehouse.latest_moment), task or ())
    for name, row in counts.items():
        print(f"{name}: " + ", ".join(f"{count:,} {what}" for what, count in row.items()))
    print(f"published {folder}")


if __name__ == "__main__":
    run(app)
