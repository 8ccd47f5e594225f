"""The model: a small fixed LightGBM, and two numbers that make its margin a probability.

No class weights: they ruin probabilities. The margin m of the booster becomes p = 1 / (1 + exp(-(slope m + intercept)))
with both numbers fitted on rows the booster has not seen (Platt 1999). The map is linear on the log-odds scale,
so tree contributions, times the slope, still add up to the score exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from features.errors import NotTrainable

__all__ = ["PARAMETERS", "ROUNDS", "Model", "fit", "numbers"]

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
    "force_row_wise": True,
    "verbosity": -1,
}
ROUNDS = 200
SMALL_CELLS = 5_000_000
NOTHING_TELLS = "no feature tells customers apart: all are constant, empty or too sparse"


@dataclass(frozen=True)
class Model:
    """A booster over `names`, in that order, and its calibration. Rows are float64 arrays, missing is NaN."""

    booster: lgb.Booster
    names: tuple[str, ...]
    slope: float
    intercept: float

    def log_odds(self, rows: np.ndarray) -> np.ndarray:
        margins = self.booster.predict(rows, raw_score=True, num_threads=1 if len(rows) < 512 else 0)
        return self.slope * np.asarray(margins, dtype=np.float64) + self.intercept

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Calibrated probability of the outcome, one per row; the same bits alone or among others."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.log_odds(rows))))

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """Each feature's part of the log-odds (rows x names) and, last, the base they start from; exact tree
        SHAP values (Lundberg et al. 2020), so that a row's sum is its log-odds."""
        parts = self.slope * np.asarray(self.booster.predict(rows, pred_contrib=True), dtype=np.float64)
        parts[:, -1] += self.intercept
        return parts


def numbers(rows: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """The columns of a frame as float64; null is NaN."""
    return np.asarray(rows[list(names)].to_numpy(dtype=np.float64, na_value=np.nan))


def fit(
    fitted_on: pd.DataFrame,
    calibrated_on: pd.DataFrame,
    names: Sequence[str],
    *,
    parameters: dict[str, object] | None = None,
    rounds: int = ROUNDS,
) -> Model:
    """Fit the booster on one part and its calibration on another.

    Raises `NotTrainable` when there is nothing to tell customers apart by, or when the calibration part
    contradicts the fit.
    """
    # Threads that wait for each other cost more than they bring on a small table, most of all on a busy machine.
    threads = 1 if len(fitted_on) * len(names) < SMALL_CELLS else 0
    if not names:
        raise NotTrainable(NOTHING_TELLS)
    table = lgb.Dataset(
        numbers(fitted_on, names),
        fitted_on["outcome"].to_numpy(),
        feature_name=list(names),
        params={"verbosity": -1},
    )
    booster = lgb.train(
        {**PARAMETERS, "num_threads": threads, **(parameters or {})}, table, num_boost_round=rounds
    )
    if booster.num_trees() == 0 or not np.any(booster.feature_importance()):
        raise NotTrainable(NOTHING_TELLS)
    margins = np.asarray(booster.predict(numbers(calibrated_on, names), raw_score=True))
    platt = LogisticRegression(C=np.inf).fit(margins[:, None], calibrated_on["outcome"])
    slope, intercept = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    if slope <= 0:
        raise NotTrainable(
            "on the calibration part a higher margin goes with fewer outcomes: the parts do not belong together"
        )
    return Model(booster, tuple(names), slope, intercept)
