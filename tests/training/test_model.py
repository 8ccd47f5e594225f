"""The model and its files: calibrated, additive, reproducible, and refused when a byte is not as written."""

import json
import random
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from features.errors import BadModel, NotTrainable
from training import artefact
from training.card import Card, GradeCuts, grade_cuts
from training.grow import fit, numbers
from training.metrics import ece
from training.model import Answers, Model

NAMES = ["a", "b", "c"]
DAY = datetime(2024, 1, 1)


def made(rows: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(rows, 3)), columns=NAMES)
    frame.loc[generator.random(rows) < 0.2, "b"] = np.nan
    log_odds = 1.5 * frame["a"] - frame["b"].fillna(1) - 1
    frame["outcome"] = (generator.random(rows) < 1 / (1 + np.exp(-log_odds))).astype("int8")
    frame["kind"], frame["interval"] = frame["outcome"], 1 - frame["outcome"]
    return frame


ONE = Answers(("order",), (1,))
MODEL = fit(made(8000, 1), made(3000, 2), NAMES, ONE)
FRESH = made(20_000, 3)
ROWS = numbers(FRESH, NAMES)


def card(model: Model = MODEL) -> Card:
    return Card(
        task="t", question="?", cohort="has ordered", purpose="marketing", kinds=("order",), wanted=("order",), silence=False,
        horizons_days=(1,), gap_days=0, levels={}, hazards=model.hazards, outlook=[],
        features=dict.fromkeys(model.names, "0" * 12),
        fit_at=[DAY], calibrate_at=[DAY], test_at=[DAY], trained_through=DAY, cut="in time", rows_fit=1, rows_test=1,
        outcomes_test=1, base_rate=0.5, grades=GradeCuts(0.6, 0.3, DAY, 3),
        figures={"model": {"auc": (0.8, 0.7, 0.9)}, "recency": {"auc": (0.7, 0.6, 0.8)}}, beaten=[], rules=["recency"],
        rule_sentences={}, data_digest="d", code_revision="r", packages={}, made_at=DAY,
    )  # fmt: skip


def written(folder: Path) -> Path:
    return artefact.write(MODEL, card(), artefact.golden_rows(ROWS), folder)


def test_probabilities_mean_what_they_say() -> None:
    probabilities = MODEL.probabilities(ROWS)
    assert ece(FRESH["outcome"].to_numpy(), probabilities, np.ones(len(FRESH))) < 0.02


def test_contributions_add_up_to_the_log_odds() -> None:
    parts = MODEL.contributions(ROWS[:500])
    assert parts.shape == (500, 4)
    np.testing.assert_allclose(parts.sum(axis=1), MODEL.leaning(ROWS[:500]), rtol=0, atol=1e-9)


def test_a_row_scores_the_same_bits_alone_in_a_block_and_among_all() -> None:
    together = MODEL.probabilities(ROWS)
    alone = np.array([MODEL.probabilities(ROWS[n : n + 1])[0] for n in range(300)])
    blocks = np.concatenate([MODEL.probabilities(ROWS[n : n + 777]) for n in range(0, len(ROWS), 777)])
    assert np.array_equal(together[:300], alone)
    assert np.array_equal(together, blocks)


def test_the_same_data_give_the_same_model() -> None:
    again = fit(made(8000, 1), made(3000, 2), NAMES, ONE)
    assert again.booster.model_to_string() == MODEL.booster.model_to_string()
    assert again.hazards == MODEL.hazards


def test_features_that_say_nothing_are_refused() -> None:
    constant = made(500, 1).assign(a=1.0, b=np.nan, c=7.0)
    with pytest.raises(NotTrainable, match="no feature tells customers apart"):
        fit(constant, constant, NAMES, ONE)


def test_a_calibration_part_that_contradicts_the_fit_is_refused() -> None:
    turned = made(3000, 2)
    turned["kind"], turned["interval"] = turned["interval"], turned["kind"]
    with pytest.raises(NotTrainable, match="do not belong together"):
        fit(made(8000, 1), turned, NAMES, ONE)


def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path) -> None:
    loaded = artefact.read(written(tmp_path / "m"))
    assert np.array_equal(loaded.model.probabilities(ROWS), MODEL.probabilities(ROWS))
    assert loaded.card == card()
    loaded.self_test()


def test_files_are_text_and_json_only(tmp_path: Path) -> None:
    folder = written(tmp_path / "m")
    assert sorted(file.name for file in folder.iterdir()) == [
        "MANIFEST.json",
        "booster.txt",
        "card.json",
        "golden.json",
    ]
    for file in folder.iterdir():
        file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["booster.txt", "card.json", "golden.json"])
def test_every_altered_or_shortened_file_is_refused_before_it_is_parsed(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "m")
    sound = (folder / name).read_bytes()
    chance = random.Random(7)
    for _ in range(40):
        place = chance.randrange(len(sound))
        for broken in (sound[:place], sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :]):
            (folder / name).write_bytes(broken)
            with pytest.raises(BadModel, match=f"{name} is not what was registered"):
                artefact.read(folder)
    (folder / name).unlink()
    with pytest.raises(BadModel, match=f"{name} is missing"):
        artefact.read(folder)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="not a model of ours"):
        artefact.read(tmp_path)
    (tmp_path / "MANIFEST.json").write_text("[1, 2]")
    with pytest.raises(BadModel, match="not a model of ours"):
        artefact.read(tmp_path)


