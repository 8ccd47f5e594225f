"""The nightly batch after its features: probability, grade and reasons in two languages of everybody for all champions, published.

    make bench-batch
    python -m benchmarks.batch --rows 1000000 --peer-rows 20000

The rows are those of a small invented carmaker, repeated under new ids until there are as many as asked for; its models are trained here. Each job
runs in a process of its own, whose highest memory is what the kernel noted for it. The peer is what one would write instead: a data frame,
LightGBM's `predict` and `pred_contrib` (which is what SHAP's tree explainer calls), sentences row by row, one Parquet file per task. It does
less: no hashes, no resumption, no rankings, no lookup.
"""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from benchmarks.carmaker import loaded
from benchmarks.record import record
from features import audit, nightly
from features.consent import columns_of
from features.matrix import matrix
from features.nightly import NightlyRows
from features.reasons import Explainer
from features.warehouse import connect
from serving.batch import batch
from serving.scorer import Scorer
from training import registry
from training.plan import plan
from training.tasks import task_named
from training.train import train

TASKS = ("churn", "purchase_intent", "repurchase")
ROWS_PER_BATCH = 50_000
app = typer.Typer(add_completion=False)


@app.command()
def main(
    rows: Annotated[int, typer.Option(help="customers to score")] = 1_000_000,
    peer_rows: Annotated[int, typer.Option(help="customers for the peer, and for ours beside it")] = 20_000,
    customers: Annotated[
        int, typer.Option(help="of the invented carmaker that rows and models are of")
    ] = 6_000,
    runs: Annotated[int, typer.Option(help="of each side by side")] = 3,
    world: Annotated[
        str, typer.Option(help="a folder where that carmaker is loaded and trained; default: made")
    ] = "",
    job: Annotated[str, typer.Option(help="of a process that this one starts", hidden=True)] = "",
    scratch: Annotated[Path, typer.Option(help="of a process that this one starts", hidden=True)] = Path(),
) -> None:
    """Measure."""
    if job:
        print(json.dumps({"ours": _ours, "peer": _peer, "trees": _trees}[job](scratch, rows)))
        return
    with TemporaryDirectory() as place:
        scratch = Path(place)
        home = Path(world).absolute() if world else _world(scratch, customers)
        os.chdir(home)
        found: dict[str, dict[str, list[float]]] = {"predict": {}, "contributions": {}, "the whole batch": {}}
        for _ in range(runs):
            trees = _in_its_own_process("trees", scratch, peer_rows)
            for name in ("predict", "contributions"):
                found[name].setdefault("LightGBM / ours, processor", []).append(trees[f"{name}, processor"])
                found[name].setdefault("LightGBM / ours, time", []).append(trees[f"{name}, time"])
            peer = _in_its_own_process("peer", scratch, peer_rows)
            ours = _in_its_own_process("ours", scratch, peer_rows)
            for what in ("time", "processor"):
                found["the whole batch"].setdefault(f"pandas / ours, {what}", []).append(
                    peer[what] / ours[what]
                )
        sizes = {size: _in_its_own_process("ours", scratch, size) for size in (rows // 5, rows)}
    facts: dict[str, Any] = {"rows": rows, "peer_rows": peer_rows, "tasks": TASKS, "alone": sizes}
    record(
        "batch", f"the batch after its features, {peer_rows:,} customers x {len(TASKS)} tasks", found, facts
    )
    for size, told in sizes.items():
        print(
            f"{size:,} customers: {told['time']:,.0f} s, {size / told['time']:,.0f} customers/s, {told['GiB']:.2f} GiB"
        )


def _in_its_own_process(job: str, scratch: Path, rows: int) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.batch",
        f"--job={job}",
        f"--scratch={scratch}",
        f"--rows={rows}",
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(job, f"{rows:,}", json.dumps(found), flush=True)
    return found


def _world(scratch: Path, customers: int) -> Path:
    """A carmaker, loaded, with its models promoted and its night there."""
    (scratch / "home").mkdir()
    os.chdir(scratch / "home")
    loaded(Path("var"), customers, seed=7)
    warehouse = connect()
    for name in TASKS:
        task = task_named(name, warehouse)
        train(task, warehouse, plan(task, warehouse), promote=True)
    nightly.materialise(warehouse, warehouse.latest_moment)
    return Path.cwd()


def _rows(scratch: Path, count: int) -> NightlyRows:
    """The night's rows, again and again under new ids."""
    file = scratch / f"rows-{count}.arrow"
    if not file.is_file():
        night = nightly.latest()
        table = night.table()
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, night.schema) as writer:
            for begin in range(0, count, ROWS_PER_BATCH):
                places = np.arange(begin, min(begin + ROWS_PER_BATCH, count))
                block = table.take(pa.array(places % len(table)))
                ids = pa.array([f"C{place:09d}" for place in places])
                block = block.set_column(0, night.schema.field(0), ids)
                writer.write_table(block.combine_chunks(), max_chunksize=ROWS_PER_BATCH)
    return NightlyRows.open(file)


def _measured(work: Any) -> dict[str, Any]:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    status = Path("/proc/self/status").read_text()
    return {
        "time": time.perf_counter() - clock,
        "processor": time.process_time() - processor,
        "GiB": int(status.partition("VmHWM:")[2].split()[0]) / 2**20,
    }


def _ours(scratch: Path, count: int) -> dict[str, Any]:
    rows, warehouse = _rows(scratch, count), connect()
    with (
        mock.patch.object(nightly, "materialise", return_value=rows),
        mock.patch.object(audit, "noted", return_value=None),
    ):
        return _measured(lambda: batch(warehouse, rows.as_of, TASKS, scratch / f"scores-{os.getpid()}"))


def _peer(scratch: Path, count: int) -> dict[str, Any]:
    rows = _rows(scratch, count)
    scorers = [Scorer(registry.champion(task)) for task in TASKS]

    def work() -> None:
        frame = rows.table().to_pandas()
        for scorer in scorers:
            may = columns_of(scorer.card.purpose, scorer.card.cohort)
            asked = frame[frame[may].isna().all(axis=1)]
            table = pa.Table.from_pandas(asked, preserve_index=False)
            values = matrix(table, list(scorer.card.features), scorer.card.levels)
            probability, parts = (
                scorer.loaded.model.probabilities(values),
                scorer.loaded.model.contributions(values),
            )
            explainer = Explainer(scorer.features, scorer.card.levels)
            said = [
                explainer.reasons(row[None], part[None])[0]
                for row, part in zip(values, parts[:, :-1], strict=True)
            ]
            made = pd.DataFrame({"customer_id": asked["customer_id"], "probability": probability,
                                 "grade": [scorer.card.grades.grade(p) for p in probability],
                                 "en": [[r.en for r in some] for some in said], "zh": [[r.zh for r in some] for some in said]})  # fmt: skip
            pq.write_table(pa.Table.from_pandas(made), scratch / f"peer-{scorer.task}.parquet")

    return _measured(work)


def _trees(scratch: Path, count: int) -> dict[str, float]:
    """LightGBM over ours: raw scores of all rows, contributions of a tenth."""
    table = _rows(scratch, count).table()
    scorer = Scorer(registry.champion(TASKS[0]))
    values = matrix(table, list(scorer.card.features), scorer.card.levels)
    theirs = scorer.model.booster
    scorer.quicken(table.slice(0, 500))
    ours = scorer.model.booster
    assert ours is not theirs
    assert np.array_equal(ours.predict(values, raw_score=True), theirs.predict(values, raw_score=True))
    few = values[: count // 10]
    found = {}
    for name, asked, more in (
        ("predict", values, {"raw_score": True}),
        ("contributions", few, {"pred_contrib": True}),
    ):
        one, other = (_measured(partial(booster.predict, asked, **more)) for booster in (theirs, ours))
        found |= {f"{name}, {what}": one[what] / other[what] for what in ("time", "processor")}
    return found


if __name__ == "__main__":
    app()
