"""Trees from tables: LightGBM's bits, its contributions, and LightGBM itself where the tables are of no use."""

import logging
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.trees import fast
from serving.trees.fast import FastBooster, faster
from serving.trees.text import Unread, forest

COLUMNS = 8


def rows(count: int, seed: int) -> np.ndarray:
    """Columns with and without gaps, a category, rare values and constants."""
    chance = np.random.default_rng(seed)
    made = chance.normal(size=(count, COLUMNS))
    made[chance.random(count) < 0.3, 1] = np.nan
    made[:, 2] = chance.integers(0, 9, count)
    made[:, 3] = chance.poisson(0.2, count)
    made[:, 4] = 0.0
    return made


def learned(leaves: int, classes: int, seed: int = 1, **more: Any) -> lgb.Booster:
    seen = rows(2500, seed)
    score = seen[:, 0] + np.nan_to_num(seen[:, 1]) * (seen[:, 2] > 4) + seen[:, 3]
    label = np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))
    settings_ = {"objective": "multiclass", "num_class": classes} if classes > 2 else {"objective": "binary"}
    table = lgb.Dataset(seen, label, categorical_feature=[2])
    given_ = {**settings_, "num_leaves": leaves, "min_data_in_leaf": 20, "verbosity": -1, "seed": 7, **more}
    return lgb.train(given_, table, num_boost_round=12)


STRANGE = np.array(
    [[v] * COLUMNS for v in (np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, 0.5, 8.0, 9.0, 1e300, 5e-324, 1e-36)]
)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("leaves", [2, 8, 11, 24])
def test_same_bits_and_same_contributions(leaves: int, classes: int) -> None:
    booster = learned(leaves, classes)
    found = FastBooster(booster)
    assert found.small == (leaves <= 11)
    asked = np.vstack([rows(fast.ROWS_PER_BLOCK + 700, 5), STRANGE])
    expected = booster.predict(asked, raw_score=True)
    assert np.array_equal(found.predict(asked, raw_score=True), expected)
    parts = found.predict(asked, pred_contrib=True)
    assert np.allclose(parts[-1500:], booster.predict(asked[-1500:], pred_contrib=True), rtol=0, atol=1e-12)
    sums = parts.reshape(len(asked), -1, COLUMNS + 1).sum(axis=2)
    assert np.allclose(sums, np.asarray(expected).reshape(len(asked), -1), rtol=0, atol=1e-9)


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.integers(2, 12), st.floats(0, 0.9))
def test_whatever_was_learned(seed: int, leaves: int, shrink: float) -> None:
    booster = learned(leaves, 2, seed, learning_rate=0.05 + shrink, feature_fraction=0.7)
    asked = np.vstack([rows(80, seed + 1), STRANGE])
    found = FastBooster(booster)
    assert np.array_equal(found.predict(asked, raw_score=True), booster.predict(asked, raw_score=True))
    assert np.allclose(found.predict(asked, pred_contrib=True), booster.predict(asked, pred_contrib=True), rtol=0, atol=1e-12)  # fmt: skip


def test_a_row_is_worth_the_same_alone_or_among_others() -> None:
    booster = learned(8, 2)
    asked = rows(300, 9)
    found = FastBooster(booster)
    whole = found.predict(asked, pred_contrib=True)
    assert np.array_equal(found.predict(asked[100:200], pred_contrib=True), whole[100:200])
    assert np.allclose(found.predict(asked[:1], pred_contrib=True), whole[:1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("leaves", [2, 8, 11])
def test_a_single_row_of_small_trees_is_explained_with_the_bits_of_a_block(leaves: int, classes: int) -> None:
    found = FastBooster(learned(leaves, classes))
    asked = np.vstack([rows(100, 9), STRANGE])
    whole = found.predict(asked, pred_contrib=True)
    for place, row in enumerate(asked):
        assert np.array_equal(found.predict(row[None, :], pred_contrib=True)[0], whole[place])
    again = found.predict(asked, pred_contrib=True)
    assert np.array_equal(again, whole), "the tables are the same after they were moved"


def test_other_kinds_of_model_stay_with_lightgbm(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for more, said in (
        ({"linear_tree": True}, "linear models"),
        ({"zero_as_missing": True}, "zero for missing"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averaged"),
    ):
        booster = learned(6, 2, **more)
        with pytest.raises(Unread, match=said):
            forest(booster.model_to_string())
        assert faster(booster, rows(20, 3)) is booster
        assert said in caplog.text


def test_tables_that_differ_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    booster = learned(8, 2)
    assert isinstance(faster(booster, rows(20, 3)), FastBooster)
    worths = fast.worths
    monkeypatch.setattr(fast, "worths", lambda ways: [table + 1e-6 for table in worths(ways)])
    assert faster(booster, rows(20, 3)) is booster
    assert "LightGBM itself answers" in caplog.text


def test_a_way_for_single_rows_that_differs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    booster = learned(8, 2)
    sums = fast.OneRow.sums
    monkeypatch.setattr(fast.OneRow, "sums", lambda *given: sums(*given) + 1e-6)
    assert faster(booster, rows(20, 3)) is booster
