"""The search for better trees: an Optuna study that a kill interrupts and nothing repeats.

    fit part ──► learn ──[window]──► calibrate | judge        the outer test is not here, so nothing can learn from it

Of the fit part, six tenths of the customers teach at its earlier dates; the others, at its latest dates and a whole
window later, calibrate (and say when trees stop growing) or judge, each customer one of the three. Of very many moments
200,000 teach; the winner is fitted on all. Trials grow trees alone: the line beside them (`training.blend`) is the same for
all. A trial's figure is the log loss of the calibrated hazards on those who judge.
Trial 0 is the small fixed trees. All others share one table of bins.

Trials lie in a journal, one file per study. Each draws from a seed of its own, given by how many are finished, so that
a study that was killed goes on as if nothing had happened (tree-structured Parzen estimator, Bergstra et al. 2011).
"""

import fcntl
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from features.errors import BadData, NotTrainable
from features.progress import followed
from training.bins import FOR_ALL_SETTINGS, Bins, bins
from training.dataset import FEWEST_OUTCOMES, require_both_outcomes
from training.grow import PARAMETERS, ROUNDS, Settings, fit, numbers
from training.hazards import FEWEST_EVENTS
from training.model import Answers, Model
from training.plan import share_of
from training.task import Task

__all__ = [
    "FIRST",
    "FREE_TRIALS",
    "SEED",
    "SPACE",
    "Inner",
    "Study",
    "concluded",
    "finished",
    "inner",
    "mark_of",
    "named_by",
    "search",
    "tried",
]

# Small, and around what does well on tables of customers: shallow trees, slow steps, strong shrinkage.
SPACE: dict[str, BaseDistribution] = {
    "num_leaves": IntDistribution(4, 64, log=True),
    "learning_rate": FloatDistribution(0.02, 0.15, log=True),
    "min_data_in_leaf": IntDistribution(20, 500, log=True),
    "feature_fraction": FloatDistribution(0.3, 1.0),
    "bagging_fraction": FloatDistribution(0.5, 1.0),
    "lambda_l2": FloatDistribution(0.1, 50.0, log=True),
}
FIRST: dict[str, Any] = {name: PARAMETERS.get(name, 1.0) for name in SPACE}
MOST_ROUNDS = 800
PATIENCE = 40
FREE_TRIALS = 8  # drawn at large before the estimator has something to go by
SEED = 7
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
# Of the customers: teach below the first, calibrate below the second, judge above.
LEARN, CALIBRATE = 0.6, 0.8
JUDGING_DATES = 3
MOST_LEARNING = 200_000  # moments; a trial's time grows with them
STAGNANT = 25  # trials without a better one, after which a study ends

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Inner:
    """The fit part cut again; `cut` says in words what keeps the three apart."""

    learn: pd.DataFrame
    calibrate: pd.DataFrame
    judge: pd.DataFrame
    cut: str


@dataclass(frozen=True)
class Study:
    """A study so far: a row per finished trial (trial, log_loss, best_so_far, rounds, seconds and the parameters; log_loss
    is missing where a trial could not be calibrated), how many rows this call added, the settings of the best, and what
    kept its parts apart."""

    name: str
    trials: pd.DataFrame
    added: int
    best: Settings
    cut: str

    @property
    def improved(self) -> bool:
        """Whether any trial beat the small fixed model, trial 0."""
        return bool(self.trials["log_loss"].idxmin() != 0)


def inner(task: Task, rows: pd.DataFrame, dates: Sequence[datetime]) -> Inner:
    """Cut the fit part in time, with the task's window between, or by customer alone where it is too short for that.

    Raises `NotTrainable` when a part lacks outcomes either way.
    """
    place = rows["customer_id"].map(lambda customer: share_of(f"search {customer}"))
    parts = (place < LEARN, (place >= LEARN) & (place < CALIBRATE), place >= CALIBRATE)
    for later in (sorted(dates)[-JUDGING_DATES:], sorted(dates)[-1:]):
        earlier = [date for date in dates if date + task.window <= later[0]]
        moments = (earlier, later, later)
        learn, calibrate, judge = (
            rows[part & rows["as_of"].isin(when)] for part, when in zip(parts, moments, strict=True)
        )
        if all(_enough(task, part) for part in (learn, calibrate, judge)):
            return Inner(
                _fewer(learn, place), calibrate, judge, "in time and by customer, within the fit part"
            )
    learn, calibrate, judge = (rows[part] for part in parts)
    for name, part in (("learning", learn), ("calibrating", calibrate), ("judging", judge)):
        require_both_outcomes(f"search's {name}", len(part), int(part["outcome"].sum()))
    cut = "by customer at the same dates, within the fit part: it spans no whole window with outcomes enough"
    return Inner(_fewer(learn, place), calibrate, judge, cut)


