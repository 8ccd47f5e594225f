"""New champions without a restart; and on any doubt, what served goes on."""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.errors import BadModel, NoChampion
from features.nightly import NightlyRows, Work
from features.pointer import point
from serving import champions
from serving.champions import Follower, Watch, tried, verified
from serving.scorer import Scorer
from training import copies as on_disk
from training import registry
from training.copies import CHAMPION, Copy, copies, copy_of, models_folder

Spoil = Callable[[Path], None]
RUN = subprocess.run


class Desk:
    """What a watch needs of a desk: the mapping, and that it is told of a new one."""

    def __init__(self, scorers: dict[str, Scorer]) -> None:
        self.scorers, self.refreshed = scorers, 0

    def refresh(self) -> None:
        self.refreshed += 1


@pytest.fixture
def shelf(shop: Path) -> Path:
    """The shop's copies of models, in a folder of their own."""
    shutil.copytree(shop / "var/models", "var/models")
    return models_folder()


def watch_of(scorers: dict[str, Scorer], trial: Callable[[Copy], None] = lambda _: None) -> Watch:
    feature_rows = {name: mark for s in scorers.values() for name, mark in s.card.features.items()}
    rows = NightlyRows(datetime(2024, 6, 19), feature_rows, [], [], pa.schema([]), Work(""))
    return Watch(Desk(scorers), lambda: rows, trial)


def promoted(shelf: Path, version: str, spoil: Spoil = lambda _: None, task: str = "churn") -> Path:
    """The champion's files under another name and version, spoiled, and the pointer on them."""
    old = next(folder for folder in sorted((shelf / task).glob("m-*")) if len(folder.name) > len("m-123"))
    new = shelf / task / f"m-{version}"
    shutil.copytree(old, new)
    spoil(new)
    point(shelf / task, f"{version} {new.name}", CHAMPION)
    return new


def test_a_promotion_is_taken_up_and_a_roll_back_too(shelf: Path) -> None:
    watch = watch_of(verified())
    desk, first = watch.desk, copy_of("churn")
    before = desk.scorers
    assert watch.look() == {}
    assert desk.scorers is before
    promoted(shelf, "2")
    assert watch.look() == {}
    assert desk.scorers["churn"].version == "2"
    assert before["churn"].version == "1", "a request under way keeps the mapping it began with"
    assert desk.scorers["purchase_intent"] is before["purchase_intent"]
    assert desk.refreshed == 1
    on_disk.remember(first.version, first.folder)
    assert watch.look() == {}
    assert desk.scorers["churn"].version == "1"


def truncated(folder: Path) -> None:
    (folder / "booster.txt").write_bytes((folder / "booster.txt").read_bytes()[:-1_000])


def flipped(folder: Path) -> None:
    data = bytearray((folder / "booster.txt").read_bytes())
    data[random.Random(5).randrange(len(data))] ^= 1
    (folder / "booster.txt").write_bytes(data)


def sealed_again(spoil: Spoil) -> Spoil:
    """Spoiled by someone who can also write hashes."""

    def both(folder: Path) -> None:
        spoil(folder)
        hashes = json.loads((folder / "MANIFEST.json").read_text())
        (folder / "MANIFEST.json").write_text(
            json.dumps({name: champions_digest(folder / name) for name in hashes})
        )

    return both


def champions_digest(file: Path) -> str:
    from features.digest import sha256_of  # noqa: PLC0415

    return sha256_of(file)


def emptied(folder: Path) -> None:
    (folder / "booster.txt").write_bytes(b"")


