"""Withdrawals at random times while the batch works: nobody who was acknowledged before the run was published is in any of its files.

python -m tests.faults.consents --runs 50 --withdrawals 500        (make faults)
"""

import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import typer

import serving.batch as nightly_batch
from features.nightly import latest
from features.standing import Standing
from features.warehouse import Warehouse
from serving.batch import batch
from serving.runs import folder
from tests.faults.runs import nights_ready
from tests.shop import END, open_shop_elsewhere

__all__ = ["named_in", "withdrawn_meanwhile"]


def withdrawn_meanwhile(
    warehouse: Warehouse, scores: Path, count: int, seed: int, *, lasts_s: float
) -> dict[str, int]:
    """Score everybody while `count` customers, drawn by seed, take back a consent at times drawn over `lasts_s` seconds."""
    dice = random.Random(seed)
    everybody = latest().table()["customer_id"].to_pylist()
    drawn = dice.sample(everybody, count)
    told: dict[str, float] = {}  # when it was acknowledged
    began, published = time.monotonic(), [0.0]

    def tell() -> None:
        times = sorted(dice.uniform(0, lasts_s) for _ in drawn)
        for customer, at in zip(drawn, times, strict=True):
            time.sleep(max(began + at - time.monotonic(), 0))
            purpose = dice.choice(["marketing", "service", "profiling"])
            Standing.here().tell([(customer, purpose, "withdrawn")], "a person")
            told[customer] = time.monotonic()

    real: Callable[..., Path] = folder.publish

    def publish(*given: object) -> Path:
        published[0] = time.monotonic()
        return real(*given)  # type: ignore[arg-type]

    telling = threading.Thread(target=tell)
    telling.start()
    with mock.patch.object(nightly_batch, "publish", publish):
        run = batch(warehouse, END, scores=scores)
    telling.join()
    before = {customer for customer, at in told.items() if at < published[0]}
    wrong = before & named_in(run.folder)
    assert not wrong, f"seed {seed}: {len(wrong)} of {len(before)} who had withdrawn are in the run"
    folder.verify(run.folder)
    since = set(drawn) & set(pa.concat_tables(run.rows("long", ["customer_id"]))["customer_id"].to_pylist())
    assert not since, f"seed {seed}: our reader gave {len(since)} who had withdrawn"
    scored = max(facts.scored for facts in run.manifest.tasks.values())
    return {"withdrew before": len(before), "after": len(drawn) - len(before), "scored": scored}


def named_in(run: Path) -> set[str]:
    """Every customer with a score in any file of a run, read without our reader."""
    found: set[str] = set()
    for file in run.rglob("*"):
        if file.suffix == ".parquet" and file.parent.name not in ("forecast", "rejected"):
            found |= set(pq.ParquetFile(file).read()["customer_id"].to_pylist())
        elif file.suffix == ".arrow":
            with pa.OSFile(str(file)) as source:
                found |= set(pa.ipc.open_file(source).read_all()["customer_id"].to_pylist())
    return found


app = typer.Typer(add_completion=False)


@app.command()
def main(
    runs: Annotated[int, typer.Option()] = 50,
    withdrawals: Annotated[int, typer.Option()] = 500,
    seed: Annotated[int, typer.Option(help="0: drawn")] = 0,
    shop: Annotated[Path | None, typer.Option(help="a shop that is there already")] = None,
) -> None:
    """Plant the withdrawals and print what was counted."""
    seed = seed or random.SystemRandom().randrange(1, 10**6)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        if shop:
            shutil.copytree(shop / "var", scratch / "var", symlinks=True)
        else:
            open_shop_elsewhere(scratch)
        os.chdir(scratch)
        counted: dict[str, int] = {}
        with nights_ready(scratch) as warehouse:
            began = time.monotonic()
            batch(warehouse, END, scores=scratch / "timed")
            lasts_s = time.monotonic() - began
            for number in range(runs):
                os.environ["LEDGERS_URL"] = str(scratch / f"ledgers-{number}")
                found = withdrawn_meanwhile(
                    warehouse, scratch / f"scores-{number}", withdrawals, seed + number, lasts_s=lasts_s
                )
                counted = {name: counted.get(name, 0) + count for name, count in found.items()}
                shutil.rmtree(scratch / f"scores-{number}")
        print(
            f"{runs} runs of {withdrawals} withdrawals: {counted}, 0 of those who withdrew before in any file"
        )


if __name__ == "__main__":
    app()
