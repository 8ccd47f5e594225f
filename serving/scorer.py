"""The scoring core: feature rows in, scores out. No framework, no I/O, the same for service and batch."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.consent import refusals
from features.decisions import Decisions
from features.errors import BadModel
from features.feature_set import named
from features.matrix import matrix, unseen
from features.reasons import Explainer
from features.standing import Standing, Taken
from serving.contract.scores import Chance
from serving.contract.words import ModelUsed
from serving.trees.fast import faster
from training.copies import Champion

__all__ = ["Scored", "Scorer"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """Answers for a block of rows: `eligible` marks the rows that were scored; the arrays cover only those. `outlook` is
    (rows x horizons x kinds); `effects` is what contributions are made of, where it was kept."""

    eligible: np.ndarray
    excluded: list[str | None]
    rows: np.ndarray
    outlook: np.ndarray
    probabilities: np.ndarray
    grades: np.ndarray
    unseen: dict[str, int] = field(default_factory=dict)
    effects: np.ndarray | None = None


class Scorer:
    """A champion that has been checked against today's features; it scores nobody who does not allow it, by the rows or by what was
    told since (`standing`; by default that of this deployment).

    Raises `BadModel` when a feature has moved since the model was trained: same name, another definition.
    """

    def __init__(self, champion: Champion, standing: Standing | Taken | None = None) -> None:
        self.card, self.model, self.version = champion.loaded.card, champion.loaded.model, champion.version
        self.loaded = champion.loaded
        self._standing = standing
        self.features = named(self.card.features)
        self.require({feature.name: feature.fingerprint for feature in self.features})

    @property
    def task(self) -> str:
        """The name of the task whose champion this is."""
        return self.card.task

    @property
    def used(self) -> ModelUsed:
        """What an answer says about the model behind it."""
        grades = self.card.grades
        return ModelUsed(self.version, self.card.trained_through, grades.a, grades.b, grades.dated)

    @cached_property
    def asked(self) -> list[tuple[str, int]]:
        """Every outcome and horizon, outcome by outcome: what an outlook holds, in its order."""
        return [(kind, days) for kind in self.card.kinds for days in self.card.horizons_days]

    @cached_property
    def explainer(self) -> Explainer:
        """Puts the model's contributions into words."""
        return Explainer(self.features, self.card.levels)

    def quicken(self, sample: pa.Table) -> None:
        """From now on answer from tables (see `serving.trees.fast`), if on the model's golden rows and on these rows they give
        LightGBM's bits and contributions. Worth its while for thousands of rows."""
        asked = sample.filter(refusals(sample, self.card.purpose, self.card.cohort).is_null())
        rows = matrix(asked, list(self.card.features), self.card.levels)
        booster = faster(self.loaded.model.booster, np.vstack([self.loaded.golden, rows]))
        self.model = replace(self.loaded.model, booster=booster)

    def require(self, fingerprints: dict[str, str]) -> None:
        """Refuse rows that were computed with other definitions than the model was trained on."""
        for name, trained_with in self.card.features.items():
            if fingerprints.get(name) != trained_with:
                raise BadModel(
                    f"{self.task} version {self.version} was trained on {name} as {trained_with}, but it is now "
                    f"{fingerprints.get(name, 'not there')}: train and promote the task again"
                )

    def refusals(self, rows: pa.Table) -> pa.ChunkedArray:
        """Why each row may not be scored, null where it may. Raises `BadData` for rows that do not say what customers allow,
        `LedgerUnreadable` when what they told since cannot be read."""
        held = refusals(rows, self.card.purpose, self.card.cohort)
        taken = self.standing.now()
        if not taken.no:
            return held
        ids = rows["customer_id"].to_pylist()
        told = taken.refusals(ids, self.card.purpose)
        return pc.coalesce(pa.chunked_array([pa.array([told.get(one) for one in ids], pa.string())]), held)

    @cached_property
    def standing(self) -> Standing | Taken:
        """What customers told since the rows were made."""
        return self._standing or Standing.here()

    @cached_property
    def decisions(self) -> Decisions:
        """What people decided about its scores."""
        return Decisions.here()

    def score(self, rows: pa.Table, *, warn: bool = True) -> Scored:
        """Probability and grade of each eligible row, in order.

        `rows` are nightly rows, or the same columns computed live. Raises `BadModel` rather than hand out a
        probability that is not a number. Without `warn` the caller says what words were unseen.
        """
        excluded = self.refusals(rows).to_pylist()
        eligible = np.array([reason is None for reason in excluded], dtype=bool)
        found = self.answer(rows.select(list(self.card.features)).filter(pa.array(eligible)), warn=warn)
        return replace(found, eligible=eligible, excluded=excluded)

    def answer(self, asked: pa.Table, *, explained: bool = False, warn: bool = False) -> Scored:
        """The same of rows all of which may be scored; `explained` when contributions will be asked for: then what both read is kept."""
        strange = unseen(asked, self.card.levels)
        if strange and warn:
            self.warn(strange)
        values = matrix(asked, list(self.card.features), self.card.levels)
        effects = self.model.effects(values) if explained else None
        shape = (0, len(self.card.horizons_days), len(self.card.kinds))
        outlook = self.model.outlook(values, effects) if len(values) else np.empty(shape)
        probabilities = self.model.propensities(outlook)
        if not np.isfinite(probabilities).all():
            raise BadModel(f"{self.task} version {self.version} gave a score that is not a number")
        cuts = self.card.grades
        grades = np.select([probabilities >= cuts.a, probabilities >= cuts.b], ["A", "B"], "C")
        everybody = np.ones(len(values), dtype=bool)
        none: list[str | None] = [None] * len(values)
        return Scored(everybody, none, values, outlook, probabilities, grades, strange, effects)

    def warn(self, strange: Mapping[str, int]) -> None:
        """Say which columns held words the model has not learned, in how many rows; never the words."""
        told = ", ".join(f"{name} in {count:,} rows" for name, count in strange.items())
        log.warning("%s version %s: unseen categories count as missing: %s", self.task, self.version, told)

    def parts(self, values: np.ndarray) -> np.ndarray:
        """(rows x features) contributions to the log-odds of each scored row."""
        return self.model.contributions(values)[:, :-1]

    def parts_of(self, scored: Scored) -> np.ndarray:
        """The same of rows that were scored, with what is known of them."""
        return self.model.contributions(scored.rows, scored.effects, scored.outlook)[:, :-1]

    def chances(self, outlook: np.ndarray) -> list[list[Chance]]:
        """The outlook of each scored row, in words and numbers."""
        flat = outlook.transpose(0, 2, 1).reshape(len(outlook), len(self.asked)).tolist()
        return [
            [Chance(kind, days, p) for (kind, days), p in zip(self.asked, row, strict=True)] for row in flat
        ]
