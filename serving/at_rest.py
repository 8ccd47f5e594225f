"""Whether a folder lies on an encrypted volume, as far as Linux tells: dm-crypt (LUKS) beneath it, be it under LVM or a RAID.

What encrypts further down (a cloud's disk, a drive that encrypts itself, a network drive's server) cannot be seen from here.
"""

import os
from pathlib import Path

__all__ = ["on_encrypted_volume"]

SYS = Path("/sys/dev/block")


def on_encrypted_volume(folder: Path, devices: Path = SYS) -> bool:
    """True where everything the folder's file system lies on is seen to be encrypted. A folder that is not there yet counts as the
    nearest above it that is."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    number = there.stat().st_dev
    return _encrypted(devices / f"{os.major(number)}:{os.minor(number)}")


def _encrypted(device: Path) -> bool:
    try:
        if (device / "dm/uuid").read_text().startswith("CRYPT-"):
            return True
    except OSError:  # no mapped device, or none at all: memory, a network drive
        pass
    beneath = list((device / "slaves").glob("*"))
    return bool(beneath) and all(_encrypted(one) for one in beneath)
