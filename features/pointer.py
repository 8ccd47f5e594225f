"""The pointer of a folder whose contents are never rewritten: a file that names what readers see.

It is replaced in one step and flushed to the disk, so that a reader finds the old name or the new one and never half of
either, also after the power went.
"""

import os
from pathlib import Path

from features.durable import put

__all__ = ["POINTER", "point", "pointed"]

POINTER = "CURRENT"


def point(folder: Path, name: str, pointer: str = POINTER) -> None:
    """Let the folder's pointer name `name` from now on."""
    put(folder / pointer, f"{name}\n".encode())


def pointed(folder: Path, pointer: str = POINTER) -> str:
    """What the pointer names; empty when there is none."""
    try:
        with open(os.path.join(folder, pointer), "rb", buffering=0) as file:  # noqa: PTH118, PTH123  at every request
            return file.read().decode().strip()
    except FileNotFoundError:
        return ""
