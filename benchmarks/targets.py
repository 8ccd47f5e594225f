"""Every figure there is a goal for, side by side: each real set and the invented carmaker's four main tasks, out of sample.

Per task, on the same rows: ours, the linear challenger (which learns from fit and calibration part together), the best rule
and, where a world is invented, the oracle, which knows everything hidden. Intervals are of customers drawn again, and a lead is
that of pairs on the same draws.

    share of gain      (ours - 1/2) / (oracle - 1/2) in ROC AUC
    columns' ceiling   the same share for trees that are taught the oracle's own probabilities, on the test's own dates, of
                       customers who are not tested: what these columns tell, with neither chance in the outcomes nor time
                       between. No model of the same columns can be much better
    times the rule     outcomes in the top tenth over those in the best rule's; beside it the oracle's, above which nobody comes
    calibration        error of ours without the noise of the test, with its interval, and as measured; what a model whose
                       probabilities are all true stays below, 19 times of 20, in either way of measuring; the oracle's

    make bench-targets        WORLD names may follow: python -m benchmarks.targets cdnow journey
    python -m benchmarks.targets carmaker --customers 100000 --task churn        the invented carmaker may be larger, or older
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from unittest import mock

import lightgbm as lgb
import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.record import write
from features.home import data_folder
from features.warehouse import Warehouse, connect
from training.calibration import Calibration, calibration_of
from training.challenger import fit_linear, linear_probabilities
from training.dataset import numbered
from training.grow import PARAMETERS, numbers
from training.metrics import brier
from training.plan import Plan
from training.ranking import aucs, lists_of
from training.resampling import Draws, Estimate, draws_of, estimate
from training.task import Task
from training.tasks import task_named
from training.train import Prepared, fitted, prepare
from worlds import invented
from worlds.demo import WORLDS, Study, World, planned_for

TOP = np.array([0.10])
LEAST_TIMES_THE_RULE = 1.5
MOST_ECE = 0.01
LESS_IS_BETTER = {"brier", "calibration"}
# Per world and task: the figure, whether more is better, and the goal.
GOALS: dict[tuple[str, str], tuple[tuple[str, float], ...]] = {
    ("cdnow", "churn"): (("auc", 0.786), ("brier", 0.1536)),
    ("cdnow", "purchase_intent"): (("auc", 0.808),),
    ("journey", "redemption"): (("auc", 0.81),),
    ("motor", "lapse"): (("auc", 0.64),),
} | {
    ("carmaker", task): (
        ("share of gain", 0.85),
        ("times the rule", LEAST_TIMES_THE_RULE),
        ("calibration", MOST_ECE),
    )
    for task in ("purchase_intent", "churn", "repurchase", "upgrade")
}
TITLES = ("ours", "linear", "ours - linear", "best rule", "oracle", "share of gain", "columns' ceiling", "times the rule, top tenth",
          "the oracle's", "Brier", "calibration", "goals")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A task's parts and what the oracle says of the moments at the test's dates, tested or not (None: a real set)."""

    world: str
    task: Task
    made: Prepared
    truth: pd.Series | None


def main(
    worlds: Annotated[list[str] | None, typer.Argument(help="worlds to measure; default: all")] = None,
    customers: Annotated[int, typer.Option(help="of the invented carmaker")] = invented.CUSTOMERS,
    years: Annotated[int, typer.Option(help="of its history")] = invented.WORLD.years,
    task: Annotated[list[str] | None, typer.Option(help="tasks to measure; default: all")] = None,
) -> None:
    found = []
    for name in worlds or list(WORLDS):
        if reason := WORLDS[name].absent():
            print(f"{name} skipped: {reason}")
            continue
        another = replace(invented.WORLD, customers=customers, years=years)
        with elsewhere(), mock.patch.object(invented, "WORLD", another):
            for case in cases(WORLDS[name], task):
                found.append(measured(case))
                print(*found[-1]["shown"], sep="  ", flush=True)
    table = Table("", *TITLES, title="Out of sample, ROC AUC unless said otherwise, with 95 % intervals")
    for row in found:
        table.add_row(*row["shown"])
    Console(width=None if Console().is_terminal else 230).print(table)
    write("targets", {"customers": customers, "years": years, "rows": found})


@contextmanager
def elsewhere() -> Iterator[None]:
    """A folder of its own to be in, so that no world that was tried is written over."""
    here = Path.cwd()
    with TemporaryDirectory() as scratch:
        os.chdir(scratch)
        try:
            yield
        finally:
            os.chdir(here)


def cases(world: World, tasks: Sequence[str] | None = None) -> Iterator[Case]:
    world.convert(data_folder() / "warehouse")
    warehouse = connect(str(data_folder() / "warehouse"))
    for study in (one for one in world.studies() if not tasks or one.task in tasks):
        task = task_named(study.task, warehouse)
        yield _case(world, study, task, warehouse)


def _case(world: World, study: Study, task: Task, warehouse: Warehouse) -> Case:
    planned: Plan = planned_for(world, study, task, warehouse)
    made = prepare(task, warehouse, planned)
    if world.truth is None:
        return Case(world.name, task, made, None)
    asked = made.data.frame[made.data.frame["as_of"].isin(planned.test)]
    outlook = world.truth(task, asked)
    true = np.sum([outlook[:, -1, place] for place in task.wanted_places], axis=0)
    return Case(world.name, task, made, pd.Series(true, asked.index))


