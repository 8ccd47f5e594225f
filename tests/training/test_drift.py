"""Drift: nothing moves by chance, what moves is named, and what a fair test has seen is no alarm."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.feature import Feature
from training.baseline import Baseline
from training.drift import against, learned
from training.expected import expected
from training.metrics import auc, brier, log_loss
from training.spread import Spread, psi, psi_by_chance, spread_of

N = 6_000


def feature(name: str, kind: str = "number") -> Feature:
    made = Feature(name, lambda past: past.orders.count(), "orders", 0, "orders", name, name)
    return replace(made, kind=kind)  # type: ignore[arg-type]


FEATURES = [feature("visits"), feature("cents"), feature("rare"), feature("power", "category")]


def people(seed: int, count: int = N, age: float = 0.0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    cents = np.exp(generator.normal(8 + age, 1, count))
    return pd.DataFrame({
        "customer_id": [f"c{n}" for n in range(count)],
        "as_of": np.where(np.arange(count) % 2 == 0, np.datetime64("2024-01-01"), np.datetime64("2024-02-01")),
        "visits": generator.poisson(1.2, count),
        "cents": np.where(generator.random(count) < 0.1, np.nan, cents),
        "rare": (generator.random(count) < 0.02).astype(float),
        "power": generator.choice(["BEV", "ICE"], count),
    })  # fmt: skip


def scores(seed: int, count: int = N, shift: float = 0.0) -> np.ndarray:
    return 1 / (1 + np.exp(-np.random.default_rng(seed).normal(-2 + shift, 1, count)))


def baseline(tested_age: float = 0.0) -> Baseline:
    return learned(
        FEATURES, people(1), people(2, age=tested_age), [5, 3, 1, 1], scores(1), scores(2), N, (N / 2, 2 * N)
    )


def test_the_index_is_the_definition_and_nothing_between_equals() -> None:
    """By hand: (.5 - .8) log(.5 / .8) + (.5 - .2) log(.5 / .2)."""
    then = spread_of(pd.Series([0.0] * 80 + [1.0] * 20))
    now = then.again(pd.Series([0.0] * 50 + [1.0] * 50))
    assert psi(then, now, 100) == pytest.approx(-0.3 * np.log(0.5 / 0.8) + 0.3 * np.log(0.5 / 0.2))
    assert psi(then, then, 100) == 0


def test_bins_hold_a_tenth_each_and_equal_values_share_one() -> None:
    assert spread_of(pd.Series(np.arange(1000.0))).shares == pytest.approx([0.1] * 10, abs=0.002)
    many_zeros = spread_of(pd.Series([0.0] * 95 + [1.0, 2, 3, 4, 5]), zero=0)
    assert many_zeros.shares == [0.95, 0.05]
    assert many_zeros.nothing == 0.95
    assert spread_of(pd.Series([None, None], dtype=float)).missing == 1.0


def test_words_not_learned_and_values_not_there_are_told_apart() -> None:
    then = spread_of(pd.Series(["ICE", "BEV", None, "ICE"]), category=True)
    now = then.again(pd.Series(["ICE", "HEV", "HEV", None]))
    assert (then.missing, then.unseen, then.levels) == (0.25, 0.0, ["BEV", "ICE"])
    assert (now.missing, now.unseen, now.shares) == (0.25, 0.5, [0.0, 0.25])


@pytest.mark.parametrize("count", [100, 300, 3_000])
def test_the_same_population_moves_nothing_however_small_the_list(count: int) -> None:
    """100 lists from one population: no column moves, though of 100 rows an index of .1 is everyday."""
    base = baseline()
    for seed in range(10, 110):
        drift = against(base, people(seed, count), scores(seed, count), N)
        assert drift.advice == []
        assert not [line.name for line in drift.features if line.moved]


def test_chance_is_that_of_the_chi_squared_distribution() -> None:
    """The share of indices of equal populations beyond the bound of one in ten thousand is about that: none of 2,000."""
    generator = np.random.default_rng(3)
    bound = psi_by_chance(10, 1_000, 500)
    q, p = (
        generator.multinomial(1_000, [0.1] * 10, 2_000) / 1_000,
        generator.multinomial(500, [0.1] * 10, 2_000) / 500,
    )
    indices = ((p - q) * np.log(p / q)).sum(axis=1)
    assert indices.max() < bound * 1.05
    assert np.quantile(indices, 0.99) > bound * 0.6, "and it is no wider than it must be"


def test_what_shifts_is_named_with_its_weight() -> None:
    drift = against(baseline(), people(3, age=1.5), scores(3), N)
    assert [line.name for line in drift.shifted] == ["cents"]
    assert drift.shifted_weight == pytest.approx(0.3)
    assert "cents" in drift.advice[0]


def test_drift_that_the_test_has_seen_is_no_reason() -> None:
    """The figures on the card were measured under it."""
    assert against(baseline(), people(3, age=0.8), scores(3), N).advice
    aged = against(baseline(tested_age=0.8), people(3, age=0.8), scores(3), N)
    assert aged.advice == []
    assert aged.features[1].moved, "it is shown all the same"


def test_a_column_that_weighs_little_is_shown_and_advises_nothing() -> None:
    rows = people(3).assign(rare=lambda r: (np.arange(len(r)) % 2).astype(float))
    drift = against(baseline(), rows, scores(3), N)
    assert [line.state for line in drift.features] == ["steady", "steady", "shifted", "steady"]
    light = replace(drift, features=[replace(line, weight=0.01) for line in drift.features])
    assert light.advice == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("visits", 0, "fell silent"), ("cents", np.nan, "hold no value"), ("power", "FCEV", "not learned")],
)
def test_silence_missing_values_and_new_words_are_advice_by_themselves(
    name: str, value: object, said: str
) -> None:
    advice = against(baseline(), people(3).assign(**{name: value}), scores(3), N).advice
    assert any(said in one and name in one for one in advice), advice


def test_what_was_silent_at_some_date_before_may_be_silent_again() -> None:
    """Between two campaigns nobody was sent anything in the last days, then as now."""
    sent = people(1).assign(visits=lambda rows: rows["visits"] * (rows["as_of"] == rows["as_of"].min()))
    args = ([5, 3, 1, 1], scores(1), scores(2), N, (N / 2, 2 * N))
    later = people(2).assign(as_of=np.datetime64("2024-03-01"))
    base = learned(FEATURES, sent, later, *args)  # type: ignore[arg-type]
    advice = against(base, people(3).assign(visits=0), scores(3), N).advice
    assert not [one for one in advice if "fell silent" in one]


def test_scores_and_the_size_of_the_cohort_are_watched() -> None:
    base = baseline()
    assert "scores" in against(base, people(3), scores(3, shift=1.0), N).advice[0]
    assert against(base, people(3), scores(3), N / 3).advice == [
        f"cohort: {N / 3:,.0f} customers a date, {N:,} when tested"
    ]


def test_a_baseline_holds_plain_numbers_and_nobodys_values() -> None:
    spread = baseline().features["cents"]
    assert isinstance(spread, Spread)
    assert len(spread.edges) == 9
    assert sum(spread.parts) == pytest.approx(1)


def test_what_true_probabilities_promise_is_what_comes() -> None:
    """Over 60 draws of outcomes the figures lie around the expected ones, and 95 % within the interval, give or take."""
    p, ids = scores(5, 3_000), pd.Series(np.arange(3_000).astype(str))
    told = expected(p, ids)
    generator, ones = np.random.default_rng(6), np.ones(3_000)
    drawn = [(generator.random(3_000) < p).astype(float) for _ in range(60)]
    for name, metric in (("auc", auc), ("brier", brier), ("log_loss", log_loss)):
        found = np.array([metric(outcome, p, ones) for outcome in drawn])
        assert found.mean() == pytest.approx(told[name].value, abs=0.004)
        assert ((found >= told[name].low) & (found <= told[name].high)).mean() >= 0.9


def test_it_says_what_it_cannot_see() -> None:
    """Everyone acts otherwise: the estimate stays, because the customers are the same."""
    p, ids = scores(5), pd.Series(np.arange(N).astype(str))
    outcome = (np.random.default_rng(1).random(N) < 1 - p).astype(float)
    assert expected(p, ids)["auc"].low > 0.7
    assert auc(outcome, p, np.ones(N)) < 0.3
