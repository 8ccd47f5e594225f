"""Hunts by foresight: on histories with honest habits nobody is accused; what follows from the outcome is."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from features.foresight import _auc, hunts_of_foresight, separation

N = 8_000
Earlier = Callable[[list[str], pd.DataFrame], pd.DataFrame]


def world(seed: int, base: float = 0.05) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Moments with honest columns, and the same columns as they were long before."""
    generator = np.random.default_rng(seed)
    habit = generator.normal(size=N)
    mood = habit + generator.normal(size=N)  # passes, where a habit lasts
    chance = 1.5 * habit + 1.5 * mood
    outcome = (chance + generator.logistic(size=N) > np.quantile(chance, 1 - base)).astype(int)
    now = {
        "customer_id": [f"c{n:05d}" for n in generator.permutation(N)], "as_of": pd.Timestamp(2024, 1, 1), "outcome": outcome,
        "visits": np.floor(np.exp(habit)), "days_since": np.where(mood > -1, np.exp(3 - mood), np.nan),
        "drive": (mood > 2).astype(float), "cents": generator.integers(0, 10**7, N), "nothing": np.full(N, np.nan),
    }  # fmt: skip
    then = now | {"days_since": np.exp(3 - habit), "drive": (generator.random(N) < 0.02).astype(float)}
    return pd.DataFrame(now), pd.DataFrame(then)


def accused(now: pd.DataFrame, then: pd.DataFrame) -> dict[str, str]:
    """Column by column, the hunt that accuses it."""
    kinds = {name: name for name in now.columns[3:]}

    def earlier(names: list[str], rows: pd.DataFrame) -> pd.DataFrame:
        return then.loc[rows.index, names]

    hunts = hunts_of_foresight(now, kinds, earlier)
    return {one.column: hunt.name for hunt in hunts for one in hunt.accused}


@pytest.mark.parametrize("base", [0.02, 0.3, 0.7])
@pytest.mark.parametrize("seed", range(4))
def test_honest_columns_are_not_accused(seed: int, base: float) -> None:
    assert accused(*world(seed, base)) == {}


def test_a_habit_that_decides_is_not_accused_because_it_lasts() -> None:
    """Who buys every week buys again; it was so two months ago."""
    now, then = world(1)
    weekly = np.where(now["outcome"] == 1, np.arange(N) % 2, np.arange(N) % 300 == 0).astype(float)
    assert accused(now.assign(weekly=weekly), then.assign(weekly=weekly)) == {}


def test_a_note_that_only_those_get_who_then_order_is_accused() -> None:
    now, then = world(2)
    noted = np.where((now["outcome"] == 1) & (np.arange(N) % 3 == 0), 5.0, np.nan)
    before = np.where(np.arange(N) % 50 == 0, 5.0, np.nan)
    assert accused(now.assign(rating=noted), then.assign(rating=before)) == {
        "rating": "foretells the outcome"
    }
    assert accused(now.assign(rating=noted), then.assign(rating=noted)) == {}, "it lasts"


def test_a_copy_of_the_outcome_is_accused() -> None:
    now, _ = world(3)
    copied = now.assign(label=now["outcome"] * 2.5, reverse=-now["outcome"])
    assert {"label", "reverse"} <= accused(copied, copied).keys()
    assert {accused(copied, copied)[name] for name in ("label", "reverse")} == {"tells the outcome"}


def test_a_column_far_above_the_rest_is_accused() -> None:
    now, _ = world(4, base=0.3)
    generator = np.random.default_rng(9)
    near = now["outcome"] * 2.3 + generator.normal(size=N)
    weak = now[["customer_id", "as_of", "outcome", "cents"]].assign(near=near)
    twin = near + 0.1 * generator.normal(size=N)
    assert accused(weak, weak) == {"near": "far above the rest"}
    both = weak.assign(twin=twin)
    assert accused(both, both).keys() == {"near", "twin"}, "two leaks are no excuse for each other"
    rival = weak.assign(rival=now["outcome"] * 1.5 + generator.normal(size=N))
    assert accused(rival, rival) == {}, "an honest column comes near enough"


def test_customer_ids_in_the_order_of_the_outcome_are_accused() -> None:
    now, then = world(5)
    now = now.sort_values("outcome").assign(customer_id=[f"c{n:05d}" for n in range(N)])
    assert accused(now, then.loc[now.index]) == {"customer_id": "tells the outcome"}


def test_one_kind_of_outcome_accuses_nobody() -> None:
    now, then = world(6)
    assert accused(now.assign(outcome=0), then) == {}


def test_the_auc_is_the_share_of_pairs_in_order() -> None:
    """Against the definition: all pairs, ties as halves, missing values at whichever end is better."""
    generator = np.random.default_rng(8)
    for _ in range(30):
        values = np.where(generator.random(40) < 0.2, np.nan, generator.integers(0, 6, 40).astype(float))
        outcome = generator.integers(0, 2, 40)
        outcome[:2] = 0, 1
        shares = []
        for missing in (-99.0, 99.0):
            filled = np.where(np.isnan(values), missing, values)
            above = filled[outcome == 1][:, None] - filled[outcome == 0][None, :]
            shares.append(((above > 0) + 0.5 * (above == 0)).mean())
        expected = max(max(share, 1 - share) for share in shares)
        assert _auc(values, outcome, np.ones(40)) == pytest.approx(expected)


def test_separation_is_that_of_two_normal_distributions() -> None:
    generator = np.random.default_rng(1)
    outcome = np.repeat([0, 1], 50_000)
    values = generator.normal(size=100_000) + 1.3 * outcome
    assert separation(_auc(values, outcome, np.ones(100_000))) == pytest.approx(1.3, abs=0.02)
    assert separation(0.5) == 0
