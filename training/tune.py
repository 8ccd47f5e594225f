"""The tuning job: search, then let the tuned model meet the small fixed one on a test neither has seen.

    python -m training.tune --task churn --trials 30

The search sees the fit part alone (`training.search`). Its best settings are then fitted and calibrated like the fixed
ones, and both are compared on the outer test, customer by customer. The tuned model takes the fixed one's place only
when the whole interval of the difference in log loss lies below zero.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import matplotlib as mpl
import mlflow
import typer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.console import Console
from rich.table import Table

from features.command import run
from features.home import data_folder
from features.sample import of_customers
from features.warehouse import Warehouse, connect
from training import registry
from training.grow import FIXED, numbers
from training.model import Model
from training.preflight import up_to
from training.resampling import Estimate, mean_by_customer
from training.search import SPACE, STAGNANT, Study, inner, search
from training.spark_study import search_on_spark
from training.task import Task
from training.tasks import task_named
from training.train import Prepared, Trained, fitted, log_rows, prepare, revision, train

__all__ = ["Tuned", "Verdict", "tune"]

mpl.use("Agg")
TRIALS = 30
SHOWN = 5
LATER = "no trial is lost: the same call goes on with the study, and logs it"
TITLES = ("leaves", "rate", "min rows", "columns", "rows", "L2")  # in the order of the space


@dataclass(frozen=True)
class Verdict:
    """Tuned less fixed: the mean difference of their log losses on the outer test. Below zero the tuned is better; on a
    test that shares its dates with the fit (`in_time` false) nobody wins."""

    difference: Estimate
    in_time: bool

    @property
    def wins(self) -> bool:
        """Whether the tuned model is better by a whole interval, on a test later than what it learned."""
        return self.difference.high < 0 and self.in_time

    def __str__(self) -> str:
        told, e = "wins" if self.wins else "does not win", self.difference
        why = "" if self.in_time else ", and the test shares its dates with the fit"
        return f"tuned {told}: difference {_signed(e.value)} ({_signed(e.low)} to {_signed(e.high)}){why}"


@dataclass(frozen=True)
class Tuned:
    """What tuning left: the study, both models, the verdict, the study's run and, where the tuned won, the training's."""

    study: Study
    tuned: Model
    fixed: Model
    verdict: Verdict
    run_id: str
    trained: Trained | None


def tune(
    task: Task,
    warehouse: Warehouse,
    *,
    trials: int = TRIALS,
    timeout: float = float("inf"),
    study: str = "",
    trials_on: str = "",
    stagnant: int = STAGNANT,
) -> Tuned:
    """Search, compare, log the study as one run, and train with what was found if it is better beyond chance.

    A call with the same data and name goes on with the same study, up to `trials` in all. `trials_on` names a Spark to
    run them on. Raises `OpenWindow` or `NotTrainable` like training, `BadData` for a study that belongs to other rows or
    another process, and `NoRegistry` where the store does not answer.
    """
    made = prepare(task, warehouse)
    cut = inner(task, made.parts.fit, made.planned.fit)
    columns = (made.data.names, made.categories)
    if trials_on:
        with registry.answering(LATER):
            found = search_on_spark(task, cut, *columns, trials=trials, timeout=timeout, study=study,
                                    address=trials_on)  # fmt: skip
    else:
        found = search(task, cut, *columns, trials=trials, timeout=timeout, stagnant=stagnant, study=study,
                       folder=data_folder() / "studies")  # fmt: skip
    fixed = fitted(task, made, FIXED)
    tuned = fitted(task, made, found.best) if found.improved else fixed
    verdict = Verdict(_difference(made, tuned, fixed), in_time=not made.planned.by_customer)
    with registry.answering(LATER), registry.tracked(f"tune {task.name}", found.name) as active:
        _log(task, made, found, tuned, verdict)
    settings = replace(found.best, chosen_by=f"{found.best.chosen_by}; on the test, {verdict}")
    trained = train(task, warehouse, made, settings=settings) if verdict.wins else None
    return Tuned(found, tuned, fixed, verdict, active.info.run_id, trained)


def _difference(made: Prepared, tuned: Model, fixed: Model) -> Estimate:
    test, rows = made.parts.test, numbers(made.parts.test, made.data.names)
    kind, interval = (test[name].to_numpy() for name in ("kind", "interval"))
    losses = [model.hazards.losses(model.margins(rows), kind, interval) for model in (tuned, fixed)]
    return mean_by_customer(losses[0] - losses[1], test["customer_id"])


def _log(task: Task, made: Prepared, found: Study, tuned: Model, verdict: Verdict) -> None:
    """The study as it stands; a study that goes on later writes over its own figures."""
    mlflow.set_tags({"study": found.name, "task": task.name, "data_digest": made.data.digest})
    mlflow.set_tags({"job": "tune", "code_revision": revision()})
    log_rows(task, made.data, made.parts, revision())
    mlflow.set_tags({"verdict": str(verdict), "model_digest": tuned.digest})
    mlflow.log_params({"task": task.name, "search_cut": found.cut})
    mlflow.log_params({f"space.{name}": str(range_) for name, range_ in SPACE.items()})
    e, best = verdict.difference, float(found.trials["log_loss"].min())
    figures = {
        "difference.log_loss": e.value,
        "difference.log_loss.low": e.low,
        "difference.log_loss.high": e.high,
    }
    mlflow.log_metrics(figures | {"search.log_loss": best, "search.trials": len(found.trials)})
    mlflow.log_metrics({f"best.{name}": value for name, value in found.best.told().items()})
    mlflow.log_text(found.trials.to_csv(index=False), "trials.csv")
    mlflow.log_dict(dict(found.best.told()), "best.json")
    with tempfile.TemporaryDirectory() as scratch:
        mlflow.log_artifact(str(_picture(found, Path(scratch) / "best_so_far.png")))


def _picture(found: Study, file: Path) -> Path:
    """Every trial's log loss, and the best until then."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(
        found.trials["trial"], found.trials["log_loss"], "o", color="#8a8a8a", markersize=4, label="trial"
    )
    axes.step(
        found.trials["trial"], found.trials["best_so_far"], where="post", color="#0b5fa5", label="best so far"
    )
    axes.set(xlabel="trial (0: the small fixed model)", ylabel="log loss, judged later", title=found.name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    figure.savefig(file, dpi=130)
    return file


def _best_trials(found: Study) -> Table:
    """The best few trials, and the fixed one."""
    title = f"study {found.name}: {len(found.trials)} trials, {found.added} of them now"
    table = Table("trial", "log loss", "trees", *TITLES, "s", box=None, title=title, title_justify="left")
    best = found.trials.nsmallest(SHOWN, "log_loss").index
    shown = found.trials[found.trials.index.isin(best) | (found.trials["trial"] == 0)]
    for row in shown.sort_values("log_loss").to_dict("records"):
        name = "fixed" if row["trial"] == 0 else str(row["trial"])
        chosen = (f"{row[parameter]:.3g}" for parameter in SPACE)
        table.add_row(name, f"{row['log_loss']:.5f}", str(row["rounds"]), *chosen, f"{row['seconds']:.1f}")
    return table


def _signed(number: float) -> str:
    return f"{number:+.4f}".replace("-", "−")


app = typer.Typer(add_completion=False)


@app.command()
def main(
    task: Annotated[str, typer.Option(help="name of the task")],
    trials: Annotated[int, typer.Option(min=1, help="finished trials the study shall have in all")] = TRIALS,
    timeout: Annotated[float, typer.Option(min=0, help="begin no trial after so many seconds; 0: none")] = 0,
    study: Annotated[
        str, typer.Option(help="name of the study to begin or go on with; default: that of these rows")
    ] = "",
    stagnant: Annotated[
        int, typer.Option(min=0, help="end after so many trials without a better one; 0: never")
    ] = STAGNANT,
    longest_horizon: Annotated[int, typer.Option(help="leave out longer horizons, in days; 0: none")] = 0,
    customers: Annotated[
        int, typer.Option(min=0, help="learn from about so many customers, the same every time; 0: all")
    ] = 0,
    trials_on: Annotated[
        str, typer.Option(help="a Spark to run the trials on, such as spark:local[2]; default: this process")
    ] = "",
) -> None:
    """Search for better settings of a task's model; go on where an interrupted search stopped."""
    if study and not study.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise typer.BadParameter("a study's name is made of letters, digits, '-', '_' and '.'")
    warehouse = of_customers(connect(), customers)
    chosen = task_named(task, warehouse)
    chosen = up_to(chosen, longest_horizon) if longest_horizon else chosen
    tuned = tune(chosen, warehouse, trials=trials, timeout=timeout or float("inf"), study=study,
                 trials_on=trials_on, stagnant=stagnant)  # fmt: skip
    Console().print(_best_trials(tuned.study))
    print(f"kept apart {tuned.study.cut}\n\n{tuned.verdict}\nrun     {tuned.run_id}")
    if tuned.trained is None:
        print(f"{task} keeps the small fixed model; nothing was registered")
        return
    trained = tuned.trained
    print(trained.report)
    state = "is the champion now" if trained.promoted else "was registered and not promoted"
    print(f"\n{task} version {trained.version} {state}\nrun     {trained.run_id}\nreport  {trained.page}")


if __name__ == "__main__":
    run(app)
