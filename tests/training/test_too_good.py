"""Too good to be true: what carries a figure beyond belief is accused, and an easy outcome is not."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from features.feature import Feature
from training.comparison import compare
from training.dataset import Dataset, Parts
from training.grow import fit, numbers
from training.metrics import auc
from training.model import Answers
from training.too_good import Doubt, doubted, too_good

N = 6_000
ANSWERS = Answers(("order",), (90,))


def feature(name: str, concept: str) -> Feature:
    return Feature(name, lambda past: past.orders.count(), "", 0, concept, name, name)


def history(seed: int, leak: float = 0.0, honest: float = 1.0) -> tuple[Dataset, Parts]:
    """Two honest columns, each with a twin of another kind, and `began` and `ends`: alone they tell little, their difference is when a
    contract ended, known to those who filled it in afterwards."""
    generator = np.random.default_rng(seed)
    habit, mood = generator.normal(size=(2, N))
    outcome = (honest * (habit + mood) + generator.logistic(size=N) > 1).astype(int)
    began = generator.normal(0, 4, N)
    frame = pd.DataFrame({
        "customer_id": [f"c{n:05d}" for n in range(N)], "as_of": datetime(2024, 1, 1), "outcome": outcome, "kind": outcome,
        "interval": 1 - outcome, "habit": habit, "habit_again": habit + generator.normal(0, 0.3, N), "mood": mood,
        "mood_again": mood + generator.normal(0, 0.3, N), "began": began,
        "ends": began + leak * outcome + generator.normal(0, 0.5, N),
    })  # fmt: skip
    features = [feature(n, n) for n in ("habit", "habit_again", "mood", "mood_again", "began", "ends")]
    parts = Parts(frame[: N // 2], frame[N // 2 : 2 * N // 3], frame[2 * N // 3 :], {})
    return Dataset(frame, tuple(features), pd.DataFrame(), ""), parts


def hunted(data: Dataset, parts: Parts, rule: np.ndarray | None = None) -> tuple[Doubt, list[str]]:
    model = fit(parts.fit, parts.calibrate, data.names, ANSWERS)
    promised = model.probabilities(numbers(parts.test, data.names))
    rule = parts.test["habit"].to_numpy() if rule is None else rule
    doubt = doubted(compare("t", parts.test, {"model": promised}, {"rule": rule}, replicates=50), ["rule"])
    hunt = too_good(doubt, data, parts, ANSWERS)
    assert hunt.name == "too good to be true"
    assert hunt.columns == 6
    return doubt, [one.column for one in hunt.accused]


@pytest.mark.parametrize("seed", range(3))
def test_an_honest_model_is_believed(seed: int) -> None:
    doubt, accused = hunted(*history(seed))
    assert doubt.words == ""
    assert accused == []


@pytest.mark.parametrize("seed", range(3))
def test_a_leak_that_no_column_shows_alone_is_accused(seed: int) -> None:
    data, parts = history(seed, leak=3.0)
    outcome = parts.test["outcome"].to_numpy(dtype=float)
    for column in ("began", "ends"):
        assert auc(outcome, parts.test[column].to_numpy(), np.ones(len(outcome))) < 0.75
    doubt, accused = hunted(data, parts)
    assert doubt.model > 0.9
    assert "above 0.90" in doubt.words
    assert accused in (["ends"], ["began"]), "one of the two takes the other with it"


def test_an_outcome_that_a_rule_foretells_as_well_is_easy_and_no_leak() -> None:
    data, parts = history(1, honest=6.0)
    rule = (parts.test["habit"] + parts.test["mood"]).to_numpy()
    doubt, accused = hunted(data, parts, rule)
    assert doubt.model > 0.9
    assert doubt.words == ""
    assert accused == []


def test_a_figure_that_no_group_explains_accuses_all() -> None:
    """Twins for both: whichever is taken away, another carries on; nobody knows why it is so easy."""
    data, parts = history(2, honest=8.0)
    doubt, accused = hunted(data, parts, np.zeros(len(parts.test)))
    assert doubt.high
    assert accused, "somebody has to say why, with --force"


def test_far_above_poor_rules_sets_off_the_hunt_below_ninety() -> None:
    assert Doubt(0.88, 0.87, 0.57).words.startswith("ROC AUC 0.880 is too good to be true: 3 times")
    assert Doubt(0.82, 0.79, 0.57).words == "", "beyond chance"
    assert Doubt(0.85, 0.84, 0.72).words == ""
    assert Doubt(0.81, 0.80, 0.50).words == ""
