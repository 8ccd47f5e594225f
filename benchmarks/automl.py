"""Ours against AutoML (FLAML): the same features, the same split, log loss on the same later rows.

FLAML searches boosters of two kinds, forests and linear models for at least fifteen times what our small fixed model takes.
It learns from the fit part and chooses by log loss on the calibration part, whose customers and mostly dates are others: of
two ways tried its better one (cross-validation by customer over both parts: CDNOW purchase_intent .353 to .384 instead of
.350 to .352). Both get one core, and the test is later than both parts wherever the history allows.

Several runs differ in both seeds. A row's loss is its mean over the runs, and the difference of the two has an interval
by customers drawn again: "worse" means that the whole interval lies above zero.

    make bench-automl
    python -m benchmarks.automl journey carmaker        only these worlds; CDNOW takes most of the time
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from flaml import AutoML
from rich.console import Console
from rich.table import Table

from benchmarks.carmaker import loaded
from benchmarks.quality import studies
from benchmarks.record import write
from features.warehouse import Warehouse, connect
from training.blend import fit_both
from training.dataset import Dataset, Parts, dataset, split, telling
from training.grow import numbers
from training.metrics import auc
from training.plan import Plan, plan
from training.resampling import Estimate, mean_by_customer
from training.task import Task
from training.tasks import task_named
from worlds import cdnow, journey

WORLDS = ["cdnow", "journey", "carmaker"]
TIMES_OURS = 15  # half as much again as the tenth that is to be shown: the shares of a busy machine vary
LEARNERS = ["lgbm", "xgboost", "xgb_limitdepth", "rf", "extra_tree", "lrl1"]
TITLES = ("rows tested", "log loss, ours", "FLAML's", "ours less FLAML's (95 %)", "ROC AUC, ours", "FLAML's",
          "processor, ours/theirs", "clock, ours/theirs", "its choice", "verdict")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A task's parts, cut and numbered, with the columns that tell customers apart."""

    title: str
    task: Task
    data: Dataset
    parts: Parts

    @property
    def categories(self) -> list[str]:
        return [name for name in self.data.names if name in self.parts.levels]


@dataclass(frozen=True)
class Run:
    """One scorer's probabilities on the test rows, what they took, and what it chose."""

    probabilities: np.ndarray
    processor: float
    clock: float
    choice: str = ""


def main(
    worlds: Annotated[list[str] | None, typer.Argument(help="cdnow, journey, carmaker; default: all")] = None,
    runs: Annotated[int, typer.Option(min=1, help="fits of each, with other seeds")] = 3,
    seconds: Annotated[float, typer.Option(help="FLAML gets these at least, whatever ours takes")] = 60,
    customers: Annotated[int, typer.Option(help="of the invented carmaker")] = 8_000,
) -> None:
    worlds = worlds or WORLDS
    with TemporaryDirectory() as scratch:
        found = []
        for case in cases(Path(scratch), customers, worlds):
            found.append(measured(case, runs, seconds))
            print(*found[-1]["shown"], sep="  ", flush=True)
    table = Table(*("task", *TITLES), title=f"Ours against FLAML out of time, {runs} runs of each")
    for row in found:
        table.add_row(*row["shown"])
    Console(width=None if Console().is_terminal else 210).print(table)
    write("automl", {"facts": {"runs": runs, "seconds": seconds, "customers": customers}, "rows": found})


def cases(scratch: Path, customers: int, worlds: Collection[str]) -> Iterator[Case]:
    """Two tasks of CDNOW, redemption of the Complete Journey, churn of the invented carmaker."""
    if "cdnow" in worlds:
        cdnow.convert(scratch / "cdnow")
        for task, data, parts in studies(connect(str(scratch / "cdnow"))):
            yield Case(f"CDNOW {task.name}", task, data, parts)
    if "journey" in worlds:
        journey.convert(scratch / "journey")
        households = connect(str(scratch / "journey"))
        yield cut("Complete Journey", "redemption", households, journey.after_campaigns())
    if "carmaker" in worlds:
        yield cut("carmaker", "churn", loaded(scratch / "carmaker", customers, seed=7))


def cut(world: str, name: str, warehouse: Warehouse, planned: Plan | None = None) -> Case:
    task = task_named(name, warehouse)
    planned = planned or plan(task, warehouse)
    data = dataset(task, warehouse, planned.dates)
    parts = split(data, planned)
    data = replace(data, features=telling(data.features, parts.fit))
    return Case(f"{world} {name}", task, data, parts)


