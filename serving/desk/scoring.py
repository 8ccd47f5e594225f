"""From feature rows to answers: a model's scores of some customers, with all that an answer says about each.

Seen.of(scorer, picked)                 scored and explained
Answered.of(seen, population, before)   ranked, compared, with a next step; nothing written down yet
.logged(log, ...)                       written to the log, which gives each score its id
.answers(ids)                           one `Score` per id asked for, in that order
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import cast
from weakref import WeakKeyDictionary

import numpy as np

from features import decisions
from features.consent import NO_CONSENT, columns_of, in_chinese
from features.errors import BadModel
from features.reasons import MOST_REASONS
from features.standing import ERASED
from features.words import CONCEPTS
from serving.contract.scores import Change, Decided, NextStep, Reason, Score, Status, Within
from serving.contract.words import Cautioned, Grade, Told
from serving.desk.next_step import next_steps
from serving.desk.picked import Picked
from serving.desk.population import Population
from serving.desk.segments import words_of
from serving.score_log import Column, LoggedModel, Origin, ScoreLog, Scores
from serving.scorer import Scorer

__all__ = ["NOT_RANKED", "Answered", "Seen", "logged_model", "read_by", "refused"]

UNKNOWN = Told("not known to us before this date", "该日期前无此客户记录")
NOT_RANKED = Cautioned(
    "not_ranked",
    "Percentiles are not told yet: everybody is still being ranked by this model",
    "暂无百分位：正在用该模型对全部客户排名",
)


@dataclass(frozen=True)
class Seen:
    """Some rows as a model sees them: `mine` are those it may score, the arrays speak of these. `parts` are contributions by
    feature, `sums` by concept, `base` what they start from."""

    scorer: Scorer
    excluded: dict[str, str]
    mine: Picked
    values: np.ndarray
    outlook: np.ndarray
    probabilities: np.ndarray
    grades: list[str]
    parts: np.ndarray
    sums: np.ndarray
    base: np.ndarray

    @classmethod
    def of(cls, scorer: Scorer, rows: Picked) -> "Seen":
        """Raises `BadModel` rather than hand out a probability that is not a number, `LedgerUnreadable` when nobody knows what
        customers told since the night."""
        (seen,) = cls.of_each(scorer, rows)
        return seen

    @classmethod
    def of_each(cls, scorer: Scorer, rows: Picked, *earlier: Picked) -> "list[Seen]":
        """As `of`, and the same for `earlier` rows of those that may be scored now: the model is asked once for all of them."""
        card, read = scorer.card, read_by(scorer).tolist()
        excluded, mine = _allowed(scorer, rows)
        asked = [(excluded, mine), *(_allowed(scorer, one.without(excluded)) for one in earlier)]
        values = np.concatenate([mine.matrix(list(card.features), card.levels, read) for _, mine in asked])
        outlook, probabilities, found = _predicted(scorer, values)
        sums = scorer.explainer.by_concept(found[:, :-1])
        grades = [card.grades.grade(one) for one in probabilities.tolist()]
        arrays = (values, outlook, probabilities, grades, found[:, :-1], sums, found[:, -1])
        ends = accumulate((len(mine) for _, mine in asked), initial=0)
        return [
            cls(scorer, excluded, mine, *(array[begin:end] for array in arrays))  # type: ignore[arg-type]
            for (excluded, mine), (begin, end) in zip(asked, pairwise(ends), strict=True)
        ]


def _allowed(scorer: Scorer, rows: Picked) -> tuple[dict[str, str], Picked]:
    """Who may not be scored and why, and the rows of the others."""
    told = scorer.standing.refusals(rows.customer_ids, scorer.card.purpose)
    held = rows.reasons(columns_of(scorer.card.purpose, scorer.card.cohort))
    said = [told.get(one) or why for one, why in zip(rows.customer_ids, held, strict=True)]
    excluded = {one: why for one, why in zip(rows.customer_ids, said, strict=True) if why is not None}
    return excluded, rows.without(excluded)


def _predicted(scorer: Scorer, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outlook, probability and contributions (with their base) of each row."""
    card, model = scorer.card, scorer.model
    if not len(values):
        outlook = np.empty((0, len(card.horizons_days), len(card.kinds)))
        return outlook, np.empty(0), np.empty((0, len(scorer.features) + 1))
    effects = model.effects(values)
    outlook = model.outlook(values, effects)
    probabilities = model.propensities(outlook)
    if not np.isfinite(probabilities).all():
        raise BadModel(f"{scorer.task} version {scorer.version} gave a score that is not a number")
    return outlook, probabilities, model.contributions(values, effects, outlook)


