"""Every feature equals what slow, obvious Python says about the same histories."""

import math
from typing import Any

import pytest

from features.feature_set import FEATURES
from tests.features.histories import DATES, computed, random_world
from tests.oracle import EXPECTED, Moment, expected, index


def agree(found: Any, wanted: Any) -> bool:
    """Counts and categories exactly; quotients to nine digits."""
    if isinstance(found, float) and isinstance(wanted, float | int):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-12)
    return type(found) is type(wanted) and bool(found == wanted)


def differences(seed: int, customers: int) -> tuple[int, list[str]]:
    """Values compared, and the differences found in a random world at all dates."""
    world = random_world(seed, customers)
    pairs = [(f"c{n:05d}", date) for n in range(customers) for date in DATES]
    answers, rows = computed(world, pairs, list(FEATURES.values())), index(world)
    compared, wrong = 0, []
    for pair in pairs:
        for name, wanted in expected(Moment(*pair, rows)).items():
            compared += 1
            if not agree(answers[pair][name], wanted):
                wrong.append(f"{name} at {pair}: {answers[pair][name]!r} instead of {wanted!r}")
    return compared, wrong


def test_the_oracle_knows_every_feature_and_no_other() -> None:
    assert set(EXPECTED) == set(FEATURES)


def test_a_thousand_moments() -> None:
    compared, wrong = differences(seed=1, customers=100)
    assert compared == 1_000 * len(FEATURES)
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 30))
def test_ten_thousand_moments(seed: int) -> None:
    _, wrong = differences(seed, customers=100)
    assert wrong == []


def test_the_histories_exercise_every_feature() -> None:
    """A feature that has the same value everywhere would agree with anything."""
    world = random_world(seed=1, customers=100)
    rows = index(world)
    seen: dict[str, set[Any]] = {name: set() for name in EXPECTED}
    for n in range(100):
        for date in DATES:
            for name, value in expected(Moment(f"c{n:05d}", date, rows)).items():
                seen[name].add(value)
    assert [name for name, values in seen.items() if len(values) < 2] == []


def test_a_wrong_value_is_noticed() -> None:
    assert not agree(1, 2)
    assert not agree(0, None)
    assert not agree(1.0, 1.00000001)
    assert not agree("gold", "silver")
    assert agree(1.0, 1.0 + 1e-12)
