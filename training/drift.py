"""Drift: whether those asked about today are still those the model learned from, told before any outcome is known.

    Baseline    the spreads of all columns and of the scores (see `training.spread`) as plain numbers in `baseline.json`
                beside the model, what each column weighs, and how far the tested customers had moved from the learned ones:
                drift that the figures on the card were measured under
    Drift       today against the baseline, line by line, and the advice that follows

Below the index that chance gives one time in ten thousand nothing has moved. Ageing is drift too, and a
fair test has seen some of it: an index counts as a shift beyond twice that of the test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from features.feature import Feature
from training.baseline import Baseline
from training.expected import expected
from training.resampling import Estimate
from training.spread import Spread, psi, psi_by_chance, spread_of

__all__ = ["MOST_ROWS", "Drift", "Line", "against", "learned"]

LOOK, ACT = 0.10, 0.25
TIMES_TESTED = 2.0
# Advice, not alarm: what must have shifted before a model is worth training again.
SHIFTED_WEIGHT = 0.10
SILENT, HEARD = 0.995, 0.95
FEWEST_TO_LISTEN = 100
MISSING_MORE = 0.10
SUDDEN_TIMES = 1.3  # a cohort grows or shrinks by so much over months, not from run to run
MOST_LOST_AUC = 0.02
UNSEEN = 0.05
MOST_ROWS = 100_000  # of more, so many are drawn: their spreads say no less


@dataclass(frozen=True)
class Line:
    """One column (or the scores): its index today and at the test, what chance alone gives, its weight, and how large a
    share held nothing at the quietest date before."""

    name: str
    psi: float
    tested: float
    chance: float
    weight: float
    quietest: float
    then: Spread
    now: Spread

    @property
    def moved(self) -> bool:
        """Whether it is spread otherwise than when it was learned, beyond chance."""
        return self.psi > max(LOOK, self.chance)

    @property
    def shifted(self) -> bool:
        """Whether it has moved so far that the test's figures no longer speak for it."""
        return self.psi > max(ACT, self.chance, TIMES_TESTED * self.tested)

    @property
    def silent(self) -> bool:
        """Hardly anybody holds anything in it any more, though at every date before some did."""
        return self.now.nothing >= SILENT and self.quietest <= HEARD and self.moved

    @property
    def state(self) -> str:
        """How it stands, in a word."""
        return "silent" if self.silent else "shifted" if self.shifted else "moved" if self.moved else "steady"


@dataclass(frozen=True)
class Drift:
    """Today's population beside the learned one. `per_date` counts the customers asked about a date, `expected` holds the
    figures their probabilities promise; `advice` says, with the evidence, why the model should be trained again; nothing
    when it need not."""

    rows: int
    customers: int
    per_date: float
    scores: Line
    features: list[Line] = field(repr=False)
    expected: Mapping[str, Estimate]
    learned: Baseline = field(repr=False)

    @property
    def shifted(self) -> list[Line]:
        """Columns beyond what was tested, those that weigh most first."""
        return sorted((line for line in self.features if line.shifted), key=lambda line: -line.weight)

    @property
    def shifted_weight(self) -> float:
        """The share of what the trees gained that shifted columns carry."""
        return sum(line.weight for line in self.shifted)

    @property
    def advice(self) -> list[str]:
        """Why training again is advised, in words; nothing where it is not."""
        said = []
        if self.scores.shifted:
            said.append(f"scores: {_index(self.scores)}")
        if self.shifted_weight >= SHIFTED_WEIGHT:
            named = ", ".join(f"{line.name} ({line.psi:.2f})" for line in self.shifted[:5])
            said.append(f"columns that carry {self.shifted_weight:.0%} of the model have shifted: {named}")
        silent = [line.name for line in self.features if line.silent]
        if silent:
            said.append(f"fell silent, so look at the source before training again: {_listed(silent)}")
        said += self._gone_missing()
        low, high = self.learned.usual_per_date
        if not low <= self.per_date <= high:
            said.append(
                f"cohort: {self.per_date:,.0f} customers a date, {self.learned.per_date:,.0f} when tested"
            )
        now, then = self.expected["auc"], Estimate(*self.learned.expected_auc)
        if now.high < then.low and then.value - now.value > MOST_LOST_AUC:
            said.append(f"expected ROC AUC {now}, by the same estimate {then} on the test")
        return said

    def since(self, before: "Drift") -> list[Line]:
        """Scores, then columns, beside those of another moment instead of what was learned; by the same baseline's bins."""

        def beside(now: Line, then: Line) -> Line:
            chance = psi_by_chance(len(now.now.parts), before.customers, self.customers)
            index = psi(then.now, now.now, self.customers)
            return Line(now.name, index, 0.0, chance, now.weight, then.now.nothing, then.now, now.now)

        columns = zip(self.features, before.features, strict=True)
        return [beside(self.scores, before.scores), *(beside(now, then) for now, then in columns)]

    def sudden(self, before: "Drift") -> list[str]:
        """What moved from one run to the next as customers do not by themselves, in words: rather a delivery's doing than theirs."""
        lines = self.since(before)
        said = [f"{line.name}: PSI {line.psi:.2f} since the run before" for line in lines if line.shifted]
        said += [
            f"{line.name}: {line.now.missing:.0%} hold no value, {line.then.missing:.0%} in the run before"
            for line in lines
            if line.now.missing - line.then.missing >= MISSING_MORE and not line.shifted
        ]
        if not 1 / SUDDEN_TIMES <= self.rows / max(before.rows, 1) <= SUDDEN_TIMES:
            said.append(f"cohort: {self.rows:,} scored, {before.rows:,} in the run before")
        return said

    def _gone_missing(self) -> list[str]:
        found = []
        for line in self.features:
            more = line.now.missing - line.then.missing
            if line.shifted and abs(more) >= MISSING_MORE and line.weight >= SHIFTED_WEIGHT:
                found.append(
                    f"{line.name}: {line.now.missing:.0%} hold no value, {line.then.missing:.0%} when learned"
                )
            if line.now.unseen - line.then.unseen >= UNSEEN:
                found.append(f"{line.name}: {line.now.unseen:.0%} hold a word that was not learned")
        return found

    def figures(self) -> dict[str, float]:
        """What a tracking store remembers: indices of all columns and of the scores, cohort and weight."""
        own = {"psi.scores": self.scores.psi, "drift.shifted_weight": self.shifted_weight,
               "drift.shifted_features": len(self.shifted), "cohort.per_date": self.per_date,
               "cohort.per_date_tested": self.learned.per_date}  # fmt: skip
        own |= {f"expected.{name}{end}": value for name, e in self.expected.items()
                for end, value in (("", e.value), (".low", e.low), (".high", e.high))}  # fmt: skip
        return own | {f"psi.{line.name}": line.psi for line in self.features}


