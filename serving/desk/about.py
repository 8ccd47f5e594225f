"""What stands behind the answers, as answers: tasks, model cards, the catalogue of features."""

from collections.abc import Mapping

from features.feature_set import FEATURES
from features.words import CONCEPTS, OUTCOMES, TASKS, called
from serving.contract.about import (
    Catalogue,
    FeatureDescribed,
    Figure,
    Group,
    ModelCard,
    Outcome,
    TaskOffered,
)
from serving.contract.words import Told
from serving.scorer import Scorer

__all__ = ["card", "catalogue", "offered"]


def offered(scorer: Scorer) -> TaskOffered:
    """A task as it may be asked about."""
    card = scorer.card
    auc, low, high = card.figures["model"]["auc"]
    return TaskOffered(
        name=card.task,
        called=Told(*called(card.task, TASKS)),
        question=card.question,
        cohort=card.cohort,
        outcomes=card.kinds,
        outcomes_called=tuple(Told(*called(kind, OUTCOMES)) for kind in card.kinds),
        wanted=card.wanted,
        horizons_days=card.horizons_days,
        horizon_days=card.horizon_days,
        purpose=card.purpose,
        model=scorer.used,
        grade_a_from=card.grades.a,
        grade_b_from=card.grades.b,
        grades_dated=card.grades.dated,
        roc_auc=auc,
        roc_auc_low=low,
        roc_auc_high=high,
    )


def card(scorer: Scorer) -> ModelCard:
    """A model's page."""
    card = scorer.card
    figures = [
        Figure(name, metric, value, low, high)
        for name, row in card.figures.items()
        for metric, (value, low, high) in row.items()
    ]
    groups = [
        Group(g.segment, g.value, g.rows, g.promised, g.happened, _auc(g.figures)) for g in card.segments
    ]
    return ModelCard(
        task=card.task,
        version=scorer.version,
        digest=scorer.loaded.digest,
        question=card.question,
        cohort=card.cohort,
        purpose=card.purpose,
        outcomes=card.kinds,
        wanted=card.wanted,
        horizons_days=card.horizons_days,
        gap_days=card.gap_days,
        trained_through=card.trained_through,
        made_at=card.made_at,
        tested_at=card.test_at,
        kept_apart=card.cut,
        rows_fit=card.rows_fit,
        rows_test=card.rows_test,
        outcomes_test=card.outcomes_test,
        base_rate=card.base_rate,
        grade_a_from=card.grades.a,
        grade_b_from=card.grades.b,
        grades_dated=card.grades.dated,
        figures=figures,
        promised=[Outcome(j.outcome, j.horizon_days, j.promised, j.happened) for j in card.outlook],
        segments=groups,
        rules=card.rule_sentences,
        beaten=card.beaten,
        unbeaten=card.unbeaten,
        features=card.features,
        settings=card.settings,
        settings_by=card.settings_by,
        leaks=card.certificate.finding if card.certificate else "not certified",
        too_good=card.too_good,
        data_digest=card.data_digest,
        code_revision=card.code_revision,
    )


def catalogue(fingerprints: Mapping[str, str], scorers: Mapping[str, Scorer]) -> Catalogue:
    """The features that the rows hold, in the catalogue's order."""
    return Catalogue(
        [
            FeatureDescribed(
                name=f.name,
                en=f.en,
                zh=f.zh,
                unit=f.unit,
                window=f.window_text,
                nothing=f.nothing_text,
                concept=f.concept,
                concept_zh=CONCEPTS[f.concept],
                kind=f.kind,
                sources=sorted(f.sources),
                fingerprint=fingerprints[f.name],
                read_by=[task for task, scorer in scorers.items() if f.name in scorer.card.features],
            )
            for f in FEATURES.values()
            if f.name in fingerprints
        ]
    )


def _auc(figures: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> float | None:
    found = figures.get("model", {}).get("auc")
    return None if found is None else found[0]
