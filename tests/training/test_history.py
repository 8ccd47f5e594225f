"""The history of champions: one of many wins each step, nothing is half done after a kill, and the way back is known."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import BadData, ChampionMoved
from training import history
from training.history import Alias, Step

FILE, SERVES = Path("promotions/churn.jsonl"), Path("serves")


def step(version: str, was: str | None, deed: str = "promoted") -> Step:
    return Step(
        at=datetime(2024, 1, 1), task="churn", deed=deed, version=version, was=was, digest=f"d{version}",
        by="x", why="", registry="",
    )  # fmt: skip


def read() -> str | None:
    return SERVES.read_text() if SERVES.exists() else None


def write(step: Step) -> None:
    SERVES.write_text(step.version)


ALIAS = Alias(read, write)


def one_by_thread(run: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=run, args=(n,)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def one_by_process(run: Callable[[int], None]) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=run, args=(n,)) for n in range(50)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


@pytest.mark.parametrize(("together", "rounds"), [(one_by_thread, 4), (one_by_process, 1)])
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_of_fifty_who_saw_the_same_champion_one_wins(together: Callable[..., None], rounds: int) -> None:
    for was in [None, "a", "b", "c"][:rounds]:
        if was:
            SERVES.write_text(was)

        def attempt(n: int, seen: str | None = was) -> None:
            try:
                history.move(FILE, step(f"{seen} {n}", seen), ALIAS)
            except ChampionMoved as error:
                assert "promote it again" in str(error)  # noqa: PT017
            else:
                Path(f"won-{seen}-{n}").touch()

        together(attempt)
        (winner,) = Path().glob(f"won-{was}-*")
        assert read() == f"{was} {winner.name.rsplit('-', 1)[1]}"
        assert history.steps(FILE)[-1].version == read()
    assert len(history.steps(FILE)) == rounds


@pytest.mark.parametrize("place", ["before the line", "before the alias", "after the alias"])
def test_a_kill_leaves_the_old_champion_or_the_new_and_a_history_that_agrees(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.move(FILE, step("1", None), ALIAS)

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def write_and_die(step: Step) -> None:
        write(step)
        die()

    child = os.fork()
    if child == 0:
        if place == "before the line":
            history._write = die  # the child's own copy
        history.move(FILE, step("2", "1"), Alias(read, write_and_die if place == "after the alias" else die))
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert read() in ("1", "2")
    begun = len(history.steps(FILE)) == 2
    assert begun == (place != "before the line")
    with pytest.raises(ChampionMoved):
        history.move(FILE, step("3", "neither"), ALIAS)  # whoever comes next completes what was begun
    assert read() == ("2" if begun else "1") == history.steps(FILE)[-1].version
    history.move(FILE, step("4", read()), ALIAS)
    assert read() == "4"


def test_a_champion_changed_elsewhere_is_not_overwritten_by_what_was_begun() -> None:
    history.move(FILE, step("1", None), ALIAS)

    def lost(step: Step) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        history.move(FILE, step("2", "1"), Alias(read, lost))
    SERVES.write_text("7")
    history.move(FILE, step("8", "7"), ALIAS)
    assert read() == "8"
    assert history.before(FILE, "8") is None, "who served before 7 is not ours to know"


def test_half_a_line_is_no_line_and_a_spoilt_one_is_said() -> None:
    history.move(FILE, step("1", None), ALIAS)
    sound = FILE.read_bytes()
    FILE.write_bytes(sound + b'{"step": {"at": "20')
    assert len(history.steps(FILE)) == 1
    history.move(FILE, step("2", "1"), ALIAS)
    assert FILE.read_bytes().startswith(sound)
    assert [s.version for s in history.steps(FILE)] == ["1", "2"]
    FILE.write_bytes(sound.replace(b"churn", b"ch\xffrn"))
    with pytest.raises(BadData, match="bring it back"):
        history.steps(FILE)


@settings(max_examples=25)
@given(st.lists(st.booleans(), max_size=16))
def test_the_way_back_is_the_way_come(goes_on: list[bool]) -> None:
    """Against a stack: going on pushes, going back pops; the history only grows, and refusals change nothing."""
    FILE.unlink(missing_ok=True)
    SERVES.unlink(missing_ok=True)
    served: list[str] = []
    for n, on in enumerate(goes_on):
        was = served[-1] if served else None
        history.append(FILE, step("refused", was, "refused"))
        if on:
            history.move(FILE, step(str(n), was), ALIAS)
            served.append(str(n))
        elif was is not None and (earlier := history.before(FILE, was)):
            history.move(FILE, step(earlier.version, was, "back"), ALIAS)
            served.pop()
        else:
            assert len(served) < 2
        assert read() == (served[-1] if served else None)
