"""Preflight: can this task be learned here, and how sure could its figures be? Seconds, before hours.

    python -m training.preflight --task churn

It asks the cohort and the outcomes at the dates of the plan, of a sample where the base is large, and computes no
feature. The width of a ROC AUC's interval is that of Hanley and McNeil (Radiology 143, 1982), the lift's that of a
binomial share (Wilson 1927), each for a model of ordinary skill; the figures of a run have their own, by bootstrap.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from features.cohorts import eligible
from features.command import run
from features.errors import NotTrainable, OpenWindow, PropensityError
from features.sample import sampled, share_of_customers
from features.timeline import moment_named
from features.warehouse import Warehouse, connect
from training.dataset import FEWEST_OUTCOMES, happened
from training.plan import Plan, plan
from training.task import Task
from training.tasks import task_named

__all__ = ["Line", "Preflight", "auc_spread", "lift_range", "preflight", "up_to"]

USUAL_AUC = 0.75
USUAL_LIFT = 2.0
MOST_MOMENTS = 200_000
WIDE = 0.05  # an AUC no better known than this says little
FEWEST_OF_A_KIND = {"fit": FEWEST_OUTCOMES, "calibrate": 20, "test": 20}
PARTS = ("fit", "calibrate", "test")


@dataclass(frozen=True)
class Line:
    """One outcome by one horizon: moments with it in each part, and how sure the test could be of a usual model."""

    outcome: str
    horizon_days: int
    counts: Mapping[str, int]
    auc_spread: float
    lift: tuple[float, float]


@dataclass(frozen=True)
class Preflight:
    """What was found. `problems` forbid training, `notes` do not; `share` is the part of the customers looked at."""

    task: Task
    planned: Plan
    moments: Mapping[str, int]
    lines: tuple[Line, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    share: float = 1.0

    def require(self) -> None:
        """Raise `NotTrainable`, naming what was found, what is needed and the remedy, if anything forbids training."""
        if self.problems:
            raise NotTrainable(f"{self.task.name} cannot be learned here: {'; '.join(self.problems)}")

    def table(self) -> Table:
        """Outcomes by horizons, as one would show them before asking for hours of a machine."""
        looked = "" if self.share == 1 else f", from {self.share:.1%} of the customers"
        moments = ", ".join(f"{count:,} to {part}" for part, count in self.moments.items())
        table = Table("outcome", "days", *PARTS, "ROC AUC known to", "a lift of 2 seen as", box=None,
                      title=f"{self.task.name}: moments {moments}{looked}\n{self.planned.cut}", title_justify="left")  # fmt: skip
        for line in self.lines:
            low, high = line.lift
            counts = (f"{line.counts[part]:,}" for part in PARTS)
            table.add_row(
                line.outcome,
                str(line.horizon_days),
                *counts,
                f"± {line.auc_spread:.3f}" if line.auc_spread < 0.5 else "not at all",
                f"{low:.1f} to {high:.1f}" if high else "-",
            )
        return table


def preflight(task: Task, warehouse: Warehouse, planned: Plan | None = None) -> Preflight:
    """Look before training. Without a plan it makes one: customers of the test are unseen by the fit where there are
    enough of them, and else everyone is asked about at later dates, which the plan then says.

    Raises `OpenWindow` when no window is closed, naming a horizon that would do.
    """
    if planned is not None:
        return _looked(task, warehouse, planned)
    try:
        found = _looked(task, warehouse, plan(task, warehouse))
    except OpenWindow as error:
        raise OpenWindow(f"{error}; {_remedy(task, warehouse)}") from error
    if found.problems and not found.planned.by_customer:
        wider = _looked(task, warehouse, plan(task, warehouse, everyone=True))
        found = found if wider.problems else wider
    return replace(found, problems=(*found.problems, _remedy(task, warehouse))) if found.problems else found


def _looked(task: Task, warehouse: Warehouse, made: Plan) -> Preflight:
    found, share = _counted(task, warehouse, made)
    found = found.assign(part=made.parts(found["customer_id"], found["as_of"])).dropna(subset="part")
    lines = tuple(_lines(task, found, share))
    problems = tuple(_problems(task, found, lines, share))
    moments = {part: round((found["part"] == part).sum() / share) for part in PARTS}
    return Preflight(task, made, moments, lines, problems, tuple(_notes(lines)), share)


def up_to(task: Task, longest_days: int) -> Task:
    """The task with no horizon beyond so many days."""
    kept = tuple(days for days in task.horizons_days if days < longest_days)
    return task if longest_days >= task.horizon_days else replace(task, horizons_days=(*kept, longest_days))


def auc_spread(auc: float, with_it: int, without: int) -> float:
    """Half the width of a ROC AUC's 95 % interval, before there is a model (Hanley and McNeil 1982)."""
    if not with_it or not without:
        return 0.5
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (with_it - 1) * (one - auc**2) + (without - 1) * (two - auc**2)
    return min(1.96 * sqrt(variance / (with_it * without)), 0.5)


