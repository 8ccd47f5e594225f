"""Trees and line together: additive, kept in files, weighed on rows neither has seen, never far behind either of them."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from features.errors import BadModel
from tests.training.test_model import NAMES, ONE, SEVERAL, card, lives, made
from training import artefact, blend
from training.blend import calibrated_at, crossed, fit_both
from training.grow import fit, numbers
from training.hazards import Hazards
from training.line import STRENGTHS
from training.metrics import log_loss
from training.model import Answers, Model

EARLY, LATE = datetime(2024, 1, 1), datetime(2024, 7, 1)


def dated(rows: pd.DataFrame, at: datetime, who: str) -> pd.DataFrame:
    return rows.assign(as_of=at, customer_id=[f"{who}{n}" for n in range(len(rows))])


def of(rows: int, seed: int, at: datetime = EARLY) -> pd.DataFrame:
    return dated(made(rows, seed), at, f"{seed}-")


MODEL = fit_both(of(3000, 1), of(1000, 2), NAMES, ONE)
TEST = made(20_000, 3)
ROWS = numbers(TEST, NAMES)


def loss(model: Model) -> float:
    return log_loss(TEST["outcome"].to_numpy(), model.probabilities(ROWS), np.ones(len(TEST)))


def test_contributions_of_both_add_up_to_the_log_odds() -> None:
    parts = MODEL.contributions(ROWS[:500])
    np.testing.assert_allclose(parts.sum(axis=1), MODEL.leaning(ROWS[:500]), rtol=0, atol=1e-9)


def test_so_they_do_for_competing_outcomes_with_a_category() -> None:
    model = fit_both(dated(lives(6000, 1), EARLY, "a"), dated(lives(3000, 2), LATE, "b"), NAMES, SEVERAL,
                     categories=["c"])  # fmt: skip
    rows = numbers(lives(400, 3), NAMES)
    np.testing.assert_allclose(model.contributions(rows).sum(axis=1), model.leaning(rows), atol=1e-9)
    outlook = model.outlook(rows)
    assert (np.diff(outlook, axis=1) >= 0).all()
    assert (outlook.sum(axis=2) <= 1).all()


def test_both_are_no_worse_than_either() -> None:
    assert MODEL.line
    for share in (0.0, 1.0):
        alone = replace(MODEL, line=msgspec.structs.replace(MODEL.line, share=share))
        assert loss(MODEL) < loss(alone) + 0.02
    assert loss(MODEL) < loss(fit(made(3000, 1), made(1000, 2), NAMES, ONE))
    assert MODEL.line.share > 0, "the world is a line, and few teach"


def test_the_line_is_shrunk_the_more_the_more_alike_the_rows() -> None:
    """A hundred customers at forty dates tell no more than a hundred rows: what suits as many different customers is too little."""
    columns = [*NAMES, *(f"noise_{n}" for n in range(20))]
    chance = np.random.default_rng(7)

    def of_customers(customers: int, dates: int, seed: int) -> pd.DataFrame:
        rows = made(customers, seed)
        rows = rows.assign(**{f"noise_{n}": chance.normal(size=customers) for n in range(20)})
        return dated(pd.concat([rows] * dates), EARLY, "").assign(
            customer_id=[f"{seed}-{n}" for n in range(customers)] * dates
        )

    strength = {}
    for customers, dates in ((4000, 1), (100, 40)):
        model = fit_both(of_customers(customers, dates, 1), of_customers(customers, dates, 2), columns, ONE)
        assert model.line
        strength[customers] = model.line.strength
    assert strength[100] < strength[4000]


@pytest.mark.parametrize(("line_errs", "share"), [(0.2, 1.0), (1.0, 0.5), (25.0, 0.0)])
def test_of_two_as_good_half_and_half(line_errs: float, share: float) -> None:
    """Margins that err by chance, each in its own way: the better one alone only where it is far better."""
    chance = np.random.default_rng(7)
    true = chance.normal(size=20_000)
    came = (chance.random(20_000) < 1 / (1 + np.exp(-true))).astype(int)
    rows = pd.DataFrame({"kind": came, "interval": 1 - came, "customer_id": range(20_000)})
    trees, line = (true + err * chance.normal(size=20_000) for err in (1.0, line_errs))
    assert blend._weighed(trees[:, None], line[:, None], rows, ONE) == pytest.approx(share, abs=0.31)
    assert blend._shrunk(np.stack([line, trees, true])[:, :, None], rows, ONE) == 2


def test_parts_at_the_same_dates_are_crossed_and_at_others_not() -> None:
    assert crossed(of(60, 1), of(60, 2))
    assert not crossed(of(60, 1), of(60, 2, LATE))


def test_a_row_the_fit_has_seen_neither_weighs_nor_calibrates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes drawn at random: whoever weighed the trees on what they taught would find them good."""
    told: list[float] = []

    def weighed(trees: np.ndarray, _: np.ndarray, rows: pd.DataFrame, answers: Answers) -> float:
        told.append(float(np.corrcoef(trees[:, 0], rows["outcome"])[0, 1]))
        return 0.0

    def calibrated(margins: np.ndarray, kind: np.ndarray, *_: object) -> Hazards:
        told.append(float(np.corrcoef(margins[:, 0], kind)[0, 1]))
        return MODEL.hazards

    monkeypatch.setattr(blend, "_weighed", weighed)
    monkeypatch.setattr(blend, "fit_hazards", calibrated)
    chance = np.random.default_rng(7)
    rows = of(4000, 1).assign(outcome=chance.integers(0, 2, 4000))
    rows = rows.assign(kind=rows["outcome"], interval=1 - rows["outcome"])
    fit_both(rows[:3000], rows[3000:], NAMES, ONE)
    assert len(told) == len(STRENGTHS) + 2
    assert max(map(abs, told)) < 0.06