def measured(case: Case) -> dict[str, Any]:
    """All figures of a case, in numbers and as they are shown."""
    parts, names = case.made.parts, case.made.data.names
    test = parts.test
    draws, came = draws_of(test["customer_id"]), test["outcome"].to_numpy(dtype=np.float64)
    learning = pd.concat([parts.fit, parts.calibrate])
    model = fitted(case.task, case.made)
    ours = model.probabilities(numbers(test, names))
    linear = linear_probabilities(fit_linear(learning, names, case.made.categories, model.line), test, names)
    ranks = {rule.name: rule.score(test) for rule in case.task.rules}
    rule = max(ranks, key=lambda name: float(aucs(came, ranks[name], draws)[0]))
    by_draw = {"ours": aucs(came, ours, draws), "linear": aucs(came, linear, draws), "rule": aucs(came, ranks[rule], draws)}  # fmt: skip
    by_rule = _found(came, ranks[rule], draws)
    figures: dict[str, Estimate | float] = {
        "auc": estimate(by_draw["ours"]), "linear": estimate(by_draw["linear"]), "rule": estimate(by_draw["rule"]),
        "lead over linear": estimate(by_draw["ours"] - by_draw["linear"]),
        "times the rule": estimate(_found(came, ours, draws) / by_rule),
        "brier": brier(came, ours, np.ones(len(came))),
        **_calibration("calibration", calibration_of(came, ours, test["customer_id"].to_numpy())),
    }  # fmt: skip
    if case.truth is not None:
        true = case.truth[test.index].to_numpy()
        oracle = aucs(came, true, draws)
        figures |= {
            "oracle": estimate(oracle),
            "share of gain": estimate((by_draw["ours"] - 0.5) / (oracle - 0.5)),
            "oracle, times the rule": estimate(_found(came, true, draws) / by_rule),
            "ceiling": estimate((aucs(came, ceiling(case), draws) - 0.5) / (oracle - 0.5)),
            **_calibration(
                "calibration of the oracle", calibration_of(came, true, test["customer_id"].to_numpy())
            ),
        }
    return {"world": case.world, "task": case.task.name, "figures": {n: _plain(f) for n, f in figures.items()},
            "rows": len(test), "outcomes": int(came.sum()), "shown": _shown(case, rule, figures)}  # fmt: skip


def ceiling(case: Case) -> np.ndarray:
    """The oracle's log-odds as trees tell them from the same columns, taught on customers who are not tested."""
    made, true = case.made, case.truth
    assert true is not None
    rows = made.data.frame.loc[true.index]
    read = numbers(numbered(rows, made.parts.levels), made.data.names)
    taught = ~rows["customer_id"].isin(made.parts.test["customer_id"]).to_numpy()
    odds = np.clip(true.to_numpy(), 1e-6, 1 - 1e-6)
    table = lgb.Dataset(read[taught], np.log(odds / (1 - odds))[taught], params={"verbosity": -1},
                        categorical_feature=[made.data.names.index(name) for name in made.categories] or "auto")  # fmt: skip
    settings = {**PARAMETERS, "objective": "regression", "num_leaves": 31, "learning_rate": 0.05}
    trees = lgb.train(settings, table, num_boost_round=600)
    places = pd.Series(np.arange(len(rows)), rows.index)[made.parts.test.index]
    return np.asarray(trees.predict(read[places.to_numpy()]))


def _calibration(name: str, found: Calibration) -> dict[str, Estimate | float]:
    return {
        name: Estimate(found.corrected, found.low, found.high),
        f"{name}, measured": found.plain,
        f"{name}, corrected, by chance": found.by_chance,
        f"{name}, by chance": found.plain_by_chance,
    }


def _found(came: np.ndarray, score: np.ndarray, draws: Draws) -> np.ndarray:
    """Outcomes in the top tenth, by draw."""
    return lists_of(came, score, draws, TOP).found_at(TOP[0])


def _shown(case: Case, rule: str, figures: dict[str, Estimate | float]) -> list[str]:
    told = f"{figures['calibration']}; measured {figures['calibration, measured']:.4f}, true ones below {figures['calibration, by chance']:.4f}"
    if case.truth is not None:
        told += f"; oracle {figures['calibration of the oracle']}"
    cells = [figures["auc"], figures["linear"], _signed(figures["lead over linear"]), f"{figures['rule']} {rule}",
             *(figures.get(name, "-") for name in ("oracle", "share of gain", "ceiling", "times the rule", "oracle, times the rule")),
             f"{figures['brier']:.4f}", told, _goals(case, figures)]  # fmt: skip
    return [f"{case.world} {case.task.name}", *map(str, cells)]


def _goals(case: Case, figures: dict[str, Estimate | float]) -> str:
    told = []
    for name, goal in GOALS.get((case.world, case.task.name), ()):
        figure = figures[name]
        value = figure.value if isinstance(figure, Estimate) else figure
        met = value <= goal if name in LESS_IS_BETTER else value >= goal
        told.append(f"{name} {goal:g}: {'met' if met else 'missed'}")
    lead = figures["lead over linear"]
    assert isinstance(lead, Estimate)
    told.append("linear: " + ("ahead" if lead.low > 0 else "behind" if lead.high < 0 else "level"))
    return "; ".join(told)


def _signed(e: Estimate | float) -> str:
    assert isinstance(e, Estimate)
    return f"{e.value:+.3f} ({e.low:+.3f} to {e.high:+.3f})"


def _plain(figure: Estimate | float) -> list[float] | float:
    return [figure.value, figure.low, figure.high] if isinstance(figure, Estimate) else float(figure)


if __name__ == "__main__":
    typer.run(main)
