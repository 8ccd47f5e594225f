"""The same search with its trials on a Spark cluster, by MLflow's Spark study.

    python -m training.tune --task churn --trials-on spark:local[2]

Trials are children of the study's run in the tracking store, and a later call finds them there. As many run at a time as
the cluster has cores; each is drawn from what had ended when it began, so that two studies of the same rows differ,
which those of the journal (`training.search`) do not. The executors need this package with its extra `spark`, and reach
the tracking store at the same address. One call at a time goes on with a study.
"""

from collections.abc import Callable, Sequence
from math import isinf
from typing import Any

import mlflow
import optuna
from mlflow.exceptions import ExecutionException
from optuna.distributions import IntDistribution
from optuna.pruners import NopPruner
from optuna.samplers import TPESampler
from optuna.trial import Trial, TrialState

from features.errors import BadData, NotTrainable, NoWarehouse, TrialsFailed
from features.home import without_secrets
from features.warehouse import engine_module
from training import registry
from training.model import Answers
from training.search import (
    FIRST,
    FREE_TRIALS,
    SEED,
    SPACE,
    Inner,
    Study,
    concluded,
    finished,
    mark_of,
    named_by,
    tried,
)
from training.task import Task

__all__ = ["search_on_spark"]


def search_on_spark(
    task: Task,
    cut: Inner,
    names: Sequence[str],
    categories: Sequence[str],
    *,
    trials: int,
    address: str,
    study: str = "",
    timeout: float = float("inf"),
) -> Study:
    """Bring a study in the tracking store up to `trials` finished trials, run where `address` says.

    No task begins a trial after `timeout` seconds. Raises `NoWarehouse` when there is no such Spark, `BadData` for a study
    of other rows, `TrialsFailed` when the executors could not do it, `NotTrainable` when no trial could be judged.
    """
    session = _session(address)
    mark = mark_of(task, cut, names, categories)
    name = study or named_by(task, mark)
    opened = _opened(name, mark)
    before = len(finished(opened))
    if not before:
        _fixed_first(opened, cut, names, categories, task.answers)
    if (wanted := trials - len(finished(opened))) > 0:
        at_once = min(wanted, _cores(session) or wanted)
        try:
            opened.optimize(_objective(cut, names, categories, task.answers), n_trials=wanted,
                            timeout=None if isinf(timeout) else timeout, n_jobs=at_once)  # fmt: skip
        except (ExecutionException, _spark_error()) as error:
            said = str(error).strip().splitlines()[-1][:300]
            raise TrialsFailed(
                f"the trials of {name} failed on {without_secrets(address)}: {said}. Executors need this package and the "
                "address of the tracking store; the same call goes on with the trials that ended"
            ) from error
    return concluded(name, finished(opened), before, cut)


def _session(address: str) -> Any:
    module = engine_module(address)
    if module is None or not hasattr(module, "session_at"):
        raise NoWarehouse(
            f"{without_secrets(address)!r} names no Spark: say spark:local[2] or spark://host:7077"
        )
    return module.session_at(module.cluster_of(address))


def _opened(name: str, mark: str) -> optuna.Study:
    """The study of that name in our experiment; its run is the one that the tuning job logs to."""
    from mlflow.optuna.storage import MlflowStorage  # noqa: PLC0415  (with pyspark, an extra)
    from mlflow.pyspark.optuna.study import MlflowSparkStudy  # noqa: PLC0415

    storage = MlflowStorage(experiment_id=registry.experiment())
    sampler = TPESampler(seed=SEED, n_startup_trials=FREE_TRIALS)
    study = MlflowSparkStudy(name, storage, sampler=sampler, pruner=NopPruner())
    if study.user_attrs.get("mark", mark) != mark:
        raise BadData(f"the study {name} was begun with other rows, columns or spaces: name another")
    study.set_user_attr("mark", mark)
    with mlflow.start_run(run_id=str(storage.get_study_id_from_name(name)), nested=True):
        mlflow.set_tag("study", name)
    return study


def _fixed_first(
    study: optuna.Study, cut: Inner, names: Sequence[str], categories: Sequence[str], answers: Answers
) -> None:
    """Trial 0, the small fixed model, fitted here: two executors could both take a trial that waits."""
    try:
        loss, rounds = tried(cut, names, categories, answers, FIRST)
    except NotTrainable:
        given_up = optuna.create_trial(state=TrialState.PRUNED, params=FIRST, distributions=SPACE)
        study.add_trial(given_up)
    else:
        ended = optuna.create_trial(
            value=loss, params=FIRST, distributions=SPACE, user_attrs={"rounds": rounds}
        )
        study.add_trial(ended)


def _objective(
    cut: Inner, names: Sequence[str], categories: Sequence[str], answers: Answers
) -> Callable[[Trial], float]:
    """What an executor does with a trial; it carries the rows, once for all of its trials."""

    def judged(trial: Trial) -> float:
        parameters = {name: _suggested(trial, name) for name in SPACE}
        try:
            loss, rounds = tried(cut, names, categories, answers, parameters)
        except NotTrainable as error:
            raise optuna.TrialPruned from error
        trial.set_user_attr("rounds", rounds)
        return loss

    return judged


def _suggested(trial: Trial, name: str) -> float:
    range_: Any = SPACE[name]
    suggest = trial.suggest_int if isinstance(range_, IntDistribution) else trial.suggest_float
    drawn: float = suggest(name, range_.low, range_.high, log=range_.log)
    return drawn


def _cores(session: Any) -> int:
    """How many tasks run at a time; 0 where Spark Connect does not say."""
    context = getattr(session, "sparkContext", None)
    return int(context.defaultParallelism) if context else 0


def _spark_error() -> type[Exception]:
    from pyspark.errors import PySparkException  # noqa: PLC0415

    return PySparkException  # type: ignore[no-any-return]