@pytest.mark.parametrize(
    ("outcomes_by_date", "calibrating"),
    [
        ([400, 400, 400, 400, 400], 3),  # three dates at least
        ([400, 100, 100, 50, 50], 4),  # as many as hold 300 outcomes
        ([400, 200, 20, 20, 20], 5),
        ([10, 10, 10, 10, 10], 5),  # all, where there are not so many
        ([400, 400], 2),
    ],
)
def test_the_latest_dates_calibrate(outcomes_by_date: list[int], calibrating: int) -> None:
    dates = [EARLY + timedelta(days=28 * n) for n in range(len(outcomes_by_date))]
    rows = pd.concat([
        pd.DataFrame({"as_of": date, "kind": [1] * came + [0] * 500, "customer_id": [str(n) for n in range(came + 500)]})
        for date, came in zip(dates, outcomes_by_date, strict=True)
    ])  # fmt: skip
    for fitted_on, calibrated_on in ((rows[::2], rows[1::2]), (rows.assign(as_of=LATE), rows)):
        assert calibrated_at(fitted_on.sample(frac=1, random_state=7), calibrated_on) == dates[-calibrating:]


def test_a_model_promises_what_customers_did_of_late() -> None:
    """All dates teach who; the latest tell how many: here outcomes become three times as likely."""
    dates = [EARLY + timedelta(days=28 * n) for n in range(6)]
    chance = np.random.default_rng(7)
    rows = pd.concat([
        dated(made(4000, 10 + n), date, f"{n}-").assign(keep=chance.random(4000) < (0.3 if n < 3 else 0.9))
        for n, date in enumerate(dates)
    ])  # fmt: skip
    happened = rows["outcome"] * rows["keep"]
    rows = rows.assign(outcome=happened, kind=happened, interval=1 - happened).drop(columns="keep")
    model = fit_both(rows[::2], rows[1::2], NAMES, ONE)
    rate = rows.groupby("as_of")["outcome"].mean()
    assert rate.iloc[0] < 0.5 * rate.iloc[-1]
    assert model.probabilities(ROWS).mean() == pytest.approx(rate.iloc[-3:].mean(), rel=0.06)


def test_only_a_column_that_is_read_changes_a_score() -> None:
    rows = of(4000, 1).assign(d=1.0)
    model = fit_both(rows[:3000], rows[3000:], [*NAMES, "d"], ONE)
    assert model.reads.tolist() == [True, True, True, False]
    read = numbers(rows[:50], [*NAMES, "d"])
    changed = read.copy()
    changed[:, 3] = 9
    assert np.array_equal(model.outlook(changed), model.outlook(read))
    assert model.line
    none = msgspec.structs.replace(model.line, share=0.0)
    assert not none.reads.any()


def test_the_same_data_give_the_same_model() -> None:
    assert fit_both(of(3000, 1), of(1000, 2), NAMES, ONE).digest == MODEL.digest


def test_the_line_is_kept_in_a_file_of_its_own_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    folder = artefact.write(MODEL, card(MODEL), artefact.golden_rows(ROWS), tmp_path / "m")
    loaded = artefact.read(folder)
    assert loaded.model.line == MODEL.line
    assert np.array_equal(loaded.model.probabilities(ROWS), MODEL.probabilities(ROWS))
    sound, chance = (folder / "line.json").read_bytes(), random.Random(7)
    for _ in range(20):
        place = chance.randrange(len(sound))
        (folder / "line.json").write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with pytest.raises(BadModel, match=r"line\.json is not what was registered"):
            artefact.read(folder)
    (folder / "line.json").unlink()
    with pytest.raises(BadModel, match=r"line\.json is missing"):
        artefact.read(folder)
