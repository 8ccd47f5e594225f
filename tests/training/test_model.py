"""The model and its files: calibrated, additive, reproducible, and refused when a byte is not as written."""

import json
import random
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import BadModel, NotTrainable
from training import artefact
from training.card import Card, GradeCuts, grade_cuts
from training.metrics import ece
from training.model import Answers, Model, fit, numbers

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
