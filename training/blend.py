"""Trees and line together: fitted on the same rows, weighed and calibrated on rows neither has seen.

    crossed       fit and calibration part share their dates: in turn a quarter of the customers is left out of the fits and
                  gets its margins from the others'; all these margins ──► strength, share, hazards; then all rows ──► trees, line
    apart         other dates, or very many moments: fit part ──► trees, lines;   calibration part ──► strength, share, hazards

The line's strength is that of the lowest log loss, calibrated, of a few (`training.line`). Its share is the one nearest to a
half, of a few, whose calibrated margins have a log loss within one standard error, by customer, of the lowest: of forecasts that
err differently an even mean is hard to beat, and weights learned from one time lose most at another (Bates and Granger 1969; Smith
and Wallis 2009). Where customers are many the trees may say it all, where they are few the line. No row weighs or calibrates what
it taught.

All dates weigh; the latest calibrate: as many, three at least, as hold 300 outcomes of each kind. How customers rank holds for
years, how many of them act does not (all dates instead: 73 orders promised for 48 that came, not 60, at one earlier date of the
invented carmaker; calibration error .056 instead of .037 on the bank's calls, .016 instead of .012 on motor contracts).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import lightgbm as lgb
import msgspec
import numpy as np
import pandas as pd

from features.errors import NotTrainable
from training.grow import ROUNDS, grow, numbers
from training.hazards import fit_hazards
from training.line import STRENGTHS, Line, fit_line, fit_lines
from training.model import Answers, Model, blended, margins_of
from training.plan import share_of

__all__ = ["FOLDS", "SHARES", "calibrated_at", "crossed", "fit_both"]

SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
FOLDS = 4
MOST_CROSSED = 200_000  # moments; of more, the calibration part says enough, and the time would be fourfold
FEWEST_DATES = 3
FEWEST_OUTCOMES = 300
Beside = tuple[lgb.Booster, list[Line]]


def fit_both(
    fitted_on: pd.DataFrame,
    calibrated_on: pd.DataFrame,
    names: Sequence[str],
    answers: Answers,
    *,
    categories: Sequence[str] = (),
    parameters: Mapping[str, object] | None = None,
    rounds: int = ROUNDS,
) -> Model:
    """A model of trees and line, from a plan's fit and calibration part (frames as `training.dataset` makes them).

    Raises `NotTrainable` where nothing tells customers apart, or the calibration part contradicts the fit.
    """

    outcomes = len(answers.kinds)
    places = [place for place, name in enumerate(names) if name in set(categories)]

    def trees(rows: pd.DataFrame) -> lgb.Booster:
        return grow(rows, names, outcomes, categories=categories, parameters=parameters, rounds=rounds)

    def fitted(rows: pd.DataFrame) -> Beside:
        return trees(rows), fit_lines(numbers(rows, names), rows["kind"].to_numpy(), places, outcomes)

    def margins(beside: Beside, rows: pd.DataFrame) -> np.ndarray:
        booster, lines = beside
        read = numbers(rows, names)
        return np.stack([margins_of(booster, read), *(line.margins(read) for line in lines)])

    if crossed(fitted_on, calibrated_on):
        rows = pd.concat([fitted_on, calibrated_on])
        fold = np.array([int(share_of(f"fold {c}") * FOLDS) for c in rows["customer_id"]])
        unseen = np.empty((1 + len(STRENGTHS), len(rows), outcomes))
        for out in np.unique(fold):
            unseen[:, fold == out] = margins(fitted(rows[fold != out]), rows[fold == out])
        best = _shrunk(unseen[1:], rows, answers)
        booster = trees(rows)
        line = fit_line(numbers(rows, names), rows["kind"].to_numpy(), places, outcomes, STRENGTHS[best])
    else:
        rows = calibrated_on
        booster, lines = fitted(fitted_on)
        unseen = margins((booster, lines), rows)
        best = _shrunk(unseen[1:], rows, answers)
        line = lines[best]
    of_trees, of_line = unseen[0], unseen[1 + best]
    share = _weighed(of_trees, of_line, rows, answers)
    late = rows["as_of"].isin(calibrated_at(fitted_on, calibrated_on)).to_numpy()
    kind, interval = rows["kind"].to_numpy()[late], rows["interval"].to_numpy()[late]
    margins_late = blended(of_trees, of_line, share)[late]
    hazards = fit_hazards(margins_late, kind, interval, len(answers.horizons_days))
    return Model(booster, tuple(names), answers, hazards, msgspec.structs.replace(line, share=share))


def crossed(fitted_on: pd.DataFrame, calibrated_on: pd.DataFrame) -> bool:
    """Whether the parts share their dates, so that only customers keep them apart, and are few enough to take turns."""
    few = len(fitted_on) + len(calibrated_on) <= MOST_CROSSED
    return few and set(fitted_on["as_of"].unique()) == set(calibrated_on["as_of"].unique())


def calibrated_at(fitted_on: pd.DataFrame, calibrated_on: pd.DataFrame) -> list[datetime]:
    """The dates whose rows calibrate a model of these parts: the latest, as many as hold enough outcomes of each kind, and
    enough rows without any."""
    parts = [fitted_on, calibrated_on] if crossed(fitted_on, calibrated_on) else [calibrated_on]
    rows = pd.concat([part[["as_of", "kind"]] for part in parts])
    held = pd.crosstab(rows["as_of"], rows["kind"]).sort_index()
    back = held[::-1].cumsum().min(axis=1).to_numpy()
    enough = max(int(np.searchsorted(back, FEWEST_OUTCOMES)) + 1, FEWEST_DATES)
    return [date.to_pydatetime() for date in held.index[-enough:]]


def _shrunk(lines: np.ndarray, rows: pd.DataFrame, answers: Answers) -> int:
    """Which strength, from margins of rows that the lines have not seen."""

    def loss(margins: np.ndarray) -> float:
        try:
            return float(_losses(margins, rows, answers).mean())
        except NotTrainable:
            return np.inf  # it contradicts what came

    return int(np.argmin([loss(margins) for margins in lines]))


def _weighed(trees: np.ndarray, line: np.ndarray, rows: pd.DataFrame, answers: Answers) -> float:
    """The line's share, from margins of rows that neither has seen."""
    found = {share: _losses(blended(trees, line, share), rows, answers) for share in SHARES}
    lowest, customer = min(found.values(), key=np.mean), pd.factorize(rows["customer_id"])[0]
    as_good = [share for share, losses in found.items() if _within_chance(losses - lowest, customer)]
    return min(as_good, key=lambda share: abs(share - 0.5))


def _losses(margins: np.ndarray, rows: pd.DataFrame, answers: Answers) -> np.ndarray:
    """Log loss per row of margins that are calibrated on these very rows."""
    kind, interval = rows["kind"].to_numpy(), rows["interval"].to_numpy()
    hazards = fit_hazards(margins, kind, interval, len(answers.horizons_days))
    return hazards.losses(margins, kind, interval)


def _within_chance(difference: np.ndarray, customer: np.ndarray) -> bool:
    """Whether the mean difference is at most one standard error, customers drawn."""
    by_customer = np.bincount(customer, difference - difference.mean())
    return bool(difference.sum() <= np.sqrt((by_customer**2).sum()))