def _fewer(learn: pd.DataFrame, place: pd.Series) -> pd.DataFrame:
    """Whole customers, the same ones every time, that make up about `MOST_LEARNING` moments."""
    if len(learn) <= MOST_LEARNING:
        return learn
    return learn[place[learn.index] < LEARN * MOST_LEARNING / len(learn)]


def _enough(task: Task, rows: pd.DataFrame) -> bool:
    wanted, kinds = int(rows["outcome"].sum()), rows["kind"].value_counts()
    every = all(kinds.get(kind, 0) >= FEWEST_EVENTS for kind in range(len(task.kinds) + 1))
    return every and min(wanted, len(rows) - wanted) >= FEWEST_OUTCOMES


def search(
    task: Task,
    cut: Inner,
    names: Sequence[str],
    categories: Sequence[str],
    *,
    trials: int,
    folder: Path,
    study: str = "",
    timeout: float = float("inf"),
    stagnant: int = STAGNANT,
) -> Study:
    """Bring a study up to `trials` finished trials, or as far as `timeout` seconds allow, and at least to its first. It ends
    early once `stagnant` trials in a row have not found a better one (0: never).

    Without a name the study is that of these rows, so the same call goes on with it and other data begin another. Raises
    `BadData` for a study of other rows, a damaged file or one that another process works on; `NotTrainable` when no
    trial could be judged.
    """
    mark = mark_of(task, cut, names, categories)
    study = study or named_by(task, mark)
    with _opened(folder, study, mark) as opened:
        before, began = len(finished(opened)), monotonic()
        remaining = _trials(opened, task, cut, names, categories, _Limits(trials, began + timeout, stagnant))
        for _ in followed(remaining, f"trials of {study}", max(trials - before, 0), lambda _: 1):
            pass
        return concluded(study, finished(opened), before, cut)


def concluded(name: str, trials: Sequence[FrozenTrial], before: int, cut: Inner) -> Study:
    """What finished trials make of a study that had `before` of them. Raises `NotTrainable` when none could be judged."""
    table = _table(trials)
    if table["log_loss"].isna().all():
        raise NotTrainable(
            f"no trial of {name} could be calibrated: the search needs more customers or dates"
        )
    return Study(name, table, len(table) - before, _best(table, name), cut.cut)


def tried(
    cut: Inner,
    names: Sequence[str],
    categories: Sequence[str],
    answers: Answers,
    parameters: Mapping[str, float],
    shared: Bins | None = None,
) -> tuple[float, int]:
    """A trial: its log loss on those who judge, and how many trees it grew. `shared` spares the trials of one process the
    sorting of rows into bins. Raises `NotTrainable` when it cannot be calibrated."""
    settings, first = _settings(dict(parameters), MOST_ROUNDS), parameters == FIRST
    model = fit(cut.learn, cut.calibrate, names, answers, categories=categories,
                parameters=settings.parameters, rounds=settings.rounds,
                patience=0 if first else PATIENCE, shared=None if first else shared)  # fmt: skip
    kind, interval = (cut.judge[name].to_numpy() for name in ("kind", "interval"))
    losses = model.hazards.losses(model.margins(numbers(cut.judge, names)), kind, interval)
    return float(losses.mean()), _grown(model)


def _trials(
    study: optuna.Study,
    task: Task,
    cut: Inner,
    names: Sequence[str],
    categories: Sequence[str],
    limits: "_Limits",
) -> Iterator[int]:
    """One trial after the other; each has a number among the finished ones."""
    if not limits.allow(finished(study)):
        return
    shared = bins(cut.learn, cut.calibrate, names, categories) if names else None
    while limits.allow(ended := finished(study)):
        trial = _asked(study, done := len(ended))
        try:
            loss, rounds = tried(cut, names, categories, task.answers, trial.params, shared)
        except NotTrainable:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            trial.set_user_attr("rounds", rounds)
            study.tell(trial, loss)
        yield done