def learned(
    features: Sequence[Feature],
    fit: pd.DataFrame,
    test: pd.DataFrame,
    weights: Sequence[float],
    held_back: np.ndarray,
    promised: np.ndarray,
    per_date: float,
    usual_per_date: tuple[float, float],
) -> Baseline:
    """The baseline of the rows (customer_id, as_of, features; categories as text) learned from and tested on, what the
    features weigh, and the probabilities of the calibration part (`held_back`) and of the test."""
    auc = expected(promised, test["customer_id"])["auc"]
    fit, test = _some(fit), _some(test)
    spreads = {f.name: spread_of(fit[f.name], category=f.kind == "category", zero=_zero(f)) for f in features}
    scores = spread_of(pd.Series(held_back))
    heavy = max(sum(weights), 1e-12)
    return Baseline(
        customers=fit["customer_id"].nunique(),
        features=spreads,
        tested={name: psi(spread, spread.again(test[name]), len(test)) for name, spread in spreads.items()},
        quietest=_quietest(features, pd.concat([fit, test])),
        weights={f.name: weight / heavy for f, weight in zip(features, weights, strict=True)},
        scores=scores,
        tested_scores=psi(scores, scores.again(pd.Series(promised)), len(promised)),
        expected_auc=(auc.value, auc.low, auc.high),
        per_date=per_date,
        usual_per_date=usual_per_date,
    )


def against(
    base: Baseline,
    rows: pd.DataFrame,
    probabilities: np.ndarray,
    per_date: float,
    customers: pd.Series | None = None,
) -> Drift:
    """Compare rows (customer_id, the model's columns, categories as text) and their scores with what was learned. Where `rows` are some
    drawn from many, `customers` says whose the `probabilities` are."""
    drawn = _some(rows)
    everybody = rows["customer_id"] if customers is None else customers
    many = everybody.nunique()
    lines = [
        _line(base, name, spread, spread.again(drawn[name]), base.tested[name], base.weights[name], many)
        for name, spread in base.features.items()
    ]
    now = base.scores.again(pd.Series(probabilities))
    scores = _line(base, "scores", base.scores, now, base.tested_scores, 1.0, many)
    now_expected = expected(probabilities, everybody)
    return Drift(len(everybody), many, per_date, scores, lines, now_expected, base)


def _line(
    base: Baseline, name: str, then: Spread, now: Spread, tested: float, weight: float, customers: int
) -> Line:
    chance = psi_by_chance(len(then.parts), base.customers, customers)
    return Line(
        name, psi(then, now, customers), tested, chance, weight, base.quietest.get(name, 0.0), then, now
    )


def _quietest(features: Sequence[Feature], rows: pd.DataFrame) -> dict[str, float]:
    """Per column the largest share without a value, or with the one that means nothing, at a date of enough rows."""
    sizes = rows.groupby("as_of").size()
    listened = rows[rows["as_of"].isin(sizes.index[sizes >= FEWEST_TO_LISTEN])]
    found = {}
    for feature in features:
        held, zero = listened[feature.name], _zero(feature)
        nothing = held.isna()
        if zero is not None:
            nothing |= held.eq(zero).fillna(False)
        found[feature.name] = float(nothing.groupby(listened["as_of"]).mean().max()) if len(held) else 1.0
    return found


def _zero(feature: Feature) -> float | None:
    nothing: Any = feature.nothing
    return float(nothing) if isinstance(nothing, int | float) else None


def _some(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sample(min(len(rows), MOST_ROWS), random_state=7)


def _index(line: Line) -> str:
    return f"PSI {line.psi:.2f}, {line.tested:.2f} when tested, {line.chance:.2f} by chance"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