@dataclass(frozen=True)
class Answered:
    """What is said about each scored row, in order."""

    seen: Seen
    reasons: list[list[Reason]]
    percentiles: list[float] | None
    within: list[list[Within]]
    steps: list[NextStep]
    changed: Sequence[Change | None]
    warnings: list[list[Cautioned]]
    score_ids: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, seen: Seen, population: Population | None, changed: Sequence[Change | None] | None = None
    ) -> "Answered":
        """`population` is everybody, as the same model scores them."""
        percentiles: list[float] | None = None
        within: list[list[Within]] = [[] for _ in seen.grades]
        if population is not None:
            percentiles = population.percentiles(seen.probabilities).tolist()
            within = population.standing(seen.probabilities, words_of(seen.mine))
        explainer = seen.scorer.explainer
        strongest = explainer.speaking(seen.values, seen.parts, seen.sums, MOST_REASONS)
        return cls(
            seen,
            explainer.worded(strongest, len(seen.grades)),
            percentiles,
            within,
            next_steps(seen.mine, seen.grades),
            changed or [None] * len(seen.grades),
            _warnings(seen),
        )

    def logged(self, log: ScoreLog, as_of: datetime, origin: Origin, now: datetime) -> "Answered":
        """The same with score ids. Raises `LogFailed` when the log cannot be written."""
        seen = self.seen
        if not seen.grades:
            return self
        scores = Scores(
            as_of=as_of,
            origin=origin,
            customer_ids=seen.mine.customer_ids,
            grades=seen.grades,
            reasons=self.reasons,
            probability=seen.probabilities,
            outlook=np.ascontiguousarray(seen.outlook),
            inputs=seen.values[:, read_by(seen.scorer)],
            base=seen.base,
            contributions=seen.sums,
        )
        return replace(self, score_ids=log.write(logged_model(seen.scorer), scores, now))

    def answers(self, ids: Sequence[str]) -> list[Score]:
        """One answer per id asked for, in that order: a score, or why there is none."""
        seen, scorer = self.seen, self.seen.scorer
        task, horizon_days = scorer.task, scorer.card.horizon_days
        chances = scorer.chances(seen.outlook)
        probabilities = seen.probabilities.tolist()
        made: dict[str, Score] = {}
        overruled = scorer.decisions.of(seen.mine.customer_ids, task)
        for n, customer_id in enumerate(seen.mine.customer_ids):
            made[customer_id] = Score(
                customer_id,
                task,
                "scored",
                score_id=self.score_ids[n] if self.score_ids else None,
                probability=probabilities[n],
                horizon_days=horizon_days,
                grade=cast(Grade, seen.grades[n]),
                percentile=None if self.percentiles is None else self.percentiles[n],
                within=self.within[n],
                outlook=chances[n],
                reasons=self.reasons[n],
                change=self.changed[n],
                next_step=self.steps[n],
                warnings=self.warnings[n],
                decided=_decided(overruled.get(customer_id)),
            )
        return [made.get(one) or self._without(one) for one in ids]

    def _without(self, customer_id: str) -> Score:
        return refused(customer_id, self.seen.scorer.task, self.seen.excluded.get(customer_id))


def _decided(told: decisions.Decided | None) -> Decided | None:
    if told is None or told.decision == "settled":
        return None
    return Decided(told.decision, told.at)


def refused(customer_id: str, task: str, why: str | None) -> Score:
    """An answer without a score; `why` is a consent's reason or a cohort's, None for somebody not known to us."""
    if why is None or why == ERASED:
        return Score(customer_id, task, "unknown", note=UNKNOWN)
    status: Status = "no_consent" if why in NO_CONSENT else "not_eligible"
    return Score(customer_id, task, status, note=Told(why, in_chinese(why)))


_READ: "WeakKeyDictionary[Scorer, np.ndarray]" = WeakKeyDictionary()


def read_by(scorer: Scorer) -> np.ndarray:
    """The places of the columns that the model reads; the others cannot change a score."""
    if scorer not in _READ:
        _READ[scorer] = np.flatnonzero(scorer.model.reads)
    return _READ[scorer]


@lru_cache(maxsize=64)
def logged_model(scorer: Scorer) -> LoggedModel:
    """A model as the log describes it."""
    card, explainer = scorer.card, scorer.explainer
    columns = [
        Column(f.name, f.concept, f.unit, f.en, f.zh, card.levels.get(f.name))
        for f in (scorer.features[place] for place in read_by(scorer))
    ]
    return LoggedModel(
        card.task,
        scorer.version,
        scorer.loaded.digest,
        card.kinds,
        card.horizons_days,
        tuple(columns),
        tuple(explainer.concepts),
        tuple(CONCEPTS[concept] for concept in explainer.concepts),
        card.purpose,
    )


def _warnings(seen: Seen) -> list[list[Cautioned]]:
    found: list[list[Cautioned]] = [[] for _ in seen.grades]
    for place in read_by(seen.scorer).tolist():
        feature = seen.scorer.features[place]
        if feature.name not in seen.scorer.card.levels:
            continue
        for row in np.flatnonzero(np.isnan(seen.values[:, place])).tolist():
            if seen.mine.words(feature.name)[row] is not None:
                found[row].append(_unseen(feature.name, feature.en, feature.zh))
    return found


@lru_cache(maxsize=256)
def _unseen(name: str, en: str, zh: str) -> Cautioned:
    return Cautioned(
        "unseen_category",
        f"{en}: a value the model has not learned counts as missing",
        f"{zh}：模型未见过的取值，按缺失处理",
        feature=name,
    )
