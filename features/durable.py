"""Files that are there whole or not at all, also after the power went: written, flushed to the disk, then named.

Whoever writes one of several files that must appear together gives each a name nobody reads, and names them at the end.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["Hashed", "flush", "put", "rename", "writing"]


class Hashed:
    """A file being written that knows its SHA-256 and size so far; Arrow's writers take it as a sink."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    def write(self, content: bytes) -> int:
        self._hash.update(content)
        written = self._file.write(content)
        self.size += written
        return written

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self.size

    @property
    def closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        """Arrow closes what it writes to; the file itself is closed by `writing`, after it was flushed."""

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


@contextmanager
def writing(file: Path) -> Iterator[Hashed]:
    """A new file to write into, on the disk when the block ends. Raises `FileExistsError` rather than touch an older one."""
    with file.open("xb") as opened:
        hashed = Hashed(opened)
        yield hashed
        opened.flush()
        os.fsync(opened.fileno())


def put(file: Path, content: bytes) -> None:
    """Let the file hold `content` from now on; a reader finds the old content or the new, never a part."""
    beside = file.with_name(f".{file.name}-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with writing(beside) as opened:
            opened.write(content)
        rename(beside, file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def rename(old: Path, new: Path) -> None:
    """Give a file or folder its name, replacing a file of that name in one step."""
    os.replace(old, new)  # noqa: PTH105 - the faults of tests are planted here
    flush(new.parent)


def flush(place: Path) -> None:
    """Put on the disk what a file holds, or the names in a folder."""
    opened = os.open(place, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