def of_another_form(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    del card["features"]
    (folder / "card.json").write_text(json.dumps(card))


def leaf_changed(folder: Path) -> None:
    """One digit of one leaf: the loader takes it, and scores wrongly without a word."""
    text = (folder / "booster.txt").read_text()
    place = text.index(".", text.index("leaf_value=")) + 1
    other = "7" if text[place] != "7" else "2"
    (folder / "booster.txt").write_text(text[:place] + other + text[place + 1 :])


def leaf_longer(folder: Path) -> None:
    """The loader reads past its end: the process dies."""
    text = (folder / "booster.txt").read_text()
    place = text.index("leaf_value=") + len("leaf_value=")
    (folder / "booster.txt").write_text(text[:place] + "9.75" + text[text.index(" ", place) :])


def feature_moved(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["features"][next(iter(card["features"]))] = "0" * 12
    (folder / "card.json").write_text(json.dumps(card))


SPOILED = {
    "truncated": (truncated, "SHA-256"),
    "a bit flipped": (flipped, "SHA-256"),
    "empty": (emptied, "SHA-256"),
    "a file gone": (lambda folder: (folder / "golden.json").unlink(), "missing"),
    "no manifest": (lambda folder: (folder / "MANIFEST.json").unlink(), "MANIFEST"),
    "manifest of rubbish": (lambda folder: (folder / "MANIFEST.json").write_bytes(b"\xff{"), "MANIFEST"),
    "the folder gone": (shutil.rmtree, "MANIFEST"),
    "another card": (sealed_again(of_another_form), "another form"),
    "other leaves": (sealed_again(leaf_changed), "golden predictions"),
    "another feature": (sealed_again(feature_moved), "trained on"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_champion_is_refused_with_the_reason_and_the_one_before_goes_on(
    shelf: Path, name: str
) -> None:
    spoil, reason = SPOILED[name]
    watch = watch_of(verified())
    before = watch.desk.scorers
    promoted(shelf, "2", spoil)
    assert reason in watch.look()["churn"]
    assert watch.desk.scorers is before
    assert watch.look() == {}, "the same copy is not tried again"
    watch.desk.scorers["churn"].loaded.self_test()
    promoted(shelf, "3")
    assert watch.look() == {}
    assert watch.desk.scorers["churn"].version == "3"


def test_a_hundred_damaged_models_never_reach_the_native_loader(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lightgbm  # noqa: PLC0415

    whole = (copy_of("churn").folder / "booster.txt").read_bytes()
    folder = promoted(shelf, "2")
    reached: list[int] = []
    monkeypatch.setattr(lightgbm, "Booster", lambda **_: reached.append(1))
    generator = random.Random(11)
    for n in range(100):
        data = bytearray(whole[: generator.randrange(len(whole))] if n % 2 else whole)
        if n % 2 == 0:
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        (folder / "booster.txt").write_bytes(data)
        with pytest.raises(BadModel, match="SHA-256"):
            copy_of("churn").read()
    assert not reached


@pytest.mark.parametrize("pointer", ["", "2", "2 ../../etc", "2 m-nowhere", "\x00 \x00"])
def test_a_pointer_to_nothing_changes_nothing(shelf: Path, pointer: str) -> None:
    watch = watch_of(verified())
    before = watch.desk.scorers
    point(shelf / "churn", pointer, CHAMPION)
    assert watch.look()
    assert watch.desk.scorers is before


def test_a_trial_that_crashes_or_hangs_is_refused(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = copy_of("churn")

    def starting(code: str) -> None:
        def run(_: Any, **options: Any) -> Any:
            return RUN([sys.executable, "-c", code], **options)

        monkeypatch.setattr(champions.subprocess, "run", run)

    starting("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(BadModel, match="ended by signal 11"):
        tried(copy)
    starting("import time; time.sleep(60)")
    begun = time.monotonic()
    with pytest.raises(BadModel, match="not loaded within 1 seconds"):
        tried(copy, 1.0)
    assert time.monotonic() - begun < 10
    starting("import sys; sys.exit('the words it ends with')")
    with pytest.raises(BadModel, match="the words it ends with"):
        tried(copy)


@pytest.mark.slow
def test_the_trial_is_another_process_that_really_loads(shelf: Path) -> None:
    tried(copy_of("churn"))
    promoted(shelf, "2", sealed_again(leaf_changed))
    with pytest.raises(BadModel, match="golden predictions"):
        tried(copy_of("churn"))
    promoted(shelf, "3", sealed_again(leaf_longer))
    with pytest.raises(BadModel, match=r"churn version 3 cannot be loaded"):
        tried(copy_of("churn"))


def test_requests_go_on_while_champions_come_and_go(shelf: Path) -> None:
    """Whoever takes the mapping once sees one version throughout, and never a task without a scorer."""
    watch = watch_of(verified())
    first = copy_of("churn")
    second = Copy("churn", "2", promoted(shelf, "2"))
    end, seen = threading.Event(), set()

    def ask() -> None:
        while not end.is_set():
            taken = watch.desk.scorers
            seen.add((taken["churn"].version, len(taken)))

    asking = threading.Thread(target=ask)
    asking.start()
    for copy in [second, first] * 3:
        on_disk.remember(copy.version, copy.folder)
        assert watch.look() == {}
    end.set()
    asking.join()
    assert seen == {("1", 2), ("2", 2)}


def test_the_start_takes_the_copies_and_asks_nobody(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(champions.subprocess, "run", lambda *_, **__: pytest.fail("nobody is to be asked"))
    assert {task: scorer.version for task, scorer in verified().items()} == {
        "churn": "1",
        "purchase_intent": "1",
    }


def test_a_damaged_copy_is_left_out_at_the_start_when_it_cannot_be_fetched(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(champions.subprocess, "run", lambda command, **_: asked.append(command))
    truncated(copy_of("churn").folder)
    assert list(verified()) == ["purchase_intent"]
    assert asked[0][-1] == "serving.champions"
    truncated(copy_of("purchase_intent").folder)
    with pytest.raises(NoChampion, match="make demo"):
        verified()


def test_fetching_follows_the_registry_and_survives_its_end(
    in_shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert champions.fetch() == {}
    served = {copy.task: copy.version for copy in copies()}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    begun = time.monotonic()
    with pytest.raises(registry.NoRegistry):
        champions.fetch()
    assert time.monotonic() - begun < 10
    assert {copy.task: copy.version for copy in copies()} == served


def test_one_follower_for_all_workers_started_again_when_it_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(_: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(real([sys.executable, "-c", "import sys; sys.stdin.read()"], **options))
        return started[-1]

    monkeypatch.setattr(champions.subprocess, "Popen", start)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    now = [1_000.0]
    one, other = Follower(), Follower()
    for _ in range(3):
        one.keep()
        other.keep()
    assert len(started) == 1
    now[0] += champions.HEART_S + 1  # no heartbeat all that time
    one.keep()
    assert len(started) == 2
    assert started[0].poll() is not None
    one.stop()
    assert started[1].poll() is not None
    for process in started:
        assert process.stdin is not None
        process.stdin.close()


def test_a_follower_ends_when_its_worker_does() -> None:
    code = "from serving import champions; champions.fetch = dict; champions._follow(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    )
    Path("var/models").mkdir(parents=True)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0
