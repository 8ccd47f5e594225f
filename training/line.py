"""The line: a regularised logistic regression on the same columns as the trees, kept as plain numbers.

Where customers are few, what a column says is nearer a straight line than a handful of steps, and a sum of small effects
that no tree has rows enough to find. So a line is fitted beside the trees, whose margins it shares (`training.model`), and
it is the linear challenger that every model is compared with.

A number counts by its signed logarithm, standardised, and no further out than anything learned from; a missing one and a
category have effects of their own. Effects are shrunk towards none (ridge, Hoerl and Kennard 1970); how strongly is for
whoever fits it to find out on customers it has not seen (`training.blend`): rows of one customer at several dates say nearly the
same, so that the count of rows promises more than they hold. Each column's effect is measured from its mean over the rows learned
from, so that contributions say what is special about a customer.
"""

import warnings
from collections.abc import Sequence
from functools import cached_property

import msgspec
import numpy as np

__all__ = ["STRENGTHS", "Line", "fit_line", "fit_lines", "signed_log"]

STRENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)  # one over the penalty, per summed log loss
BLOCK = 4096  # rows at a time: their effects stay in the cache
MOST_ROWS = 100_000  # a line has few numbers: more rows hardly move it

Numbers = tuple[float, ...]


class Line(msgspec.Struct, frozen=True, dict=True):
    """Log-odds of each outcome against nothing, as a sum over columns. Per column: `low` and `high`, between which a signed
    logarithm is held; per outcome and column: `slopes` from there, `starts` of any value, `absent` of none; `levels` holds
    by column (its place, as text) each category's effects per outcome; `bases` is what the sums begin from; `share` how much
    of a model's margin is the line's, where trees make the rest; `strength` of what it was fitted with, one over the penalty."""

    low: Numbers
    high: Numbers
    slopes: tuple[Numbers, ...]
    starts: tuple[Numbers, ...]
    absent: tuple[Numbers, ...]
    levels: dict[str, tuple[Numbers, ...]]
    bases: Numbers
    share: float = 1.0
    strength: float = STRENGTHS[-1]

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            name: np.asarray(getattr(self, name)) for name in ("low", "high", "slopes", "starts", "absent")
        }

    @property
    def reads(self) -> np.ndarray:
        """Which columns have an effect on a margin that the line has a share in (0/1)."""
        known = self._arrays
        told = (known["slopes"] != 0).any(axis=0) | (known["starts"] != known["absent"]).any(axis=0)
        told[[int(place) for place in self.levels]] = True
        return np.asarray(told & (self.share > 0))

    def effects(self, rows: np.ndarray) -> np.ndarray:
        """(rows x outcomes x columns): what each column adds to the log-odds. The same bits alone or among others."""
        rows = np.ascontiguousarray(rows)  # the order of a sum is that of the memory
        missing, known = np.isnan(rows), self._arrays
        held = signed_log(rows)
        np.minimum(np.maximum(held, known["low"], out=held), known["high"], out=held)
        found = held[:, None, :] * known["slopes"]
        found += known["starts"]
        for place, effects in self.levels.items():
            of = np.asarray(effects)
            level = np.where(missing[:, int(place)], 0, rows[:, int(place)]).astype(np.int64)
            found[:, :, int(place)] = of[:, np.clip(level, 0, of.shape[1] - 1)].T
        np.copyto(found, known["absent"], where=missing[:, None, :])
        return np.asarray(found)

    def margins(self, rows: np.ndarray, effects: np.ndarray | None = None) -> np.ndarray:
        """(rows x outcomes) log-odds against nothing; `effects` where they are known."""
        if effects is not None:
            return np.asarray(effects.sum(axis=2) + self.bases)
        found = [self.effects(rows[at : at + BLOCK]).sum(axis=2) for at in range(0, len(rows), BLOCK)]
        return np.asarray(np.concatenate([np.empty((0, len(self.bases))), *found]) + self.bases)

    def chances(self, rows: np.ndarray) -> np.ndarray:
        """(rows x outcomes) probabilities over the whole window, without further calibration."""
        odds = np.exp(np.clip(self.margins(rows), -500, 500))
        return np.asarray(odds / (1.0 + odds.sum(axis=1, keepdims=True)))