def measured(case: Case, runs: int, seconds: float) -> dict[str, Any]:
    """Ours and theirs, run by run, and the difference of their losses with its interval."""
    pairs = []
    for seed in range(1, runs + 1):
        our = ours(case, seed)
        pairs.append((our, theirs(case, AutoML(), seed, max(seconds, TIMES_OURS * our.clock))))
    test = case.parts.test
    came = test["outcome"].to_numpy(dtype=np.float64)
    losses = [np.mean([_losses(pair[n], came) for pair in pairs], axis=0) for n in (0, 1)]
    difference = mean_by_customer(losses[0] - losses[1], test["customer_id"])
    aucs = [[auc(came, pair[n].probabilities, np.ones(len(came))) for pair in pairs] for n in (0, 1)]
    ratios = [[getattr(our, clock) / getattr(their, clock) for our, their in pairs] for clock in ("processor", "clock")]  # fmt: skip
    choices = ", ".join(sorted({their.choice for _, their in pairs}))
    figures = [f"{np.mean(losses[0]):.4f}", f"{np.mean(losses[1]):.4f}", _told(difference),
               *(f"{np.mean(of):.4f}" for of in aucs), *(f"{np.median(of):.3f}" for of in ratios)]  # fmt: skip
    return {
        "task": case.title,
        "difference": [difference.value, difference.low, difference.high],
        "runs": [{"log loss": [float(_losses(run, came).mean()) for run in pair], "processor": [run.processor for run in pair],
                  "clock": [run.clock for run in pair], "choice": pair[1].choice} for pair in pairs],
        "shown": [case.title, f"{len(test):,}", *figures, choices, _verdict(difference)],
    }  # fmt: skip


def ours(case: Case, seed: int) -> Run:
    """The small fixed model with its line, fitted and calibrated as in a training run."""

    def made() -> tuple[np.ndarray, str]:
        model = fit_both(case.parts.fit, case.parts.calibrate, case.data.names, case.task.answers,
                         categories=case.categories, parameters={"seed": seed, "num_threads": 1})  # fmt: skip
        return model.probabilities(numbers(case.parts.test, case.data.names)), ""

    return _timed(made)


def theirs(case: Case, automl: Any, seed: int, budget: float) -> Run:
    """FLAML's best within the budget, on the same columns of the same rows."""
    learn, judge = case.parts.fit, case.parts.calibrate

    def made() -> tuple[np.ndarray, str]:
        automl.fit(_table(case, learn), learn["outcome"].to_numpy(), X_val=_table(case, judge),
                   y_val=judge["outcome"].to_numpy(), task="classification", metric="log_loss", time_budget=budget,
                   estimator_list=LEARNERS, seed=seed, n_jobs=1, verbose=0)  # fmt: skip
        said = automl.predict_proba(_table(case, case.parts.test))
        return np.asarray(said)[:, 1].astype(np.float64), str(automl.best_estimator)

    return _timed(made)


def _timed(made: Callable[[], tuple[np.ndarray, str]]) -> Run:
    processor, clock = time.process_time(), time.perf_counter()
    probabilities, choice = made()
    return Run(probabilities, time.process_time() - processor, time.perf_counter() - clock, choice)


def _table(case: Case, rows: pd.DataFrame) -> pd.DataFrame:
    """The numbers a model reads, categories marked as such."""
    table = pd.DataFrame(numbers(rows, case.data.names), columns=case.data.names)
    return table.astype({
        name: pd.CategoricalDtype(np.arange(len(case.parts.levels[name]), dtype=np.float64))
        for name in case.categories
    })  # fmt: skip


def _losses(run: Run, came: np.ndarray) -> np.ndarray:
    said = np.clip(run.probabilities, 1e-15, 1 - 1e-15)
    return np.asarray(-np.where(came == 1, np.log(said), np.log1p(-said)))


def _told(e: Estimate) -> str:
    return f"{e.value:+.4f} ({e.low:+.4f} to {e.high:+.4f})".replace("-", "−")


def _verdict(e: Estimate) -> str:
    return "worse" if e.low > 0 else "better" if e.high < 0 else "no difference beyond chance"


if __name__ == "__main__":
    typer.run(main)
