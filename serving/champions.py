"""New champions without a restart: fetched, tried out in another process, checked, and put in place between two requests.

    python -m serving.champions                    fetch what the registry calls champion into verified copies, once
    python -m serving.champions --follow 30        and again every 30 seconds
    python -m serving.champions --try FOLDER       load a copy and give its golden predictions; that may crash or hang

Three steps, each of which may fail without harm to what serves. (1) A process beside the workers asks the registry and
points at verified copies (`training.copies`). (2) Each worker sees the pointer move and lets another process load the
copy, within `TRIAL_S`: a damaged text model can crash a process, or load for ever. (3) The worker verifies the hashes
again, loads, compares golden predictions and the features' fingerprints, and sets the desk's mapping anew; requests under
way keep the one they began with. On any doubt the old model stays, and the same copy is not tried again until the pointer
moves. Rolling back is the same with an older version. No registry: no pointer moves, nothing changes.
"""

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from features.command import run
from features.errors import BadModel, NoChampion, PropensityError
from features.nightly import NightlyRows
from serving.edge import metrics
from serving.scorer import Scorer
from serving.slim import do_without
from training.copies import Copy, copies, models_folder

__all__ = ["Follower", "Watch", "fetch", "tried", "verified"]

POLL_S = 5.0
FOLLOW_S = 30.0
TRIAL_S = 60.0
FETCH_S = 120.0
HEART_S = 180.0
HEARTBEAT = ".followed"

log = logging.getLogger(__name__)


def fetch() -> dict[str, str]:
    """Ask the registry for every champion and keep verified copies; says by task what could not be had."""
    from training import registry  # noqa: PLC0415  its client weighs as much as a worker, which does without

    wrong: dict[str, str] = {}
    for task in registry.champion_tasks():
        try:
            registry.champion(task)
        except PropensityError as error:
            wrong[task] = str(error)
    return wrong


