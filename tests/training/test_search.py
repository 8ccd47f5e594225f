"""A study is cut honestly, goes on after a kill as if nothing had happened, and repeats nothing."""

import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import BadData, NotTrainable
from training import search as searching
from training.grow import FIXED, PARAMETERS, fit, numbers
from training.plan import share_of
from training.search import Inner, Study, inner, search
from training.tasks import TASKS

NAMES = ["a", "b", "c"]
TASK = next(task for task in TASKS if task.name == "churn")
DATES = [datetime(2023, 1, 4) + timedelta(days=28 * n) for n in range(14)]
CHILD = """
import sys
from pathlib import Path
from tests.training.test_search import sought
sought(Path(sys.argv[1]), trials=int(sys.argv[2]))
"""


def moments(rows: int = 4200, seed: int = 1, dates: list[datetime] = DATES) -> pd.DataFrame:
    """Customers at several dates, whose silence two columns foretell."""
    chance = np.random.default_rng(seed)
    frame = pd.DataFrame(chance.normal(size=(rows, 3)), columns=NAMES)
    frame.loc[chance.random(rows) < 0.2, "b"] = np.nan
    frame["customer_id"] = np.char.add("C", chance.integers(0, rows // 3, rows).astype(str))
    frame["as_of"] = np.array(dates, dtype="datetime64[us]")[np.arange(rows) % len(dates)]
    came = chance.random(rows) < 1 / (1 + np.exp(1.5 * frame["a"] * frame["b"].fillna(1) - 0.3))
    frame["kind"] = came.astype("int8")
    frame["interval"] = np.where(came, chance.integers(0, 3, rows), 3)
    frame["outcome"] = 1 - frame["kind"]
    return frame


def sought(folder: Path, trials: int, study: str = "s", seed: int = 1, stagnant: int = 0) -> Study:
    cut = inner(TASK, moments(seed=seed), DATES)
    return search(TASK, cut, NAMES, [], trials=trials, folder=folder, study=study, stagnant=stagnant)


def told(study: Study) -> pd.DataFrame:
    return study.trials.drop(columns="seconds")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Twelve trials in one go: past those drawn at large."""
    return sought(tmp_path_factory.mktemp("whole"), trials=12)


def test_no_window_and_no_customer_reaches_from_one_inner_part_into_another() -> None:
    found = inner(TASK, moments(), DATES)
    parts = [found.learn, found.calibrate, found.judge]
    people = [set(part["customer_id"]) for part in parts]
    assert not people[0] & people[1]
    assert not people[0] & people[2]
    assert not people[1] & people[2]
    assert (parts[0]["as_of"] + TASK.window).max() <= min(part["as_of"].min() for part in parts[1:])
    assert found.cut.startswith("in time")


def test_where_the_fit_spans_no_window_customers_alone_are_kept_apart_and_the_cut_says_so() -> None:
    found = inner(TASK, moments(dates=DATES[:2]), DATES[:2])
    assert "same dates" in found.cut
    assert not set(found.learn["customer_id"]) & set(found.judge["customer_id"])
    with pytest.raises(NotTrainable, match="search's"):
        inner(TASK, moments(rows=150, dates=DATES[:2]), DATES[:2])


def test_of_very_many_moments_whole_customers_teach_and_the_others_are_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    all_of_them = inner(TASK, moments(), DATES)
    monkeypatch.setattr(searching, "MOST_LEARNING", 200)
    fewer = inner(TASK, moments(), DATES)
    assert 150 < len(fewer.learn) < 250 < len(all_of_them.learn)
    people = set(fewer.learn["customer_id"])
    whole = all_of_them.learn[all_of_them.learn["customer_id"].isin(people)]
    pd.testing.assert_frame_equal(fewer.learn, whole)
    pd.testing.assert_frame_equal(fewer.judge, all_of_them.judge)
    pd.testing.assert_frame_equal(fewer.calibrate, all_of_them.calibrate)


def test_the_inner_cut_has_nothing_to_do_with_the_outer() -> None:
    people = [f"C{n}" for n in range(4000)]
    outer, own = (np.array([share_of(f"{mark}{p}") for p in people]) for mark in ("", "search "))
    assert abs(np.corrcoef(outer, own)[0, 1]) < 0.05


def test_trial_nought_is_the_small_fixed_model(whole: Study) -> None:
    cut = inner(TASK, moments(), DATES)
    model = fit(cut.learn, cut.calibrate, NAMES, TASK.answers)
    judged = model.hazards.losses(
        model.margins(numbers(cut.judge, NAMES)),
        cut.judge["kind"].to_numpy(),
        cut.judge["interval"].to_numpy(),
    )
    first = whole.trials.iloc[0]
    assert first["log_loss"] == judged.mean()
    assert first["rounds"] == FIXED.rounds
    assert {n: first[n] for n in searching.SPACE if n in PARAMETERS} == {
        n: PARAMETERS[n] for n in searching.SPACE if n in PARAMETERS
    }
    assert whole.improved, "a product of two columns wants deeper trees"
    assert whole.best.told()["rounds"] == whole.trials.nsmallest(1, "log_loss")["rounds"].item()
    assert whole.trials["best_so_far"].is_monotonic_decreasing


def test_a_study_in_pieces_equals_one_in_a_piece(whole: Study, tmp_path: Path) -> None:
    for trials in (1, 5, 9, 12):
        part = sought(tmp_path, trials)
    assert part.added == 3
    pd.testing.assert_frame_equal(told(part), told(whole))
    again = sought(tmp_path, 12)
    assert again.added == 0
    assert again.best == whole.best


def test_a_study_ends_when_it_stagnates_wherever_it_was_interrupted(whole: Study, tmp_path: Path) -> None:
    """It stops as many trials after its best as allowed, and a call that goes on with it adds none."""
    losses = whole.trials["log_loss"].tolist()
    ends = next(n for n in range(1, 12) if n - losses.index(min(losses[: n + 1])) >= 3) + 1
    sought(tmp_path, 2, stagnant=3)
    ended = sought(tmp_path, 12, stagnant=3)
    assert len(ended.trials) == ends < 12
    pd.testing.assert_frame_equal(told(ended), told(whole).head(ends))
    assert sought(tmp_path, 12, stagnant=3).added == 0
    assert sought(tmp_path, ends + 1).added == 1, "without the limit it goes on"


def test_progress_says_how_much_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("features.progress.SECONDS_BETWEEN_LINES", 0)
    sought(tmp_path, 2)
    assert re.search(r"trials of s: 1 of 2, .*/s, .* s left", capsys.readouterr().err)


def test_killed_in_the_middle_of_a_trial_and_of_a_line_it_goes_on_and_repeats_nothing(
    whole: Study, tmp_path: Path
) -> None:
    """A process is killed with -9 while it searches; the last line is cut short, the journal's own lock left behind."""
    here = Path(__file__).parents[2]
    journal = tmp_path / "s.journal"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), "500"], env={**os.environ, "PYTHONPATH": str(here)},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (journal.exists() and journal.read_text().count('"values"') >= 6) and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(BadData, match="another process"):
        sought(tmp_path, 12)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with journal.open("a") as file:
        file.write('{"op_code":4,"worker')
    Path(f"{journal}.lock").unlink(missing_ok=True)
    Path(f"{journal}.lock").symlink_to(journal)
    kept = sought(tmp_path, 1)
    resumed = sought(tmp_path, 12)
    assert kept.added == 0
    assert 1 < len(kept.trials) < 12
    assert resumed.added == 12 - len(kept.trials)
    pd.testing.assert_frame_equal(told(resumed), told(whole))
    with searching._opened(tmp_path, "s", _mark_of(moments())) as opened:
        assert not [trial for trial in opened.trials if not trial.state.is_finished()], (
            "nothing runs for ever"
        )