def fit_line(
    rows: np.ndarray,
    kind: np.ndarray,
    categories: Sequence[int] = (),
    outcomes: int = 1,
    strength: float = STRENGTHS[-1],
) -> Line:
    """Fit to rows (float64, missing is NaN) and what happened to them (0 for nothing, else which outcome); `categories` are
    the places of columns whose numbers stand for levels. Of very many rows, evenly spread ones teach."""
    return fit_lines(rows, kind, categories, outcomes, (strength,))[0]


def fit_lines(
    rows: np.ndarray,
    kind: np.ndarray,
    categories: Sequence[int] = (),
    outcomes: int = 1,
    strengths: Sequence[float] = STRENGTHS,
) -> list[Line]:
    """A line of each strength, in rising order: each begins where the one before came to, which is near."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  who only reads a line does without
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    every = -(-len(rows) // MOST_ROWS) or 1
    rows, kind = rows[::every], kind[::every]
    design = _Design(rows, categories)
    columns = design.of(rows)
    means = columns.mean(axis=0)
    columns -= means
    regression, found = LogisticRegression(max_iter=200, tol=1e-4, warm_start=True), []
    for strength in strengths:
        with warnings.catch_warnings():
            # Among columns that say nearly the same it may stop short of its optimum; its share is weighed as it is, on unseen rows.
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.set_params(C=strength).fit(columns, kind)
        weights, bases = regression.coef_, regression.intercept_
        if outcomes > 1:
            weights, bases = weights[1:] - weights[0], bases[1:] - bases[0]
        found.append(msgspec.structs.replace(design.line(weights, means, bases), strength=strength))
    return found


class _Design:
    """Columns of a regression: a standardised value and a flag for none of it, or a flag per category."""

    def __init__(self, rows: np.ndarray, categories: Sequence[int]) -> None:
        self.width = rows.shape[1]
        self.measured = [n for n in range(self.width) if n not in set(categories)]
        self.low, self.high = np.zeros((2, self.width))
        self.centre, self.scale = np.zeros(self.width), np.ones(self.width)
        for n in self.measured:
            known = signed_log(rows[:, n][~np.isnan(rows[:, n])])
            if len(known):
                self.low[n], self.high[n] = known.min(), known.max()
                held = np.clip(known, self.low[n], self.high[n])
                self.centre[n], self.scale[n] = held.mean(), held.std() or 1.0
        self.gaps = [n for n in range(self.width) if np.isnan(rows[:, n]).any()]
        self.levels = {n: int(np.nanmax(rows[:, n], initial=-1)) + 1 for n in categories}

    def of(self, rows: np.ndarray) -> np.ndarray:
        logs = np.clip(signed_log(rows[:, self.measured]), self.low[self.measured], self.high[self.measured])
        values = (logs - self.centre[self.measured]) / self.scale[self.measured]
        flags = [rows[:, [n]] == np.arange(count) for n, count in self.levels.items()]
        return np.hstack([np.nan_to_num(values, nan=0.0), np.isnan(rows[:, self.gaps]), *flags])

    def line(self, weights: np.ndarray, means: np.ndarray, bases: np.ndarray) -> Line:
        """The same sum, regrouped by column of the rows."""
        outcomes = len(weights)
        slopes, starts, absent = np.zeros((3, outcomes, self.width))
        at = len(self.measured)
        slopes[:, self.measured] = weights[:, :at] / self.scale[self.measured]
        mean = slopes * 0
        mean[:, self.measured] = weights[:, :at] * means[:at]
        starts -= slopes * self.centre
        for n in self.gaps:
            absent[:, n] += weights[:, at]
            mean[:, n] += weights[:, at] * means[at]
            at += 1
        levels = {}
        for n, count in self.levels.items():
            of = weights[:, at : at + count]
            mean[:, n] += of @ means[at : at + count]
            levels[str(n)], at = of - mean[:, [n]], at + count
        return Line(
            tuple(self.low.tolist()), tuple(self.high.tolist()), _nested(slopes), _nested(starts - mean),
            _nested(absent - mean), {n: _nested(of) for n, of in levels.items() if of.shape[1]}, tuple(bases.tolist()),
        )  # fmt: skip


def signed_log(rows: np.ndarray) -> np.ndarray:
    """Counts and amounts are skewed: their logarithm, with sign, is closer to a straight line."""
    found = np.abs(rows)
    np.log1p(found, out=found)
    return np.asarray(np.copysign(found, rows, out=found))


def _nested(numbers: np.ndarray) -> tuple[Numbers, ...]:
    return tuple(tuple(float(n) for n in row) for row in numbers)