def tried(copy: Copy, seconds: float = TRIAL_S) -> None:
    """Let another process load a copy. Raises `BadModel` when it does not come back well, or in time."""
    command = [sys.executable, "-m", "serving.champions", "--try", str(copy.folder.absolute())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False, cwd=_home())
    except subprocess.TimeoutExpired:
        raise BadModel(
            f"{copy.task} version {copy.version} was not loaded within {seconds:.0f} seconds"
        ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        died = (
            f"its process ended by signal {-done.returncode}" if done.returncode < 0 else (said or ["?"])[-1]
        )
        raise BadModel(f"{copy.task} version {copy.version} cannot be loaded: {died}")


def verified() -> dict[str, Scorer]:
    """A scorer of every task, from the copies on disk; what is not there, or damaged, is fetched first, within `FETCH_S`.

    A task whose copy stays damaged is left out. Raises `NoChampion` when none is left.
    """
    found, wrong = _read(copies())
    if wrong or not found:
        command = [sys.executable, "-m", "serving.champions"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=FETCH_S, check=False, cwd=_home())
        found, wrong = _read(copies())
    for task, error in wrong.items():
        log.error("%s is not answered: %s", task, error)
    if not found:
        raise NoChampion(
            "no model has been promoted yet: run `make demo` or `python -m training.train --task TASK`"
        )
    return found


def _read(found: list[Copy]) -> tuple[dict[str, Scorer], dict[str, str]]:
    scorers: dict[str, Scorer] = {}
    wrong: dict[str, str] = {}
    for copy in found:
        try:
            scorers[copy.task] = Scorer(copy.read())
        except PropensityError as error:
            wrong[copy.task] = str(error)
    return scorers, wrong


class Watch:
    """Of one worker: looks at the pointers and puts champions that pass every check in place. `desk` has `scorers`, a mapping
    that is set anew as a whole, and `refresh`; `rows` are those it answers from."""

    def __init__(
        self,
        desk: Any,
        rows: Callable[[], NightlyRows],
        trial: Callable[[Copy], None] = tried,
        poll_s: float = POLL_S,
        beside: "Follower | None" = None,
    ) -> None:
        self.desk, self._rows, self._trial = desk, rows, trial
        self._poll_s, self._beside = poll_s, beside
        self._refused: dict[str, Path] = {}
        self._measured: dict[str, tuple[str, datetime]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="champions", daemon=True)
        for scorer in desk.scorers.values():
            metrics.model_serves(scorer.task, scorer.version, scorer.card.trained_through)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        if self._beside:
            self._beside.stop()

    def look(self) -> dict[str, str]:
        """One look at every pointer; says by task what was refused, and why."""
        wrong: dict[str, str] = {}
        try:
            found = copies()
        except PropensityError as error:
            log.warning("the pointer to a champion cannot be read, and what serves goes on: %s", error)
            return {"": str(error)}
        for copy in found:
            if self._serves(copy) or self._refused.get(copy.task) == copy.folder:
                continue
            try:
                self._swap(copy)
            except PropensityError as error:
                self._refused[copy.task] = copy.folder
                wrong[copy.task] = str(error)
                metrics.swap_refused(copy.task)
                log.error(
                    "the new champion of %s does not serve, the one before goes on: %s", copy.task, error
                )
        return wrong

    def measure_drift(self) -> None:
        """Tell the metrics how far the customers have moved, once per night and set of models."""
        now = {task: (scorer.version, self._rows().as_of) for task, scorer in self.desk.scorers.items()}
        if now == self._measured:
            return
        found = self.desk.drift().drift
        for one in found:
            lines = [("scores", one.scores_psi), *((line.feature, line.psi) for line in one.heaviest)]
            metrics.drift(one.task, lines)
        self._measured = {one.task: now[one.task] for one in found if one.task in now}

    def _serves(self, copy: Copy) -> bool:
        scorer = self.desk.scorers.get(copy.task)
        return scorer is not None and scorer.version == copy.version and scorer.loaded.digest == copy.digest

    def _swap(self, copy: Copy) -> None:
        self._trial(copy)
        scorer = Scorer(copy.read())
        scorer.require(self._rows().fingerprints)
        before: Mapping[str, Scorer] = self.desk.scorers
        self.desk.scorers = {**before, copy.task: scorer}
        self._refused.pop(copy.task, None)
        self.desk.refresh()
        old = before[copy.task].version if copy.task in before else None
        metrics.model_serves(copy.task, scorer.version, scorer.card.trained_through, old)
        log.info("%s is now answered by version %s (before: %s)", copy.task, scorer.version, old or "nothing")

    def _run(self) -> None:
        while not self._end.wait(self._poll_s):
            try:
                if self._beside:
                    self._beside.keep()
                self.look()
                self.measure_drift()
            except Exception:
                log.exception("looking for new champions failed; what serves goes on")


class Follower:
    """The process that asks the registry, one for all workers of a folder: whoever holds the lock keeps it running, and
    starts it anew when it ended or hangs."""

    def __init__(self, every_s: float = FOLLOW_S) -> None:
        self._every_s = every_s
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = 0.0
        self._lock: Any = None

    def keep(self) -> None:
        """Call this now and then."""
        if self._lock is None and not self._take_lock():
            return
        if self._process is not None and self._process.poll() is None:
            if self._fresh():
                return
            self._process.kill()
            self._process.wait()
        if time.monotonic() - self._begun < self._every_s:
            return
        self._begun = time.monotonic()
        command = [sys.executable, "-m", "serving.champions", "--follow", str(self._every_s)]
        self._process = subprocess.Popen(
            command, cwd=_home(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._lock is not None:
            self._lock.close()

    def _fresh(self) -> bool:
        try:
            beat = (models_folder() / HEARTBEAT).stat().st_mtime
        except FileNotFoundError:
            beat = 0.0
        alive_since = time.time() - (time.monotonic() - self._begun)
        return time.time() - max(beat, alive_since) < HEART_S

    def _take_lock(self) -> bool:
        models_folder().mkdir(parents=True, exist_ok=True)
        lock = (models_folder() / ".follower").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._lock = lock
        return True


def _home() -> Path:
    return Path.cwd()


def _follow(seconds: float) -> None:
    """Fetch again and again, until whoever started this is gone: then its end of our input closes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            for task, error in fetch().items():
                log.warning("the champion of %s cannot be had, and its copy stays: %s", task, error)
        except PropensityError as error:
            log.warning("the registry does not answer, and all copies stay: %s", error)
        (models_folder() / HEARTBEAT).touch()
        time.sleep(seconds)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    follow: Annotated[float, typer.Option(help="seconds between looks; 0: look once")] = 0.0,
    try_: Annotated[Path | None, typer.Option("--try", help="a copy to load and test")] = None,
) -> None:
    """Fetch the registry's champions into verified copies, or try one out."""
    if try_ is not None:
        do_without()
        Copy("candidate", "?", try_).read()
        return
    if follow > 0:
        _follow(follow)
    wrong = fetch()
    for task, error in wrong.items():
        print(f"{task}: {error}", file=sys.stderr)
    for copy in copies():
        print(f"{copy.task} version {copy.version} in {copy.folder}")
    if wrong or not copies():
        raise NoChampion("not every champion could be had")


if __name__ == "__main__":
    run(app)
