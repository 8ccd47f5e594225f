"""Metrics against scikit-learn and against loops one can read."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as peer

from training import metrics
from training.comparison import compare

ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.05, 0.2, 0.2, 0.5, 0.7, 0.95]), st.integers(1, 3)),
    min_size=4,
    max_size=40,
)


def columns(rows: list[tuple[int, float, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    outcome, score, weight = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    outcome[:2] = (0, 1)
    return outcome, score, weight


@given(ROWS)
def test_ranks_and_probabilities_agree_with_scikit_learn(rows: list[tuple[int, float, int]]) -> None:
    y, p, w = columns(rows)
    assert metrics.auc(y, p, w) == pytest.approx(peer.roc_auc_score(y, p, sample_weight=w))
    assert metrics.average_precision(y, p, w) == pytest.approx(
        peer.average_precision_score(y, p, sample_weight=w)
    )
    assert metrics.brier(y, p, w) == pytest.approx(peer.brier_score_loss(y, p, sample_weight=w))
    assert metrics.log_loss(y, p, w) == pytest.approx(peer.log_loss(y, p, sample_weight=w))


@given(ROWS)
def test_a_weight_is_a_repeated_row(rows: list[tuple[int, float, int]]) -> None:
    y, p, w = columns(rows)
    repeated = np.repeat(np.arange(len(y)), w.astype(int))
    ones = np.ones(len(repeated))
    for name in ("auc", "average_precision", "lift_10"):
        metric = metrics.OF_RANKS[name]
        assert metric(y, p, w) == pytest.approx(metric(y[repeated], p[repeated], ones)), name


def test_lift_counts_outcomes_in_the_top_of_the_list() -> None:
    y = np.array([1, 1, 0, 1, 0, 0, 0, 0, 0, 0], dtype=np.float64)
    score = np.linspace(1, 0, 10)
    assert metrics.lift_at(0.2)(y, score, np.ones(10)) == pytest.approx((2 / 2) / (3 / 10))
    assert metrics.lift_at(0.5)(y, score, np.ones(10)) == pytest.approx((3 / 5) / (3 / 10))


def test_a_tie_at_the_edge_of_the_list_counts_in_proportion() -> None:
    y = np.array([1, 0, 0, 0], dtype=np.float64)
    assert metrics.lift_at(0.5)(y, np.zeros(4), np.ones(4)) == pytest.approx(1.0)
    assert metrics.lift_at(0.25)(y, np.array([1.0, 1.0, 0.0, 0.0]), np.ones(4)) == pytest.approx(0.5 / 0.25)


def test_calibration_error_is_the_mean_gap_over_tenths() -> None:
    generator = np.random.default_rng(0)
    p = generator.random(50_000)
    y = (generator.random(50_000) < p).astype(np.float64)
    w = np.ones(50_000)
    assert metrics.ece(y, p, w) < 0.01
    assert metrics.ece(y, np.clip(p + 0.1, 0, 1.1), w) == pytest.approx(0.1, abs=0.01)


def test_intervals_cover_the_truth_and_keep_a_customers_moments_together() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        p = generator.random(400)
        frame = pd.DataFrame(
            {"customer_id": np.arange(400).astype(str), "outcome": (generator.random(400) < p).astype(int)}
        )
        report = compare("t", frame, {"model": p}, {}, replicates=100)
        brier = report.scorers["model"]["brier"]
        covered += brier.low <= 1 / 6 <= brier.high
    assert 50 <= covered <= 60
    doubled = pd.concat([frame, frame], ignore_index=True)
    again = compare("t", doubled, {"model": np.r_[p, p]}, {}, replicates=100)
    once = compare("t", frame, {"model": p}, {}, replicates=100)
    assert again.scorers["model"]["auc"].high == pytest.approx(once.scorers["model"]["auc"].high)