def test_a_machine_that_scores_otherwise_is_noticed(tmp_path: Path) -> None:
    folder = written(tmp_path / "m")
    cases = json.loads((folder / "golden.json").read_text())
    cases["probabilities"][2][0][0] += 1e-12
    (folder / "golden.json").write_text(json.dumps(cases))
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    manifest["golden.json"] = artefact.sha256_of(folder / "golden.json")
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    with pytest.raises(BadModel, match="golden predictions"):
        artefact.read(folder)


def test_grades_are_terciles() -> None:
    cuts = grade_cuts([n / 300 for n in range(300)], DAY)
    grades = [cuts.grade(n / 300) for n in range(300)]
    assert [grades.count(grade) for grade in "ABC"] == [100, 100, 100]
    assert cuts.grade(1.0) == "A"


def test_a_card_names_the_rules_it_does_not_beat() -> None:
    assert card().unbeaten == []
    assert "0.800 (0.700-0.900)" in str(card())


SEVERAL = Answers(("a car more", "another car", "gone"), (180, 365), wanted=(0, 1))


def lives(rows: int, seed: int) -> pd.DataFrame:
    """Three competing outcomes over two intervals, each driven by another column; `c` is a category of four."""
    chance = np.random.default_rng(seed)
    frame = pd.DataFrame(chance.normal(size=(rows, 2)), columns=["a", "b"])
    frame["c"] = chance.integers(0, 4, rows).astype(float)
    frame.loc[chance.random(rows) < 0.2, "c"] = np.nan
    log_odds = np.c_[frame["a"] - 3, frame["b"] - 2.5, 1.2 * (frame["c"] == 2) - 3]
    frame["kind"], frame["interval"] = 0, 2
    for k in range(2):
        odds = np.exp(log_odds)
        shares = np.cumsum(np.c_[odds, np.ones(rows)] / (1 + odds.sum(axis=1, keepdims=True)), axis=1)
        now = (chance.random(rows)[:, None] > shares).sum(axis=1)
        falls = (frame["interval"] == 2) & (now < 3)
        frame.loc[falls, "kind"], frame.loc[falls, "interval"] = now[falls] + 1, k
    return frame


MANY = fit(lives(12_000, 1), lives(6_000, 2), NAMES, SEVERAL, categories=["c"])
SEEN = lives(20_000, 3)


def test_one_booster_gives_every_outcome_and_horizon_calibrated_and_coherent() -> None:
    outlook = MANY.outlook(numbers(SEEN, NAMES))
    assert outlook.shape == (20_000, 2, 3)
    assert (np.diff(outlook, axis=1) >= 0).all()
    assert (outlook.sum(axis=2) <= 1).all()
    for k in range(2):
        for m in range(3):
            came = ((SEEN["interval"] <= k) & (SEEN["kind"] == m + 1)).to_numpy().astype(float)
            assert ece(came, outlook[:, k, m], np.ones(len(SEEN))) < 0.015
    assert np.array_equal(MANY.probabilities(numbers(SEEN, NAMES)), outlook[:, -1, 0] + outlook[:, -1, 1])


def test_reasons_of_competing_outcomes_add_up_and_follow_what_is_wanted() -> None:
    rows = numbers(SEEN, NAMES)[:400]
    parts = MANY.contributions(rows)
    np.testing.assert_allclose(parts.sum(axis=1), MANY.leaning(rows), atol=1e-9)
    weight = np.abs(parts[:, :-1]).mean(axis=0)
    assert weight[2] < weight[0], "what makes a customer leave is no reason to buy"


def test_a_silence_is_the_other_side_of_the_same_model(tmp_path: Path) -> None:
    silent = replace(MODEL, answers=Answers(("silence",), (1,), silence=True))
    assert np.array_equal(silent.outlook(ROWS), 1 - MODEL.outlook(ROWS))
    np.testing.assert_array_equal(silent.contributions(ROWS[:50]), -MODEL.contributions(ROWS[:50]))
    np.testing.assert_allclose(
        silent.contributions(ROWS[:50]).sum(axis=1), silent.leaning(ROWS[:50]), atol=1e-9
    )


def test_competing_outcomes_survive_their_files(tmp_path: Path) -> None:
    several = msgspec.structs.replace(
        card(MANY), kinds=SEVERAL.kinds, wanted=SEVERAL.kinds[:2], horizons_days=SEVERAL.horizons_days,
        levels={"c": ("w", "x", "y", "z")},
    )  # fmt: skip
    rows = numbers(SEEN, NAMES)
    loaded = artefact.read(artefact.write(MANY, several, artefact.golden_rows(rows), tmp_path / "m"))
    assert np.array_equal(loaded.model.outlook(rows), MANY.outlook(rows))
    assert loaded.expected.shape == (6, 2, 3)
