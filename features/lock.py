"""One writer at a time: a lock the kernel takes back when its holder dies, and that says who holds it.

The file stays; what counts is the lock on it (flock), so a dead holder's is free at once. On a network drive it works where
that drive supports flock (NFS 4 does).
"""

import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from features.errors import RunInProgress

__all__ = ["LOCK", "held"]

LOCK = "LOCK"


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """Hold the folder's lock for the time of the block, and as long as a process keeps the descriptor open that is handed out. Raises
    `RunInProgress`, naming the holder, when somebody has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunInProgress(
                f"{folder} is being written by {_holder(folder / LOCK)}; nothing was changed, try again when it is done"
            ) from error
        file.truncate(0)
        file.write(json.dumps(_myself()))
        file.flush()
        yield file.fileno()


def _myself() -> dict[str, object]:
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {"pid": os.getpid(), "host": socket.gethostname(), "command": " ".join(words), "since": since}


def _holder(file: Path) -> str:
    try:
        told = json.loads(file.read_text())
        return f"process {told['pid']} on {told['host']} ({told['command']}) since {told['since']}"
    except (ValueError, KeyError):
        return "a process that has just begun"
