"""From margins to coherent probabilities: a discrete-time hazard with competing outcomes.

A task's horizons cut its window into intervals. Within interval k, among those to whom nothing has happened yet,
outcome m happens with odds exp(slope[k, m] * margin[m] + intercept[k, m]) against nothing happening (Cox 1972; for
competing outcomes Tutz and Schmid 2016, chapter 8). What has happened by a horizon is summed up over the intervals:

    F[k, m] = F[k - 1, m] + S[k - 1] * h[k, m],    S[k] = S[k - 1] * (1 - h[k, 1] - ... - h[k, M])

So whatever the numbers, no probability falls with the horizon and competing ones never sum past one. With one
horizon and one outcome this is Platt's sigmoid of the margin (Platt 1999).
"""

import msgspec
import numpy as np

from features.errors import NotTrainable

__all__ = ["Hazards", "fit_hazards"]

STEEPEST = 500.0  # exp stays finite
FEWEST_EVENTS = 20


class Hazards(msgspec.Struct, frozen=True):
    """`slopes` and `intercepts` by interval and outcome: how a margin becomes the odds of a hazard."""

    slopes: tuple[tuple[float, ...], ...]
    intercepts: tuple[tuple[float, ...], ...]

    def outlook(self, margins: np.ndarray) -> np.ndarray:
        """(rows x intervals x outcomes) probabilities from (rows x outcomes) margins: what has happened by then."""
        log_odds = np.asarray(self.slopes) * margins[:, None, :] + np.asarray(self.intercepts)
        odds = np.exp(np.clip(log_odds, -STEEPEST, STEEPEST))
        nothing = 1.0 / (1.0 + odds.sum(axis=2))
        still = np.cumprod(nothing, axis=1)
        before = np.concatenate([np.ones((len(still), 1)), still[:, :-1]], axis=1)
        return np.asarray(np.cumsum(odds * (nothing * before)[:, :, None], axis=1))

    def losses(self, margins: np.ndarray, kind: np.ndarray, interval: np.ndarray) -> np.ndarray:
        """Log loss per row of what came: that `kind` in that `interval`, or nothing (0) in any. With one horizon and one
        outcome it is the usual one; in general the negative log likelihood of the hazards."""
        happened = self.outlook(margins)
        steps = np.diff(happened, axis=1, prepend=0.0)
        k, m = np.minimum(interval, steps.shape[1] - 1), np.maximum(kind, 1) - 1
        nothing = 1.0 - happened[:, -1].sum(axis=1)
        chance = np.where(kind == 0, nothing, steps[np.arange(len(steps)), k, m])
        return np.asarray(-np.log(np.clip(chance, 1e-15, 1.0)))


def fit_hazards(margins: np.ndarray, kind: np.ndarray, interval: np.ndarray, intervals: int) -> Hazards:
    """Slopes and intercepts from rows the margins were not learned on: `kind` 0 for nothing, else which outcome, and the
    `interval` it happened in.

    Each outcome is set against nothing among those still waiting (Begg and Gray 1984). An interval with too few
    outcomes of a kind takes that kind's slope over the whole window. Raises `NotTrainable` when a higher margin goes
    with fewer outcomes.
    """
    slopes, intercepts = np.zeros((2, intervals, margins.shape[1]))
    for m in range(margins.shape[1]):
        kept = (kind == 0) | (kind == m + 1)
        overall = _platt(margins[kept, m], kind[kept] == m + 1)
        for k in range(intervals):
            waiting = (interval >= k) & ((interval > k) | (kind == m + 1))
            now = (interval[waiting] == k) & (kind[waiting] == m + 1)
            slopes[k, m], intercepts[k, m] = _platt_or(overall[0], margins[waiting, m], now)
    return Hazards(_nested(slopes), _nested(intercepts))


def _platt(margin: np.ndarray, happened: np.ndarray) -> tuple[float, float]:
    if not 0 < happened.sum() < len(happened):
        raise NotTrainable(
            "on the calibration part an outcome never happens, or always: it needs more customers or dates"
        )
    slope, intercept = _logistic(margin, happened)
    if slope <= 0:
        raise NotTrainable(
            "on the calibration part a higher margin goes with fewer outcomes: the parts do not belong together"
        )
    return slope, intercept


def _logistic(margin: np.ndarray, happened: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the unpenalised fit."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  who only reads hazards does without

    found = LogisticRegression(C=np.inf).fit(margin[:, None], happened)
    return float(found.coef_[0, 0]), float(found.intercept_[0])


def _platt_or(slope: float, margin: np.ndarray, happened: np.ndarray) -> tuple[float, float]:
    """An interval's own fit, or the given slope with the intercept that makes promised and happened agree."""
    if min(happened.sum(), len(happened) - happened.sum()) >= FEWEST_EVENTS:
        own = _logistic(margin, happened)
        if own[0] > 0:
            return own
    wanted = (happened.sum() + 0.5) / (len(happened) + 1)
    low, high = -STEEPEST, STEEPEST
    for _ in range(60):  # halving; the mean probability rises with the intercept
        middle = (low + high) / 2
        promised = np.mean(1 / (1 + np.exp(-np.clip(slope * margin + middle, -STEEPEST, STEEPEST))))
        low, high = (middle, high) if promised < wanted else (low, middle)
    return slope, (low + high) / 2


def _nested(numbers: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(n) for n in row) for row in numbers)