@dataclass(frozen=True)
class _Limits:
    """When a study ends: so many trials, a time on the clock, so many trials in a row without a better one."""

    trials: int
    until: float
    stagnant: int

    def allow(self, finished: Sequence[FrozenTrial]) -> bool:
        if not finished:
            return self.trials > 0
        return len(finished) < self.trials and monotonic() < self.until and not self._stagnates(finished)

    def _stagnates(self, finished: Sequence[FrozenTrial]) -> bool:
        losses = [float("inf") if trial.value is None else trial.value for trial in finished]
        return 0 < self.stagnant <= len(losses) - 1 - losses.index(min(losses))


def _asked(study: optuna.Study, done: int) -> Trial:
    study.sampler = TPESampler(seed=SEED + done, n_startup_trials=FREE_TRIALS)
    if not done and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(FIRST)
    return study.ask(SPACE)


def _settings(parameters: dict[str, float], rounds: int, chosen_by: str = "") -> Settings:
    if parameters == FIRST:
        return Settings(parameters, ROUNDS, chosen_by)
    return Settings({**parameters, "bagging_freq": 1, **FOR_ALL_SETTINGS}, rounds, chosen_by)


def _grown(model: Model) -> int:
    stopped = int(model.booster.best_iteration)
    return stopped if stopped > 0 else int(model.booster.num_trees())


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that were judged or given up, oldest first."""
    return sorted(study.get_trials(deepcopy=False, states=FINISHED), key=lambda trial: trial.number)


def _table(finished: Sequence[FrozenTrial]) -> pd.DataFrame:
    rows = [
        {
            "trial": place,
            "log_loss": trial.value,
            "rounds": trial.user_attrs.get("rounds"),
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            **trial.params,
        }
        for place, trial in enumerate(finished)
    ]
    table = pd.DataFrame(rows).astype({"log_loss": float, "rounds": "Int64"})
    table.insert(2, "best_so_far", table["log_loss"].cummin().ffill())
    return table


def _best(table: pd.DataFrame, study: str) -> Settings:
    row = table.nsmallest(1, "log_loss").iloc[0]
    parameters = {
        name: int(row[name]) if isinstance(kind, IntDistribution) else float(row[name])
        for name, kind in SPACE.items()
    }
    return _settings(parameters, int(row["rounds"]), f"study {study}, best of {len(table)} trials")


def named_by(task: Task, mark: str) -> str:
    """A study's name where the user gave none."""
    return f"{task.name}-{mark[:8]}"


def mark_of(task: Task, cut: Inner, names: Sequence[str], categories: Sequence[str]) -> str:
    """What a study's figures depend on, as a hash: rows, columns, question and space."""
    columns = ["customer_id", "as_of", "kind", "interval", *names]
    told = hashlib.sha256(repr((task.answers, list(names), list(categories), PARAMETERS, SPACE)).encode())
    for part in (cut.learn, cut.calibrate, cut.judge):
        told.update(pd.util.hash_pandas_object(part[columns], index=False).to_numpy().tobytes())
    return told.hexdigest()


@contextmanager
def _opened(folder: Path, name: str, mark: str) -> Iterator[optuna.Study]:
    """The study, ours alone while it is open; what a kill left behind is put in order first."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / f"{name}.journal"
    with (folder / f"{name}.held").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadData(
                f"another process works on the study {name}: wait for it, or name another"
            ) from error
        Path(f"{journal}.lock").unlink(missing_ok=True)  # of a killed process; it would cost half a minute
        _without_torn_line(journal)
        try:
            storage = JournalStorage(JournalFileBackend(str(journal)))
            study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        except (ValueError, KeyError) as error:
            raise BadData(f"{journal} is not a whole study any more: move it away and search anew") from error
        if study.user_attrs.setdefault("mark", mark) != mark:
            raise BadData(f"the study {name} was begun with other rows, columns or spaces: name another")
        study.set_user_attr("mark", mark)
        for stale in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(stale.number, state=TrialState.FAIL)
        yield study


def _without_torn_line(journal: Path) -> None:
    """A line that a kill cut short would spoil the one written after it."""
    if not journal.exists():
        return
    written = journal.read_bytes()
    if written and not written.endswith(b"\n"):
        whole = written.rfind(b"\n") + 1
        with journal.open("r+b") as file:
            file.truncate(whole)