def _mark_of(rows: pd.DataFrame) -> str:
    return searching.mark_of(TASK, inner(TASK, rows, DATES), NAMES, [])


def test_other_rows_are_another_study(tmp_path: Path) -> None:
    sought(tmp_path, 1)
    with pytest.raises(BadData, match="other rows"):
        sought(tmp_path, 2, seed=2)
    names = {sought(tmp_path, 1, study="", seed=seed).name for seed in (1, 2, 2)}
    assert len(names) == 2


def test_a_damaged_journal_is_named_and_left_alone(tmp_path: Path) -> None:
    sought(tmp_path, 1)
    journal = tmp_path / "s.journal"
    journal.write_text("{\n" + journal.read_text())
    damaged = journal.read_bytes()
    with pytest.raises(BadData, match="not a whole study"):
        sought(tmp_path, 2)
    assert journal.read_bytes() == damaged


def test_trials_that_cannot_be_calibrated_are_counted_and_not_repeated(tmp_path: Path) -> None:
    cut = inner(TASK, moments(), DATES)
    turned = cut.calibrate.assign(kind=1 - cut.calibrate["kind"], interval=3 * cut.calibrate["kind"])
    contrary = Inner(cut.learn, turned, cut.judge, cut.cut)
    with pytest.raises(NotTrainable, match="no trial"):
        search(TASK, contrary, NAMES, [], trials=2, folder=tmp_path, study="t")
    assert (tmp_path / "t.journal").read_text().count('"state":2') == 2
