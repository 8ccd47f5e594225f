"""The true probabilities: what they say happens as often as they say, and they obey the laws of probability."""

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.worlds.conftest import CLEAN
from worlds.carmaker.diary import SNAPSHOT_EVERY
from worlds.carmaker.life import at_start, live
from worlds.carmaker.oracle import QUESTIONS, RULES, compare
from worlds.carmaker.tasks import labelled, open_world
from worlds.carmaker.traits import draw_traits
from worlds.carmaker.truth import probabilities, state_at
from worlds.carmaker.world import BURN_IN, World
from worlds.carmaker.write import write_world

WORDS = ("additional", "replacement", "defection")


def week(number: int) -> date:
    return CLEAN.start + timedelta(days=7 * number)


def judged(folder: Path, task: str, days: int, weeks: tuple[int, ...]) -> pd.DataFrame:
    """Cohort members at some weeks with their outcome and its true probability, one row per moment and outcome."""
    base = open_world(folder)
    cohorts = pd.concat([labelled(base, task, week(w), days) for w in weeks], ignore_index=True)
    truth = probabilities(folder, cohorts, task, days)
    if task != "repurchase":
        return pd.DataFrame({"said": truth["probability"], "happened": cohorts["outcome"]})
    return pd.concat(
        [pd.DataFrame({"said": truth[word], "happened": cohorts["outcome"] == word}) for word in WORDS]
    )


def assert_calibrated(frame: pd.DataFrame) -> None:
    """In every tenth of the moments as many outcomes as said, within four standard deviations."""
    tenths = frame.assign(tenth=pd.qcut(frame["said"].rank(method="first"), 10, labels=False)).groupby(
        "tenth"
    )
    for tenth, group in tenths:
        expected, spread = group["said"].sum(), np.sqrt((group["said"] * (1 - group["said"])).sum())
        assert abs(group["happened"].sum() - expected) <= 4 * spread + 1, (
            f"tenth {tenth}: {group['happened'].sum()} of {expected:.1f}"
        )


@pytest.mark.parametrize(("task", "days", "weeks"), [
    ("purchase_intent", 90, (40, 66, 92)),
    ("purchase_intent", 30, (40, 66)),
    ("churn", 180, (40,)),
    ("churn", 90, (79,)),
    ("repurchase", 365, (79,)),
    ("repurchase", 180, (40,)),
    ("upgrade", 365, (20,)),
])  # fmt: skip
def test_outcomes_happen_as_often_as_the_truth_says_in_every_tenth(
    clean: Path, task: str, days: int, weeks: tuple[int, ...]
) -> None:
    assert_calibrated(judged(clean, task, days, weeks))


def test_moments_within_a_week_are_calibrated_too(clean: Path) -> None:
    base, day = open_world(clean), week(60) + timedelta(days=4)
    cohort = labelled(base, "churn", day, 90)
    truth = probabilities(clean, cohort, "churn", 90)["probability"]
    assert truth.mean() == pytest.approx(cohort["outcome"].mean(), abs=0.02)


def test_probability_never_falls_with_the_horizon_and_silence_never_gets_likelier(clean: Path) -> None:
    moments = labelled(open_world(clean), "upgrade", week(60), 30).head(300)
    for task, sign in (("purchase_intent", 1), ("upgrade", 1), ("churn", -1)):
        steps = [
            probabilities(clean, moments, task, days)["probability"].to_numpy()
            for days in (1, 30, 60, 90, 180)
        ]
        assert all((sign * (b - a) >= -1e-12).all() for a, b in pairwise(steps)), task


def test_competing_outcomes_sum_to_at_most_one(clean: Path) -> None:
    moments = labelled(open_world(clean), "repurchase", week(60), 365)
    total = probabilities(clean, moments, "repurchase", 1_500, paths=2)[list(WORDS)].sum(axis=1)
    assert total.between(0, 1).all()
    assert total.max() > 0.9


def test_more_paths_say_the_same(clean: Path) -> None:
    moments = labelled(open_world(clean), "churn", week(60), 180).head(400)
    few, many = (probabilities(clean, moments, "churn", 180, paths=n)["probability"] for n in (64, 400))
    assert np.corrcoef(few, many)[0, 1] > 0.99
    assert few.mean() == pytest.approx(many.mean(), abs=0.01)


def test_order_and_index_of_the_moments_are_irrelevant(clean: Path) -> None:
    moments = labelled(open_world(clean), "churn", week(60), 90)
    mixed = moments.sample(frac=1, random_state=1)
    plain, again = (probabilities(clean, m, "churn", 90) for m in (moments, mixed))
    assert again.index.equals(mixed.index)
    assert np.corrcoef(plain["probability"], again["probability"].sort_index())[0, 1] > 0.98


def test_a_stored_state_lived_on_is_the_state_of_the_unbroken_life(clean: Path) -> None:
    target = 2 * SNAPSHOT_EVERY + 5
    traits = draw_traits(CLEAN, 1)
    state = at_start(CLEAN, 1, traits)
    for _ in live(CLEAN, 1, traits, state, range(-BURN_IN, target)):
        pass
    _, resumed = state_at(clean, 1, target)
    for name, values in state.columns().items():
        np.testing.assert_array_equal(resumed.columns()[name], values, err_msg=name)


def test_a_second_identity_has_no_truth(messy: Path) -> None:
    moments = pd.DataFrame({"customer_id": ["C00000001", "C00010001"], "as_of": [week(60)] * 2})
    assert probabilities(messy, moments, "churn", 90)["probability"].isna().tolist() == [False, True]


@pytest.mark.parametrize(("task", "days", "day", "hint"), [
    ("divorce", 90, week(60), "purchase_intent"),
    ("churn", 0, week(60), "at least 1"),
    ("churn", 90, date(2031, 1, 1), "outside the history"),
])  # fmt: skip
def test_questions_without_an_answer_are_refused(
    clean: Path, task: str, days: int, day: date, hint: str
) -> None:
    with pytest.raises(ValueError, match=hint):
        probabilities(clean, pd.DataFrame({"customer_id": ["C00000001"], "as_of": [day]}), task, days)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("carmaker") / "large"
    write_world(World(customers=40_000, seed=11), folder, threads=2)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_oracle_is_good_not_perfect_the_rules_have_skill_and_a_linear_model_beats_them(
    large: Path,
) -> None:
    rows = {row["question"]: row for row in compare(large)}
    assert len(rows) == len(QUESTIONS)
    for name, row in rows.items():
        models = (row["linear"], row["LightGBM"])
        assert 0.78 <= row["oracle"] <= 0.93, name
        assert max(row[rule] for rule in RULES) < row["linear"] + 0.01, name
        assert max(models) < row["oracle"] + 0.005, name
    assert rows["churn 180 d"]["recency"] > 0.7
    assert rows["churn 180 d"]["silent_7d"] > 0.55
    assert rows["churn 180 d"]["rfm"] > 0.7
    assert rows["purchase_intent 90 d"]["test_drive_30d"] > 0.53
    assert rows["repurchase 365 d: replacement"]["age_of_car"] > 0.6
    for name in ("purchase_intent 90 d", "churn 180 d", "repurchase 365 d: replacement"):
        assert 0.80 <= rows[name]["oracle"] <= 0.92, name
