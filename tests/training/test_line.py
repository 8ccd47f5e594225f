"""The line: what logistic regression says, additive, the same alone or among others, and no wilder than what it learned from."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training.line import Line, fit_line

CHANCE = np.random.default_rng(7)
ROWS = CHANCE.normal(size=(6000, 4)) * (1, 30, 1, 1)
ROWS[:, 3] = CHANCE.integers(0, 3, 6000)
ROWS[CHANCE.random(6000) < 0.3, 0] = np.nan
ROWS[CHANCE.random(6000) < 0.1, 3] = np.nan
LOG_ODDS = np.where(np.isnan(ROWS[:, 0]), -1, np.nan_to_num(ROWS[:, 0])) + 1.5 * (ROWS[:, 3] == 2) - 1
CAME = (CHANCE.random(6000) < 1 / (1 + np.exp(-LOG_ODDS))).astype(int)
LINE = fit_line(ROWS, CAME, [3])


def by_hand() -> np.ndarray:
    """The same regression on columns written out."""
    logs = np.sign(ROWS) * np.log1p(np.abs(ROWS))
    columns = []
    for n in range(3):
        known = logs[:, n][~np.isnan(logs[:, n])]
        columns.append(np.nan_to_num((logs[:, n] - known.mean()) / known.std()))
    columns.append(np.isnan(ROWS[:, 0]))
    columns.append(np.isnan(ROWS[:, 3]))
    columns += [ROWS[:, 3] == level for level in range(3)]
    design = np.column_stack(columns).astype(float)
    return np.asarray(LogisticRegression(C=0.1, max_iter=1000).fit(design, CAME).predict_proba(design)[:, 1])


def test_it_says_what_a_logistic_regression_on_written_out_columns_says() -> None:
    np.testing.assert_allclose(LINE.chances(ROWS)[:, 0], by_hand(), atol=2e-3)


def test_effects_add_up_and_are_measured_from_their_mean() -> None:
    effects = LINE.effects(ROWS)
    np.testing.assert_allclose(effects.sum(axis=2) + LINE.bases, LINE.margins(ROWS), atol=1e-12)
    np.testing.assert_allclose(effects.mean(axis=0), 0, atol=1e-9)


def test_a_row_has_the_same_bits_alone_in_a_block_and_among_all() -> None:
    together = LINE.margins(ROWS)
    assert np.array_equal(together[:200], np.vstack([LINE.margins(ROWS[n : n + 1]) for n in range(200)]))
    blocks = [LINE.margins(ROWS[n : n + 777]) for n in range(0, len(ROWS), 777)]
    assert np.array_equal(together, np.vstack(blocks))
    assert LINE.margins(ROWS[:0]).shape == (0, 1)
    assert np.array_equal(together, LINE.margins(np.asfortranarray(ROWS))), (
        "nor does the order in memory matter"
    )


def test_beyond_what_it_learned_from_it_goes_no_further() -> None:
    far, row = ROWS[:1].copy(), ROWS[:1].copy()
    far[:, 1], row[:, 1] = 1e9, np.nanmax(ROWS[:, 1])
    assert np.array_equal(LINE.margins(far), LINE.margins(row))


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_a_column_that_says_nothing_adds_nothing(nothing: float) -> None:
    rows = ROWS.copy()
    rows[:, 2] = nothing
    np.testing.assert_allclose(fit_line(rows, CAME, [3]).effects(rows)[:, :, 2], 0, atol=1e-9)


def test_competing_outcomes_have_a_line_each_against_nothing() -> None:
    kind = CHANCE.integers(0, 3, len(ROWS)) * CAME
    line: Line = fit_line(ROWS, kind, [3], outcomes=2)
    chances = line.chances(ROWS)
    assert chances.shape == (len(ROWS), 2)
    assert (chances.sum(axis=1) < 1).all()
    for m in (0, 1):
        assert chances[:, m].mean() == pytest.approx((kind == m + 1).mean(), abs=1e-3)
