"""Calibration errors with and without the noise of the test."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.calibration import Calibration, calibration_of
from training.metrics import ece


def sample(
    seed: int, customers: int, shift: float, moments: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Outcomes, promises too high by a share `shift`, customers whose moments share their luck, and the true mean gap."""
    chance = np.random.default_rng(seed)
    true = np.repeat(chance.beta(1, 6, customers), moments)
    came = (np.repeat(chance.random(customers), moments) < true).astype(np.float64)
    said = np.clip(true * (1 + shift), 0, 1)
    return came, said, np.repeat(np.arange(customers), moments).astype(str), float((said - true).mean())


def drawn(times: int, customers: int, shift: float) -> list[tuple[Calibration, float]]:
    found = []
    for seed in range(times):
        came, said, who, gap = sample(seed, customers, shift)
        found.append((calibration_of(came, said, who), gap))
    return found


def test_true_probabilities_stay_below_what_chance_gives_nineteen_times_of_twenty() -> None:
    found = [one for one, _ in drawn(60, 300, 0.0)]
    assert 1 <= sum(one.plain > one.plain_by_chance for one in found) <= 8
    assert 1 <= sum(one.corrected > one.by_chance for one in found) <= 8
    assert np.mean([one.plain for one in found]) > 0.03  # all of it noise
    assert np.median([one.corrected for one in found]) < 0.005


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_what_is_left_without_noise_is_near_the_truth_and_its_interval_holds_it(shift: float) -> None:
    found = drawn(25, 1500, shift)
    true = float(np.mean([gap for _, gap in found]))
    assert np.sqrt(np.mean([one.corrected**2 for one, _ in found])) == pytest.approx(true, abs=0.01)
    assert np.sqrt(np.mean([one.plain**2 for one, _ in found])) > true
    assert sum(one.low <= gap <= one.high for one, gap in found) >= 22


@given(st.integers(0, 1000), st.integers(30, 200), st.floats(-0.3, 0.5))
@settings(max_examples=25, deadline=None)
def test_the_measured_error_is_the_usual_one_and_noise_only_takes_off(
    seed: int, customers: int, shift: float
) -> None:
    came, said, who, _ = sample(seed, customers, shift)
    found = calibration_of(came, said, who)
    assert found.plain == pytest.approx(ece(came, said, np.ones(len(came))))
    assert 0 <= found.corrected <= found.plain
    assert found.low <= found.high


def test_a_customers_moments_are_not_so_many_customers() -> None:
    """The same rows, each a customer of its own, would promise far less noise."""
    came, said, who, _ = sample(1, 300, 0.0)
    alone = calibration_of(came, said, np.arange(len(came)).astype(str))
    assert alone.by_chance < calibration_of(came, said, who).by_chance * 0.8
