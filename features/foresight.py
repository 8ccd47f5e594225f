"""Leak columns hunted by their foresight: what only shows beside the outcome.

    tells the outcome        ROC AUC above .98 by itself, beyond chance
    far above the rest       above .90, and more than twice as far apart as the best column of another kind
    foretells                a value almost always followed by the rarer outcome, and no longer so when only what
                             was known two months earlier is let in, of customers known then: it came because of the outcome

How far apart a column puts those with and without the outcome is d' = sqrt(2) z(AUC), the distance of two normal
distributions of that AUC (Green and Swets 1966); nothing is far above anything in AUC itself, which ends at 1. Honest
columns of four worlds and seven tasks reach .82 and d' 1.3; the bounds below stand well clear of that, because an honest
column accused is as bad as a leak missed.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from features.certificate import Accusation, Hunt

__all__ = ["LONG_BEFORE_DAYS", "auc_alone", "hunts_of_foresight", "separation"]

TELLS_ALL = 0.98
HIGH = 0.90
TIMES_THE_REST = 2.0
LONG_BEFORE_DAYS = 60
NEARLY_ALWAYS = 0.8  # lower bound of the share with the outcome
ODDS = 50.0  # times the odds of everyone
FEWEST = 30
Z = 3.7  # one in ten thousand: hundreds of columns are tried in dozens of ways
MOST_ROWS = 20_000
REPLICATES = 200
TAILS = (0.01, 0.02, 0.05, 0.10)
FEW_VALUES = 12
HUNTS = ("tells the outcome", "far above the rest", "foretells the outcome")

Earlier = Callable[[list[str], pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Group:
    """The rows whose value lies in `[low, high]`, or that have none."""

    words: str
    low: float
    high: float

    def rows(self, values: np.ndarray) -> np.ndarray:
        if math.isnan(self.low):
            return np.asarray(np.isnan(values))
        return np.asarray((values >= self.low) & (values <= self.high))


def hunts_of_foresight(
    rows: pd.DataFrame,
    kinds: Mapping[str, str],
    earlier: Earlier,
    *,
    table: str = "",
    most_rows: int = MOST_ROWS,
    seed: int = 7,
) -> list[Hunt]:
    """Hunt among columns of `rows` (customer_id, as_of, `outcome` 0/1, numbers). `kinds` names each column's kind:
    columns of a kind are not rivals of each other. `earlier` gives columns as they were `LONG_BEFORE_DAYS` before,
    for the moments it is handed, in their order, without those whose customer was not known then: of a newcomer nothing
    can be foretold, and nothing was. The last date is looked at by itself as well: what was filled in at
    the extraction knows that date's outcomes best. At most `most_rows` rows are taken each time, drawn with `seed`.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in HUNTS}
    last = rows[rows["as_of"] == rows["as_of"].max()]
    for part in (rows, last) if len(last) < len(rows) else (rows,):
        drawn = part.sample(min(len(part), most_rows), random_state=seed).sort_index()
        happened = int(drawn["outcome"].sum())
        if min(happened, len(drawn) - happened) >= FEWEST:
            for name, accused in _accused(drawn, kinds, earlier, seed).items():
                found[name] = accused | found[name]
    return [
        Hunt(name, len(kinds) + 1, [Accusation(table, column, why) for column, why in accused.items()])
        for name, accused in found.items()
    ]


def _accused(
    rows: pd.DataFrame, kinds: Mapping[str, str], earlier: Earlier, seed: int
) -> dict[str, dict[str, str]]:
    """By hunt, the columns accused and why. The customer's place among all ids counts as a column too."""
    outcome = rows["outcome"].to_numpy(dtype=np.int64)
    values = {name: rows[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in kinds}
    foretelling = _foretelling(rows, values, outcome, earlier)
    values["customer_id"] = np.argsort(np.argsort(rows["customer_id"].to_numpy())).astype(np.float64)
    kinds = {**kinds, "customer_id": "identity"}
    alone = {name: auc_alone(column, outcome) for name, column in values.items()}
    customers = pd.factorize(rows["customer_id"])[0]
    low = {n: _interval(values[n], outcome, customers, seed) for n, auc in alone.items() if auc > HIGH}
    tells = {n: f"ROC AUC {alone[n]:.3f} by itself" for n in low if low[n] > TELLS_ALL}
    rest = {n: _rest(n, alone, kinds) for n in low if low[n] > HIGH and n not in tells}
    far = {
        n: f"ROC AUC {alone[n]:.3f} by itself; the best of another kind has {auc:.3f}"
        for n, auc in rest.items()
        if separation(low[n]) > TIMES_THE_REST * separation(auc)
    }
    return dict(zip(HUNTS, (tells, far, foretelling), strict=True))


def separation(auc: float) -> float:
    """d': how many standard deviations apart two normal distributions of this AUC lie."""
    return math.sqrt(2) * NormalDist().inv_cdf(min(max(auc, 0.5), 1 - 1e-9))


def auc_alone(values: np.ndarray, outcome: np.ndarray) -> float:
    """ROC AUC of a column by itself, in the better direction, missing values at the better end; outcome 0/1."""
    return _auc(values, outcome, np.ones(len(outcome)))


def _rest(name: str, alone: Mapping[str, float], kinds: Mapping[str, str]) -> float:
    """The best of another kind that is not suspect itself: two leaks are no excuse for each other."""
    return max([0.5, *(auc for other, auc in alone.items() if kinds[other] != kinds[name] and auc <= HIGH)])


def _auc(values: np.ndarray, outcome: np.ndarray, weight: np.ndarray) -> float:
    """ROC AUC in the better direction, with missing values at the better end; equal values count half."""
    there = ~np.isnan(values)
    with_it, without = weight * outcome, weight * (1 - outcome)
    pairs = with_it.sum() * without.sum()
    if not pairs:
        return 0.5
    order = np.argsort(values[there], kind="stable")
    ranked = values[there][order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]][: len(ranked)])
    won = 0.0
    if len(starts):
        ones = np.add.reduceat(with_it[there][order], starts)
        zeros = np.add.reduceat(without[there][order], starts)
        won = float((ones * (np.cumsum(zeros) - zeros / 2)).sum())
    missing = float(with_it[~there].sum() * without[~there].sum()) / 2
    lowest = (won + missing + float(with_it[there].sum() * without[~there].sum())) / pairs
    highest = (won + missing + float(with_it[~there].sum() * without[there].sum())) / pairs
    return float(max(lowest, 1 - lowest, highest, 1 - highest))