def lift_range(lift: float, rate: float, listed: int) -> tuple[float, float]:
    """Between what a lift on a list of that size would be seen, 95 times of 100 (Wilson 1927)."""
    if not rate or not listed:
        return 0.0, 0.0
    share, z = min(lift * rate, 1.0), 1.96
    middle = (share + z**2 / (2 * listed)) / (1 + z**2 / listed)
    spread = z / (1 + z**2 / listed) * sqrt(share * (1 - share) / listed + z**2 / (4 * listed**2))
    return max(middle - spread, 0.0) / rate, min(middle + spread, 1.0) / rate


def _counted(task: Task, warehouse: Warehouse, planned: Plan) -> tuple[pd.DataFrame, float]:
    """Each moment with its outcome; of a fixed share of the customers where there are many."""
    share = share_of_customers(warehouse, MOST_MOMENTS // max(len(planned.dates), 1))
    warehouse = sampled(warehouse, share, "preflight")
    task.require_closed(planned.dates, warehouse)
    moments = eligible(task.asked(warehouse, planned.dates)).cache()
    found = task.outcome.first(moments, warehouse.tables, task.horizons_days, task.gap_days)
    return warehouse.engine.to_pyarrow(found).to_pandas(), share


def _lines(task: Task, found: pd.DataFrame, share: float) -> Iterator[Line]:
    for m, kind in enumerate(task.kinds):
        for k, days in enumerate(task.horizons_days):
            came = pd.Series(happened(task, found, [m], k), index=found.index)
            counts = {part: round(came[found["part"] == part].sum() / share) for part in PARTS}
            tested = found["part"] == "test"
            # A customer's several moments say little more than one.
            with_it, without = (
                round(found.loc[tested & (came == said), "customer_id"].nunique() / share) for said in (1, 0)
            )
            rate = with_it / max(with_it + without, 1)
            lift = lift_range(USUAL_LIFT, rate, (with_it + without) // 10)
            yield Line(kind, days, counts, auc_spread(USUAL_AUC, with_it, without), lift)


def _problems(task: Task, found: pd.DataFrame, lines: tuple[Line, ...], share: float) -> Iterator[str]:
    wanted = pd.Series(happened(task, found), index=found.index)
    for part in PARTS:
        rows = round((found["part"] == part).sum() / share)
        had = round(wanted[found["part"] == part].sum() / share)
        if _at_most(min(had, rows - had), share) < FEWEST_OUTCOMES:
            yield (
                f"the {part} part has {rows:,} rows of which {had:,} with the outcome within {task.horizon_days} days; "
                f"at least {FEWEST_OUTCOMES} with it and without it are needed"
            )
    if len(task.kinds) > 1:
        for line in lines:
            for part, needed in FEWEST_OF_A_KIND.items():
                if line.horizon_days == task.horizon_days and _at_most(line.counts[part], share) < needed:
                    yield f"the {part} part has {line.counts[part]:,} of the kind {line.outcome}, {needed} are needed"


def _at_most(count: int, share: float) -> float:
    """How many there may be, where only a share was looked at: nobody is refused for a sample's bad luck."""
    seen = count * share
    return count if share == 1 else (seen + 2 * sqrt(seen) + 2) / share


def _notes(lines: tuple[Line, ...]) -> Iterator[str]:
    for line in lines:
        if line.auc_spread > WIDE:
            yield (
                f"{line.outcome} within {line.horizon_days} days: the test could know a ROC AUC to ± {line.auc_spread:.2f} only"
            )


def _remedy(task: Task, warehouse: Warehouse) -> str:
    """Which shorter horizon would pass: a declared one, or half and a quarter of the only one."""
    shorter = task.horizons_days[-2::-1] or (task.horizon_days // 2, task.horizon_days // 4)
    for days in shorter[:2]:
        candidate = up_to(task, days)
        try:
            if not _looked(candidate, warehouse, plan(candidate, warehouse)).problems:
                return f"a horizon of {days} days would do: --longest-horizon {days}"
        except PropensityError:
            continue
    return f"use more customers or a longer history (horizons of {' and '.join(map(str, shorter[:2]))} days would not do)"


app = typer.Typer(add_completion=False)


@app.command()
def main(
    task: Annotated[str, typer.Option(help="name of the task")],
    test_at: Annotated[str, typer.Option(help="moment of the test, or latest")] = "latest",
    longest_horizon: Annotated[int, typer.Option(help="leave out longer horizons; 0: none")] = 0,
) -> None:
    """Say whether a task can be learned here, before anything is computed for it."""
    warehouse = connect()
    chosen = task_named(task, warehouse)
    if longest_horizon:
        chosen = up_to(chosen, longest_horizon)
    at = None if test_at == "latest" else moment_named(test_at, warehouse.latest_moment)
    found = preflight(chosen, warehouse, plan(chosen, warehouse, test_at=at) if at else None)
    Console(width=None if Console().is_terminal else 130).print(found.table())
    for note in found.notes:
        print(f"note: {note}")
    found.require()
    print(f"{task} can be learned: python -m training.train --task {task}")


if __name__ == "__main__":
    run(app)
