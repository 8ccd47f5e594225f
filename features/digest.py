"""SHA-256 of a file's content: how loads, models and published scores are recognised."""

import hashlib
from pathlib import Path

__all__ = ["sha256_of"]


def sha256_of(file: Path) -> str:
    """The hash as 64 hex digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
