"""The model: one small fixed LightGBM per task, a line beside it, and a few numbers that make margins coherent probabilities.

The booster learns which outcome happens within the longest horizon; its margin (one per competing outcome, over
"nothing") drives the hazards of all intervals (see `training.hazards`), which are fitted on rows it has not seen. So
every horizon comes from one model, and one tree-SHAP per row explains them all. Where a line is fitted beside it
(`training.line`, `training.blend`), the margin is the weighted mean of both, and so is what explains it.

Measured against a booster per horizon and outcome, a chain of boosters by interval, and one booster over moment x
interval (`make bench-horizons`; log loss, ours over theirs, mean over horizons and outcomes, out of sample): CDNOW .993 to
1.003, the invented carmaker's purchase_intent .995 to 1.010, its repurchase .994 to 1.006, no more than noise; in a third to
two thirds of the time to train, and a third of the cost of a reason (of competing outcomes .6 to .8).

It answers from numbers alone: reading one needs neither data frames nor what it was fitted with (see `training.grow`).
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from training.hazards import Hazards
from training.line import Line

if TYPE_CHECKING:
    import lightgbm as lgb

__all__ = ["Answers", "Model", "blended", "margins_of"]

FEW_ROWS = 512


@dataclass(frozen=True)
class Answers:
    """What a model answers: kinds of outcome, horizons, which kinds are wanted, and whether the one kind is that
    nothing happens."""

    kinds: tuple[str, ...]
    horizons_days: tuple[int, ...]
    wanted: tuple[int, ...] = (0,)
    silence: bool = False


@dataclass(frozen=True)
class Model:
    """A booster over `names`, in that order, its calibration, and the line beside it, where there is one, with its share of
    the margins. Rows are float64 arrays, missing is NaN."""

    booster: "lgb.Booster"
    names: tuple[str, ...]
    answers: Answers
    hazards: Hazards
    line: Line | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of what it computes with: the same data, settings and threads give the same."""
        trees = self.booster.model_to_string(num_iteration=-1).encode()
        beside = msgspec.json.encode(self.line) if self.line else b""
        return hashlib.sha256(trees + msgspec.json.encode(self.hazards) + beside).hexdigest()

    @property
    def reads(self) -> np.ndarray:
        """Which of the columns can change a score (0/1): those that trees split on, or that the line has an effect of."""
        split = np.asarray(self.booster.feature_importance() > 0)
        return split if self.line is None else split | self.line.reads

    def effects(self, rows: np.ndarray) -> np.ndarray | None:
        """What the line says column by column, where there is one. Whoever asks for the outlook and for contributions of the same rows
        works it out once, and hands it to both: it is most of their cost."""
        return None if self.line is None else self.line.effects(rows)

    def margins(self, rows: np.ndarray, effects: np.ndarray | None = None) -> np.ndarray:
        """(rows x outcomes): how strongly each outcome stands against nothing."""
        trees = margins_of(self.booster, rows)
        return (
            trees if self.line is None else blended(trees, self.line.margins(rows, effects), self.line.share)
        )

    def outlook(self, rows: np.ndarray, effects: np.ndarray | None = None) -> np.ndarray:
        """(rows x horizons x kinds) calibrated probabilities, coherent; the same bits alone or among others."""
        happened = self.hazards.outlook(self.margins(rows, effects))
        return 1.0 - happened if self.answers.silence else happened

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Probability per row that a wanted outcome comes about by the longest horizon."""
        return self.propensities(self.outlook(rows))

    def propensities(self, outlook: np.ndarray) -> np.ndarray:
        """The same from an outlook that is there already."""
        wanted = [outlook[:, -1, place] for place in self.answers.wanted]
        return np.asarray(sum(wanted[1:], wanted[0]))

    def contributions(
        self, rows: np.ndarray, effects: np.ndarray | None = None, outlook: np.ndarray | None = None
    ) -> np.ndarray:
        """Each feature's part of the log-odds (rows x names) and, last, the base they start from; exact tree SHAP
        values (Lundberg et al. 2020), and the line's own effects beside them.

        A row's sum is its log-odds within the first horizon, `leaning`. Hazards of later intervals rise with the same
        margin, so what raises the one raises the others. With several wanted outcomes theirs are weighted by their
        share of the propensity. `effects` and `outlook` may be given where they are known.
        """
        outcomes, width = len(self.answers.kinds), len(self.names) + 1
        threads = _threads(rows)
        parts = np.asarray(self.booster.predict(rows, pred_contrib=True, num_threads=threads), np.float64)
        parts = parts.reshape(len(rows), -1, width)
        parts = parts if outcomes == 1 else parts[:, 1:] - parts[:, :1]
        if self.line is not None:
            told = self.line.effects(rows) if effects is None else effects
            parts[:, :, :-1] *= 1.0 - self.line.share  # in place: these are the largest arrays of a night
            parts[:, :, :-1] += self.line.share * told
            parts[:, :, -1] = blended(parts[:, :, -1], np.asarray(self.line.bases), self.line.share)
        parts *= np.asarray(self.hazards.slopes[0])[None, :, None]
        parts[:, :, -1] += np.asarray(self.hazards.intercepts[0])
        shares = self._shares(rows, outlook)
        found = parts[:, 0] if outcomes == 1 else (parts * shares[:, :, None]).sum(axis=1)
        return np.asarray(-found if self.answers.silence else found)

    def leaning(self, rows: np.ndarray) -> np.ndarray:
        """Log-odds, against nothing, of what is wanted within the first horizon; what contributions add up to."""
        log_odds = np.asarray(self.hazards.slopes[0]) * self.margins(rows) + np.asarray(
            self.hazards.intercepts[0]
        )
        found = (log_odds * self._shares(rows)).sum(axis=1)
        return np.asarray(-found if self.answers.silence else found)

    def _shares(self, rows: np.ndarray, outlook: np.ndarray | None = None) -> np.ndarray:
        """(rows x outcomes): the wanted outcomes' shares of the propensity."""
        if len(self.answers.kinds) == 1:
            return np.ones((len(rows), 1))
        chances = (self.outlook(rows) if outlook is None else outlook)[:, -1, :].copy()
        chances[:, [n for n in range(chances.shape[1]) if n not in self.answers.wanted]] = 0.0
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def blended(trees: np.ndarray, line: np.ndarray, share: float) -> np.ndarray:
    """Margins, or parts of them, of trees and line together."""
    return np.asarray((1.0 - share) * trees + share * line)


def margins_of(booster: "lgb.Booster", rows: np.ndarray) -> np.ndarray:
    """Raw scores as (rows x outcomes) margins over "nothing", the first class where there are several."""
    raw = booster.predict(rows, raw_score=True, num_threads=_threads(rows))
    raw = np.asarray(raw, dtype=np.float64)
    return raw[:, None] if raw.ndim == 1 else np.asarray(raw[:, 1:] - raw[:, :1])


def _threads(rows: np.ndarray) -> int:
    """For LightGBM: waking others for few rows takes longer than the rows; 0 is all."""
    return 1 if len(rows) < FEW_ROWS else 0
