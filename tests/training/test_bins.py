"""What LightGBM is given without a copy is what it would be given as numbers; bins that are shared change no trial."""

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from training.bins import FOR_ALL_SETTINGS, binned, bins, columns
from training.grow import PARAMETERS, fit, numbers
from training.model import Answers

NAMES = ["whole", "real", "rare", "code", "often"]
ANSWERS = Answers(("order",), (30,))


def moments(rows: int, seed: int) -> pd.DataFrame:
    """Whole numbers, reals with gaps, a flag too rare for most settings, a category, whole numbers with gaps."""
    chance = np.random.default_rng(seed)
    real = chance.normal(size=rows)
    frame = pd.DataFrame({
        "whole": chance.poisson(3, rows),
        "real": np.where(chance.random(rows) < 0.2, np.nan, real),
        "rare": (chance.random(rows) < 0.01).astype("int32"),
        "code": chance.integers(0, 4, rows).astype("float64"),
        "often": pd.array(np.where(chance.random(rows) < 0.3, None, chance.integers(0, 9, rows)), dtype="Int64"),
    })  # fmt: skip
    came = chance.random(rows) < 1 / (1 + np.exp(1 - real - 2 * frame["rare"] - 0.5 * (frame["code"] == 2)))
    return frame.assign(kind=came.astype("int8"), interval=(~came).astype("int8"))


LEARN, LATER = moments(4000, 1), moments(1500, 2)


def test_columns_are_the_numbers_a_model_reads_and_share_their_memory() -> None:
    table = columns(LEARN, NAMES)
    read = np.column_stack([table[name].to_numpy() for name in NAMES]).astype(np.float64)
    np.testing.assert_array_equal(read, numbers(LEARN, NAMES))
    assert np.shares_memory(table["whole"].chunk(0).to_numpy(), LEARN["whole"].to_numpy())


def test_trees_are_those_of_a_float_array() -> None:
    categories = ["code"]
    settings = {**PARAMETERS, "num_threads": 1}
    plain = lgb.Dataset(numbers(LEARN, NAMES), LEARN["kind"].to_numpy(), feature_name=NAMES,
                        categorical_feature=categories, params={"verbosity": -1})  # fmt: skip
    told = {
        lgb.train(settings, table, num_boost_round=50).model_to_string()
        for table in (plain, binned(LEARN, NAMES, categories))
    }
    assert len(told) == 1


def trees(model: lgb.Booster) -> str:
    """What a booster computes with, without the settings written after it, which tell the number of threads."""
    return str(model.model_to_string()).partition("\nparameters:")[0]


def test_the_number_of_threads_changes_no_tree() -> None:
    grown = [
        fit(LEARN, LATER, NAMES, ANSWERS, categories=["code"], parameters={"num_threads": threads})
        for threads in (1, 2, 3)
    ]
    assert len({trees(model.booster) for model in grown}) == 1
    assert len({model.hazards for model in grown}) == 1


@pytest.mark.parametrize("patience", [0, 10])
@pytest.mark.parametrize("fewest", [20, 500])
def test_bins_shared_by_a_study_grow_the_trees_of_bins_made_for_the_trial(patience: int, fewest: int) -> None:
    shared = bins(LEARN, LATER, NAMES, ["code"])
    first = {"min_data_in_leaf": 100, "num_leaves": 16, **FOR_ALL_SETTINGS}
    fit(LEARN, LATER, NAMES, ANSWERS, categories=["code"], parameters=first, rounds=20, shared=shared)
    settings = {"min_data_in_leaf": fewest, "num_leaves": 6, "bagging_fraction": 0.7, "bagging_freq": 1}
    alone, among = (
        fit(LEARN, LATER, NAMES, ANSWERS, categories=["code"], rounds=60, patience=patience, shared=table,
            parameters={**settings, **FOR_ALL_SETTINGS})
        for table in (None, shared)
    )  # fmt: skip
    assert alone.digest == among.digest
