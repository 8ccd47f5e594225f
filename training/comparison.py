"""The comparison: every scorer on the same rows, with intervals, overall, by outcome and horizon, by segment and month.

Figures are named as `training.metrics` names them; `precision_at_capacity` and `gain_yuan` speak about the list that the
task's campaign has time for. All intervals are by customer (`training.resampling`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from features.errors import NotTrainable
from training.campaign import CAPACITY_SHARE, Campaign, gains_of
from training.fairness import shares, top_tenth
from training.findings import LIFTS, Cell, Figures, Group, Report, best_rule
from training.ranking import Lists, Promises, lists_of, promises_of
from training.resampling import REPLICATES, Draws, draws_of, estimate
from training.segments import enough, groups_of, months_of

__all__ = [
    "REPLICATES_OF_A_CELL",
    "REPLICATES_OF_A_GROUP",
    "compare",
    "grouped",
    "outlook",
    "require_figures",
]

REPLICATES_OF_A_CELL = 60
REPLICATES_OF_A_GROUP = 100
FEWEST_TO_JUDGE = 10


def compare(
    task: str,
    test: pd.DataFrame,
    probabilities: Mapping[str, np.ndarray],
    ranks: Mapping[str, np.ndarray],
    *,
    campaign: Campaign | None = None,
    replicates: int = REPLICATES,
) -> Report:
    """Compare scorers on the test rows (customer_id, outcome). `probabilities` and `ranks` hold their scores;
    the one called "model" is compared, pair by pair, with all others."""
    outcome = test["outcome"].to_numpy(dtype=np.float64)
    campaign = campaign or Campaign(len(test), max(round(CAPACITY_SHARE * len(test)), 1))
    draws = draws_of(test["customer_id"], replicates)
    lists = {name: lists_of(outcome, s, draws, campaign.shares) for name, s in {**probabilities, **ranks}.items()}  # fmt: skip
    promises = {name: promises_of(outcome, p, draws) for name, p in probabilities.items()}
    scorers = {name: _figures(one, promises.get(name), campaign) for name, one in lists.items()}
    others = {name: one for name, one in lists.items() if name != "model"}
    ours, share = lists["model"], campaign.share
    return Report(
        task=task,
        rows=len(test),
        outcomes=int(outcome.sum()),
        scorers=scorers,
        leads={name: estimate(ours.auc - one.auc) for name, one in others.items()},
        campaign=campaign,
        rules=tuple(ranks),
        multiples={name: estimate(_times(ours, one, share)) for name, one in others.items()},
        lists={
            name: _with_interval(one.found / np.maximum(one.outcomes, 1)[:, None])
            for name, one in lists.items()
        },
        gains=gains_of(campaign, lists, best_rule(tuple(ranks), scorers)),
    )


def outlook(
    test: pd.DataFrame,
    kinds: Sequence[str],
    horizons_days: Sequence[int],
    outcomes: np.ndarray,
    promised: Mapping[str, np.ndarray],
) -> tuple[Cell, ...]:
    """Every outcome by every horizon. `outcomes` (0/1) and each scorer's promises are (rows x horizons x kinds)."""
    draws, cells = draws_of(test["customer_id"], REPLICATES_OF_A_CELL), []
    for m, kind in enumerate(kinds):
        for k, days in enumerate(horizons_days):
            came = outcomes[:, k, m].astype(np.float64)
            had, chances = int(came.sum()), {name: p[:, k, m] for name, p in promised.items()}
            judged = min(had, len(came) - had) >= FEWEST_TO_JUDGE
            scorers = {name: _judged(came, p, draws, promise=True) for name, p in chances.items() if judged}
            cells.append(Cell(kind, days, had, float(chances["model"].mean()), scorers))
    return tuple(cells)


def grouped(report: Report, rows: pd.DataFrame, probability: np.ndarray, ranks: Mapping[str, np.ndarray]) -> Report:  # fmt: skip
    """The report with figures by declared segment and by month of the test: of the model, and of the rule that is best
    overall. `rows` are the tested moments with their features, categories as text."""
    rule = {report.best_rule: ranks[report.best_rule]} if report.best_rule else {}
    top = top_tenth(probability)
    segments = (
        _group(segment.name, value, rows, inside, probability, top, rule)
        for segment, value, inside in groups_of(rows)
    )
    months = (
        _group("month", month, rows, inside, probability, top, rule)
        for month, inside in months_of(rows["as_of"])
    )
    return replace(report, segments=tuple(segments), months=tuple(months))


def require_figures(report: Report) -> None:
    """Raise `NotTrainable` when a figure of the model, or of what it is compared with, is not a number: such a model is
    never registered."""
    bad = [
        f"{scorer}.{name}"
        for scorer, row in report.scorers.items()
        for name, e in row.items()
        if not np.isfinite([e.value, e.low, e.high]).all()
    ]
    if bad:
        raise NotTrainable(
            f"{report.task}: {', '.join(bad)} cannot be computed on {report.rows:,} tested moments of which "
            f"{report.outcomes:,} had the outcome; test on more customers or dates"
        )


def _group(
    segment: str,
    value: str,
    rows: pd.DataFrame,
    inside: np.ndarray,
    probability: np.ndarray,
    top: np.ndarray,
    rule: Mapping[str, np.ndarray],
) -> Group:
    came, promised = rows.loc[inside, "outcome"].to_numpy(dtype=np.float64), probability[inside]
    share = shares(top[inside], came)
    made = Group(segment, value, len(came), int(came.sum()), float(promised.mean()), *share, {})
    if not enough(made.rows, made.outcomes):
        return made
    draws = draws_of(rows.loc[inside, "customer_id"], REPLICATES_OF_A_GROUP)
    ruled = {name: _judged(came, rank[inside], draws, promise=False) for name, rank in rule.items()}
    return replace(made, scorers={"model": _judged(came, promised, draws, promise=True), **ruled})


def _judged(came: np.ndarray, score: np.ndarray, draws: Draws, *, promise: bool) -> Figures:
    lists = lists_of(came, score, draws, np.array(list(LIFTS.values())))
    return _figures(lists, promises_of(came, score, draws) if promise else None)


def _figures(lists: Lists, promises: Promises | None, campaign: Campaign | None = None) -> Figures:
    by_draw: dict[str, np.ndarray] = {"auc": lists.auc, "average_precision": lists.average_precision}
    by_draw |= {name: lists.lift(share) for name, share in LIFTS.items()}
    if campaign:
        by_draw["precision_at_capacity"] = lists.precision(campaign.share)
    if campaign and campaign.worth:
        found = lists.found_at(campaign.share)
        by_draw["gain_yuan"] = campaign.gain(found, lists.rows, campaign.share)
    if promises:
        by_draw |= {"brier": promises.brier, "log_loss": promises.log_loss, "ece": promises.ece}
    return {name: estimate(values) for name, values in by_draw.items()}


def _times(ours: Lists, theirs: Lists, share: float) -> np.ndarray:
    """How many of ours for one of theirs; not a number where theirs holds none."""
    found, other = ours.found_at(share), theirs.found_at(share)
    return np.asarray(np.divide(found, other, out=np.full(len(found), np.nan), where=other > 0))


def _with_interval(by_draw: np.ndarray) -> np.ndarray:
    """(3 x columns): the first row with the percentiles of the others."""
    return np.vstack([by_draw[0], np.percentile(by_draw[1:], [2.5, 97.5], axis=0)])
