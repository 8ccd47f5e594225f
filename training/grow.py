"""Growing the trees of a model: one small LightGBM per task, the same settings for every task unless a search found better.

No class weights: they ruin probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from features.errors import NotTrainable
from training.bins import Bins, binned
from training.hazards import fit_hazards
from training.model import Answers, Model, margins_of

__all__ = ["FIXED", "NOTHING_TELLS", "PARAMETERS", "ROUNDS", "Settings", "fit", "grow", "numbers"]

# Matched tuned models on eight public sets, where library defaults lost to logistic regression on most.
PARAMETERS: dict[str, object] = {
    "objective": "binary",
    "learning_rate": 0.03,
    "num_leaves": 8,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.6,
    "lambda_l2": 5.0,
    "seed": 7,
    "deterministic": True,
    "force_col_wise": True,  # half the time of row by row, and the same trees whatever the number of threads
    "verbosity": -1,
}
ROUNDS = 200
SWITCHES = {"deterministic", "force_col_wise", "feature_pre_filter", "verbosity"}
SMALL_CELLS = 5_000_000
NOTHING_TELLS = "no feature tells customers apart: all are constant, empty or too sparse"


@dataclass(frozen=True)
class Settings:
    """How the trees are grown: what differs from `PARAMETERS`, how many trees, and in words who chose so."""

    parameters: Mapping[str, float] = field(default_factory=dict)
    rounds: int = ROUNDS
    chosen_by: str = "fixed, the same for every task"

    def told(self) -> dict[str, float]:
        """The numbers that shape the trees, by LightGBM's names, and `rounds`."""
        chosen = {**PARAMETERS, **self.parameters}
        numeric = {name: value for name, value in chosen.items() if isinstance(value, float | int)}
        return {name: value for name, value in numeric.items() if name not in SWITCHES} | {
            "rounds": self.rounds
        }


FIXED = Settings()


def numbers(rows: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """The columns of a frame as float64; null is NaN."""
    return np.asarray(rows[list(names)].to_numpy(dtype=np.float64, na_value=np.nan))


def fit(
    fitted_on: pd.DataFrame,
    calibrated_on: pd.DataFrame,
    names: Sequence[str],
    answers: Answers,
    *,
    categories: Sequence[str] = (),
    parameters: Mapping[str, object] | None = None,
    rounds: int = ROUNDS,
    patience: int = 0,
    shared: Bins | None = None,
) -> Model:
    """Fit the trees on one part and their calibration on another, without a line; frames as `training.dataset` makes them,
    with `kind` and `interval`. `categories` are the names whose numbers stand for levels. With `patience`, trees stop growing once
    that many have not lowered the log loss on the calibration part. `shared` holds both parts in bins already.

    Raises `NotTrainable` when there is nothing to tell customers apart by, or when the calibration part
    contradicts the fit.
    """
    table = shared.learn if shared else _table(fitted_on, names, categories)
    stopping = {}
    if patience:
        held_back = shared.stop if shared else binned(calibrated_on, names, categories, table)
        stopping = {"valid_sets": [held_back], "callbacks": [lgb.early_stopping(patience, verbose=False)]}
    booster = _grown(table, len(fitted_on), len(answers.kinds), parameters, rounds, **stopping)
    margins = margins_of(booster, numbers(calibrated_on, names))
    kind, interval = (calibrated_on[name].to_numpy() for name in ("kind", "interval"))
    return Model(
        booster, tuple(names), answers, fit_hazards(margins, kind, interval, len(answers.horizons_days))
    )


def grow(
    rows: pd.DataFrame,
    names: Sequence[str],
    outcomes: int,
    *,
    categories: Sequence[str] = (),
    parameters: Mapping[str, object] | None = None,
    rounds: int = ROUNDS,
) -> lgb.Booster:
    """The trees alone, whose margins are not yet probabilities. Raises `NotTrainable` when there is nothing to tell customers
    apart by."""
    return _grown(_table(rows, names, categories), len(rows), outcomes, parameters, rounds)


def _table(rows: pd.DataFrame, names: Sequence[str], categories: Sequence[str]) -> lgb.Dataset:
    if not names:
        raise NotTrainable(NOTHING_TELLS)
    return binned(rows, names, categories)


def _grown(
    table: lgb.Dataset,
    rows: int,
    outcomes: int,
    parameters: Mapping[str, object] | None,
    rounds: int,
    **stopping: Any,
) -> lgb.Booster:
    # Threads that wait for each other cost more than they bring on a small table, most of all on a busy machine.
    threads = 1 if rows * len(table.feature_name) < SMALL_CELLS else 0
    several = {"objective": "multiclass", "num_class": outcomes + 1} if outcomes > 1 else {}
    settings = {**PARAMETERS, **several, "num_threads": threads, **(parameters or {})}
    booster = lgb.train(settings, table, num_boost_round=rounds, **stopping)
    if booster.num_trees() == 0 or not np.any(booster.feature_importance()):
        raise NotTrainable(NOTHING_TELLS)
    return booster
