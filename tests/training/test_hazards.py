"""The laws of several horizons: no probability falls with the days, competing ones never sum past one, whatever the numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.errors import NotTrainable
from training.hazards import Hazards, fit_hazards
from training.tasks import TASKS

NUMBERS = st.floats(-1e6, 1e6)
SHAPES = sorted({(len(task.horizons_days), len(task.kinds)) for task in TASKS})


def drawn(draw: st.DrawFn, *shape: int) -> np.ndarray:
    return np.asarray(draw(arrays(np.float64, shape, elements=NUMBERS)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Hazards, np.ndarray]:
    """Any slopes, intercepts and margins, in the shape of one of the tasks."""
    intervals, outcomes = draw(st.sampled_from(SHAPES))
    slopes, intercepts = drawn(draw, intervals, outcomes), drawn(draw, intervals, outcomes)
    nested = [tuple(map(tuple, numbers.tolist())) for numbers in (slopes, intercepts)]
    return Hazards(*nested), drawn(draw, draw(st.integers(1, 5)), outcomes)


@given(cases())
def test_probabilities_are_coherent_for_any_numbers(case: tuple[Hazards, np.ndarray]) -> None:
    hazards, margins = case
    outlook = hazards.outlook(margins)
    assert np.isfinite(outlook).all()
    assert (outlook >= 0).all()
    assert (np.diff(outlook, axis=1) >= 0).all()
    assert (outlook.sum(axis=2) <= 1 + 1e-12).all()


@given(cases())
def test_a_row_alone_has_the_bits_it_has_among_others(case: tuple[Hazards, np.ndarray]) -> None:
    hazards, margins = case
    together = hazards.outlook(np.repeat(margins, 7, axis=0))[::7]
    alone = np.vstack([hazards.outlook(row[None]) for row in margins])
    assert np.array_equal(together, alone)


def test_one_horizon_and_one_outcome_are_a_sigmoid() -> None:
    margins = np.linspace(-5, 5, 11)[:, None]
    found = Hazards(((2.0,),), ((-1.0,),)).outlook(margins)[:, 0, 0]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-(2 * margins[:, 0] - 1))), rtol=1e-14)


def simulated(
    rows: int, slopes: np.ndarray, intercepts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins, kinds and intervals of lives drawn step by step from known hazards."""
    chance = np.random.default_rng(5)
    intervals, outcomes = slopes.shape
    margins = chance.normal(size=(rows, outcomes))
    kind, interval = np.zeros(rows, dtype=int), np.full(rows, intervals)
    for k in range(intervals):
        odds = np.exp(slopes[k] * margins + intercepts[k])
        shares = np.cumsum(np.c_[odds, np.ones(rows)] / (1 + odds.sum(axis=1, keepdims=True)), axis=1)
        now = (chance.random(rows)[:, None] > shares).sum(axis=1)
        falls = (interval == intervals) & (now < outcomes)
        kind[falls], interval[falls] = now[falls] + 1, k
    return margins, kind, interval


def test_known_hazards_are_found_again_and_mean_what_they_say() -> None:
    slopes, intercepts = np.array([[1.0, 0.7], [0.5, 0.9]]), np.array([[-2.0, -2.5], [-2.2, -1.8]])
    margins, kind, interval = simulated(60_000, slopes, intercepts)
    found = fit_hazards(margins, kind, interval, 2)
    np.testing.assert_allclose(found.slopes, slopes, atol=0.06)
    np.testing.assert_allclose(found.intercepts, intercepts, atol=0.06)
    promised = found.outlook(margins)
    for k in range(2):
        for m in range(2):
            came = (interval <= k) & (kind == m + 1)
            assert promised[:, k, m].mean() == pytest.approx(came.mean(), abs=0.004)


def test_an_interval_with_hardly_an_outcome_borrows_the_slope_and_keeps_the_count() -> None:
    margins, kind, interval = simulated(4_000, np.array([[1.0], [1.0]]), np.array([[-1.5], [-6.5]]))
    found = fit_hazards(margins, kind, interval, 2)
    waiting = interval >= 1
    happened = ((interval == 1) & (kind == 1)).sum()
    assert 0 < happened < 20
    first, both = found.outlook(margins)[waiting, :, 0].T
    hazard = (both - first) / (1 - first)
    assert hazard.sum() == pytest.approx(happened, abs=1)
    assert found.slopes[1][0] == pytest.approx(1, abs=0.2), "two or three outcomes alone would say anything"


def test_an_outcome_that_never_happens_cannot_be_calibrated() -> None:
    with pytest.raises(NotTrainable, match="an outcome never happens, or always"):
        fit_hazards(np.zeros((10, 1)), np.zeros(10, dtype=int), np.full(10, 2), 2)


def test_losses_are_those_of_what_came_and_the_usual_ones_with_a_single_outcome() -> None:
    margins = np.linspace(-3, 3, 7)[:, None]
    happened = np.array([0, 1, 0, 1, 1, 0, 1])
    single = Hazards(((1.0,),), ((-0.5,),))
    p = single.outlook(margins)[:, 0, 0]
    usual = -np.log(np.where(happened == 1, p, 1 - p))
    np.testing.assert_allclose(single.losses(margins, happened, 1 - happened), usual, rtol=1e-12)
    several = Hazards(((1.0, 0.7), (0.5, 0.9)), ((-1.0, -1.5), (-2.0, -0.8)))
    row = np.array([[0.3, -0.4]])
    every = [(0, 2), (1, 0), (1, 1), (2, 0), (2, 1)]
    chances = [np.exp(-several.losses(row, np.array([kind]), np.array([when])))[0] for kind, when in every]
    assert sum(chances) == pytest.approx(1), "something comes, or nothing"
    outlook = several.outlook(row)[0]
    assert chances[2] == pytest.approx(outlook[1, 0] - outlook[0, 0])
