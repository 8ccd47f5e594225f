"""Parts made by several processes: the same run to the byte; whoever is killed, nothing is published that is not whole, and the next call ends it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features import nightly
from features.errors import BadModel, RunInProgress, WorkerLost
from features.lock import held
from features.warehouse import connect
from serving import workers
from serving.batch import batch
from serving.parts import Parts
from serving.runs import Run, folder
from serving.runs.work import Work
from tests.faults.runs import children, in_small_parts
from tests.shop import END
from training import registry

pytestmark = pytest.mark.slow

BATCH = """
import sys
from pathlib import Path
from unittest import mock
from features import nightly
from features.warehouse import connect
from serving.batch import batch
from tests.shop import END
rows = nightly.NightlyRows.open(Path(sys.argv[1]))
with mock.patch.object(nightly, "materialise", return_value=rows):
    batch(connect(), END, scores=Path(sys.argv[2]), processes=2)
"""


@pytest.fixture(autouse=True)
def rows(in_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nightly.NightlyRows:
    """The shop's feature rows, in 75 parts."""
    found = in_small_parts(tmp_path / "rows.arrow", 20)
    monkeypatch.setattr(nightly, "materialise", lambda *_: found)
    return found


@pytest.fixture
def undisturbed(tmp_path: Path) -> Run:
    return batch(connect(), END, scores=tmp_path / "undisturbed", processes=1)


def test_any_number_of_processes_makes_the_same_run_to_the_byte(undisturbed: Run, tmp_path: Path) -> None:
    for processes in (2, 3):
        run = batch(connect(), END, scores=tmp_path / str(processes), processes=processes)
        folder.verify(run.folder)
        assert run.manifest.content == undisturbed.manifest.content
        assert run.manifest.tasks == undisturbed.manifest.tasks


def test_what_moved_since_the_run_before_is_the_same_too(
    own_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(own_shop)
    earlier = connect().latest_moment.replace(day=1)
    made = []
    for processes in (1, 2):
        scores = tmp_path / str(processes)
        batch(connect(), earlier, scores=scores, processes=processes)
        made.append(batch(connect(), END, scores=scores, processes=processes))
    moved = pa.concat_tables(made[0].rows())["moved"].combine_chunks()
    assert made[0].manifest.since
    assert len(moved.flatten()) > 0
    assert made[0].manifest.content == made[1].manifest.content


def test_few_customers_are_scored_by_the_process_itself(
    undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "COMMAND", ("false",))
    assert batch(connect(), END, scores=tmp_path / "few").manifest.content == undisturbed.manifest.content
    monkeypatch.setattr(workers, "WORTH_ROWS", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.raises(WorkerLost, match="exit code 1"):
        batch(connect(), END, scores=tmp_path / "many")


@contextmanager
def as_soon_as_a_part_is_done(scores: Path, then: Callable[[], Any]) -> Iterator[None]:
    """Do something beside the block once it has scored a part."""

    def watch() -> None:
        while not list(scores.glob(".work-*/part-*.json")):
            time.sleep(0.001)
        then()

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    yield
    watching.join(120)  # of a busy machine


def workers_of(process: int) -> list[int]:
    return [
        pid for pid in children(process) if b"serving.workers" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_a_killed_worker_ends_the_run_by_name_and_the_next_call_goes_on(
    undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = tmp_path / "scores"
    with (
        as_soon_as_a_part_is_done(scores, lambda: os.kill(workers_of(os.getpid())[0], signal.SIGKILL)),
        pytest.raises(WorkerLost, match=r"part \d+ ended with signal 9 \(SIGKILL\).*run the batch again"),
    ):
        batch(connect(), END, scores=scores, processes=2)
    assert not folder.runs(scores)
    assert not workers_of(os.getpid())
    done = {file: file.stat().st_mtime_ns for file in scores.glob(".work-*/part-*.json")}
    assert done
    cleared: dict[Path, int] = {}
    clear = Work.clear

    def cleared_later(work: Work) -> None:
        cleared.update({file: file.stat().st_mtime_ns for file in done})
        clear(work)

    monkeypatch.setattr(Work, "clear", cleared_later)
    run = batch(connect(), END, scores=scores, processes=2)
    assert run.manifest.content == undisturbed.manifest.content
    assert cleared == done, "what is done is not done again"


def test_workers_end_with_the_batch_and_hold_its_lock_until_then(
    rows: nightly.NightlyRows, undisturbed: Run, tmp_path: Path
) -> None:
    scores = tmp_path / "scores"
    beside = subprocess.Popen([sys.executable, "-c", BATCH, str(rows.file), str(scores)], stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip
    with as_soon_as_a_part_is_done(scores, lambda: os.kill(workers_of(beside.pid)[0], signal.SIGSTOP)):
        pass
    left = workers_of(beside.pid)
    assert len(left) == 2
    beside.kill()
    beside.wait()
    with pytest.raises(RunInProgress), held(scores):
        pass
    os.kill(left[0], signal.SIGCONT)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))
    assert not folder.runs(scores)
    run = batch(connect(), END, scores=scores, processes=2)
    assert run.manifest.content == undisturbed.manifest.content


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)


def test_a_workers_error_is_the_batchs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = workers._given

    def of_another_model(parts: Parts) -> Any:
        told = given(parts)
        told.models[0] = workers._Model("churn", "1", told.models[0].folder, "another")
        return told

    with monkeypatch.context() as patched:
        patched.setattr(workers, "_given", of_another_model)
        with pytest.raises(BadModel, match="was another model when the batch began"):
            batch(connect(), END, scores=tmp_path / "model", processes=2)
    scores = tmp_path / "disk"
    monkeypatch.setattr(Work, "done", lambda work, _: work.folder.joinpath("part-00003.arrow").mkdir(exist_ok=True))  # fmt: skip
    with pytest.raises(OSError, match="part-00003") as raised:
        batch(connect(), END, scores=scores, processes=2)
    assert isinstance(raised.value, IsADirectoryError)
    assert not folder.runs(scores)


def test_an_error_of_many_words_or_of_parts_of_them_arrives_as_it_was() -> None:
    for kind in ("BadData", "UnknownName", "LedgerUnreadable"):
        error = workers._error(workers._Failed(kind, "three words long"))
        assert type(error).__name__ == kind
        assert str(error) == "three words long"


def test_no_champion_is_asked_of_the_registry_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    champions = registry.champions()
    monkeypatch.setattr(registry, "champions", lambda: champions)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run = batch(connect(), END, scores=tmp_path, processes=2)
    assert set(run.manifest.tasks) == {one.task for one in champions}