def _interval(values: np.ndarray, outcome: np.ndarray, customers: np.ndarray, seed: int) -> float:
    """The lower end of the AUC's 95 % interval, customers drawn again."""
    generator, count = np.random.default_rng(seed), int(customers.max()) + 1
    drawn = (np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(REPLICATES))
    aucs = [_auc(values, outcome, times[customers].astype(np.float64)) for times in drawn]
    return float(np.percentile(aucs, 2.5))


def _foretelling(
    rows: pd.DataFrame, values: Mapping[str, np.ndarray], outcome: np.ndarray, earlier: Earlier
) -> dict[str, str]:
    """Columns with a group that nearly always has the rarer outcome, and had nothing of it long before."""
    rare = outcome if outcome.mean() <= 0.5 else 1 - outcome
    suspects = {name: group for name, column in values.items() if (group := _certain(column, rare))}
    if not suspects:
        return {}
    before = earlier(list(suspects), rows)
    known = rows.index.isin(before.index)
    rare = rare[known]
    found = {}
    for name, group in suspects.items():
        then = group.rows(before[name].to_numpy(dtype=np.float64, na_value=np.nan))
        now = group.rows(values[name][known])
        if _is_certain(rare, now) and not _lasts(rare, now, then):
            share, usual = rare[now].mean(), rare.mean()
            found[name] = (
                f"{group.words}: {share:.0%} of {int(now.sum()):,} moments end the same way, {usual:.1%} of all; "
                f"with what was known {LONG_BEFORE_DAYS} days earlier that is gone"
            )
    return found


def _certain(values: np.ndarray, rare: np.ndarray) -> Group | None:
    """The group of values most surely followed by the rarer outcome, if any is nearly always."""
    best, chosen = 0.0, None
    for group in _groups(values):
        inside = group.rows(values)
        if _is_certain(rare, inside):
            low = _wilson(int(rare[inside].sum()), int(inside.sum()))
            if low >= best:
                best, chosen = low, group
    return chosen


def _is_certain(rare: np.ndarray, inside: np.ndarray) -> bool:
    """Whether those inside nearly always have the rarer outcome, beyond chance and far more often than everyone."""
    if not FEWEST <= inside.sum() < len(rare):
        return False
    low = _wilson(int(rare[inside].sum()), int(inside.sum()))
    return low >= NEARLY_ALWAYS and _odds(low) >= ODDS * _odds(float(rare.mean()))


def _groups(values: np.ndarray) -> Iterator[Group]:
    there = values[~np.isnan(values)]
    if len(there) < len(values):
        yield Group("no value", math.nan, math.nan)
    different = np.unique(there)
    if len(different) <= FEW_VALUES:
        for value in different:
            yield Group(f"{value:g}", value, value)
            yield Group(f"{value:g} or more", value, math.inf)
            yield Group(f"{value:g} or less", -math.inf, value)
        return
    for share in TAILS:
        low, high = np.quantile(there, [share, 1 - share], method="nearest")
        yield Group(f"{low:g} or less", -math.inf, low)
        yield Group(f"{high:g} or more", high, math.inf)


def _lasts(rare: np.ndarray, now: np.ndarray, then: np.ndarray) -> bool:
    """Whether those in the group long before still have at least half the excess, in log-odds."""
    if then.sum() < FEWEST:
        return False
    usual = _log_odds(rare)
    return _log_odds(rare[then]) - usual >= (_log_odds(rare[now]) - usual) / 2


def _log_odds(outcome: np.ndarray) -> float:
    happened = float(outcome.sum())
    return math.log((happened + 0.5) / (len(outcome) - happened + 0.5))


def _odds(share: float) -> float:
    return share / max(1 - share, 1e-12)


def _wilson(happened: int, of: int) -> float:
    """Lower end of the score interval of a share (Wilson 1927)."""
    share, z2 = happened / of, Z * Z
    half = Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return (share + z2 / (2 * of) - half) / (1 + z2 / of)
