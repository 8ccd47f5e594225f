"""Parts made in several processes at once: threads of NumPy wait for one another's interpreter, processes do not.

    the batch ──► {"key": ..., "rows": ..., "models": [...]}        what they all are parts of, once
              ──► {"what": "scored", "number": 3}                   one at a time
              ◄── {"made": {...}} or {"kind": "BadModel", "words": ...}

A worker reads the same files as the batch, by their paths; models by the hashes that the batch knows them by. It holds the batch's lock
and ends with it: whoever finds the lock free is alone.
"""

import contextlib
import ctypes
import gc
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Literal, TypeVar

import msgspec
import pyarrow as pa

from features import errors
from features.errors import BadModel, PropensityError, WorkerLost
from features.nightly import NightlyRows
from serving.moves import Before
from serving.parts import Makers, Parts
from serving.runs.manifest import FileFacts
from serving.runs.work import Done, Work
from serving.scorer import Scorer
from serving.slim import do_without
from training.copies import Copy

__all__ = ["main", "makers"]

MOST = 8  # each takes some 600 MB
WORTH_ROWS = 200_000  # fewer are scored before workers have started
COMMAND = (sys.executable, "-m", "serving.workers")
T = TypeVar("T")


class _Model(msgspec.Struct, frozen=True):
    task: str
    version: str
    folder: str
    digest: str


class _Given(msgspec.Struct, frozen=True):
    """What all parts are parts of."""

    scores: str
    key: str
    rows: str
    as_of: datetime
    expires_at: datetime
    models: list[_Model]
    before: str
    before_columns: tuple[str, ...]


class _Asked(msgspec.Struct, frozen=True):
    what: Literal["scored", "written"]
    number: int


class _Made(msgspec.Struct, frozen=True, tag=True):
    made: msgspec.Raw


class _Failed(msgspec.Struct, frozen=True, tag=True):
    """One of our errors, or what the system said."""

    kind: str
    words: str
    number: int = 0
    file: str | None = None


@contextmanager
def makers(parts: Parts, lock: int, processes: int | None, rows: int) -> Iterator[Makers]:
    """The parts' makers: this process where few `rows` are to be done, else one beside it per core (or so many `processes`), which hold the
    descriptor `lock` open. Raises `WorkerLost` when one of them ends before its work."""
    if processes is None:
        processes = min(os.cpu_count() or 1, MOST) if rows >= WORTH_ROWS else 1
    count = min(processes, len(parts.rows.batches)) if rows else 1
    if count <= 1:
        yield parts
        return
    _hand_back()
    with _Workers(parts, count, lock) as workers:
        yield workers


def _hand_back() -> None:
    """Memory that features or ranking took and nobody uses goes back to the system, for the workers to take."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


class _Workers:
    """So many processes, each at one part at a time."""

    def __init__(self, parts: Parts, count: int, lock: int) -> None:
        told = msgspec.json.encode(_given(parts))
        self._threads = ThreadPoolExecutor(count)
        self._all = [_Worker(told, lock) for _ in range(count)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._all:
            self._idle.put(worker)

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.kill()
        self._threads.shutdown()
        for worker in self._all:
            worker.close()

    def scored(self, numbers: Iterable[int]) -> Iterator[Done]:
        return self._threads.map(lambda number: self._ask(_Asked("scored", number), Done), numbers)

    def written(self, numbers: Iterable[int]) -> Iterator[Mapping[str, FileFacts]]:
        return self._threads.map(
            lambda number: self._ask(_Asked("written", number), dict[str, FileFacts]), numbers
        )

    def _ask(self, asked: _Asked, form: type[T]) -> T:
        worker = self._idle.get()
        try:
            return worker.ask(asked, form)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process, as the batch sees it."""

    def __init__(self, told: bytes, lock: int) -> None:
        # One thread of Arrow and of LightGBM: other cores have workers of their own.
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, pass_fds=(lock,))  # fmt: skip
        self._say(told)

    def ask(self, asked: _Asked, form: type[T]) -> T:
        self._say(msgspec.json.encode(asked))
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise WorkerLost(
                f"the process that was at part {asked.number} ended with {_end(self._process.wait())}: nothing was published; what is "
                "done stays done, run the batch again (with fewer --processes if memory ran out)"
            )
        said = msgspec.json.decode(line, type=_Made | _Failed)
        if isinstance(said, _Failed):
            raise _error(said)
        return msgspec.json.decode(said.made, type=form)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: asking for its answer says how
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()


def _given(parts: Parts) -> _Given:
    models = [_Model(s.task, s.version, str(s.loaded.folder.absolute()), s.loaded.digest) for s in parts.scorers]  # fmt: skip
    before = parts.before
    return _Given(
        scores=str(parts.work.folder.parent.absolute()),
        key=parts.work.key,
        rows=str(parts.rows.file.absolute()),
        as_of=parts.as_of,
        expires_at=parts.expires_at,
        models=models,
        before=str(before.night.file.absolute()) if before else "",
        before_columns=before.columns if before else (),
    )


def _parts(given: _Given) -> Parts:
    """The same, in a worker. Raises `BadModel` when a model is no longer the one that the batch read."""
    scorers = []
    for told in given.models:
        champion = Copy(told.task, told.version, Path(told.folder)).read()
        if champion.loaded.digest != told.digest:
            raise BadModel(f"{told.folder} was another model when the batch began; run it again")
        scorers.append(Scorer(champion))
    return Parts(
        scorers,
        NightlyRows.open(Path(given.rows)),
        Before(NightlyRows.open(Path(given.before)), given.before_columns) if given.before else None,
        given.as_of,
        given.expires_at,
        Work(Path(given.scores), given.key),
    )


def _error(said: _Failed) -> Exception:
    if said.kind == "OSError":
        return OSError(said.number, said.words, said.file)
    found: type[PropensityError] = getattr(errors, said.kind)
    return found.__new__(found, said.words)  # some are made of parts of their words


def _end(code: int) -> str:
    return f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"


def _work(asked: "queue.SimpleQueue[bytes]", answers: IO[bytes]) -> None:
    """A worker's life: it is ended from outside."""
    parts = None
    given = msgspec.json.decode(asked.get(), type=_Given)
    while True:
        what = msgspec.json.decode(asked.get(), type=_Asked)
        said: _Made | _Failed
        try:
            parts = parts or _parts(given)
            (made,) = getattr(parts, what.what)([what.number])
            said = _Made(msgspec.Raw(msgspec.json.encode(made)))
        except PropensityError as error:
            said = _Failed(type(error).__name__, str(error))
        except OSError as error:
            file = None if error.filename is None else str(error.filename)
            said = _Failed("OSError", error.strerror or str(error), error.errno or 0, file)
        answers.write(msgspec.json.encode(said) + b"\n")
        answers.flush()


def _listen(asked: "queue.SimpleQueue[bytes]") -> None:
    """Hand on what the batch says, until it is gone: then its end of our input closes."""
    for line in sys.stdin.buffer:
        asked.put(line)
    os._exit(0)


def main() -> None:
    """A worker process: it reads what to do and answers, line by line, until the batch is gone."""
    do_without()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the batch, which ends us
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not speak for us
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    _work(asked, answers)


if __name__ == "__main__":
    main()
