"""Whether files lie on an encrypted volume: told from what Linux says of the devices beneath, drawn here as folders."""

import os
from pathlib import Path

import pytest

from serving.at_rest import on_encrypted_volume

DEVICES = {
    "a disk": ({"": ""}, False),
    "LUKS": ({"": "CRYPT-LUKS2-0123-vault"}, True),
    "LVM on a disk": ({"": "LVM-abc", "slaves/sda1": ""}, False),
    "LVM on LUKS": ({"": "LVM-abc", "slaves/dm-0": "CRYPT-LUKS2-0123-vault"}, True),
    "LVM half on LUKS": ({"": "LVM-abc", "slaves/dm-0": "CRYPT-LUKS2-0123-vault", "slaves/sdb": ""}, False),
    "a network drive": ({}, False),
}


@pytest.mark.parametrize("name", DEVICES)
def test_a_volume_counts_as_encrypted_where_all_beneath_it_is(name: str, tmp_path: Path) -> None:
    drawn, encrypted = DEVICES[name]
    number = tmp_path.stat().st_dev
    device = tmp_path / "sys" / f"{os.major(number)}:{os.minor(number)}"
    for place, uuid in drawn.items():
        (device / place).mkdir(parents=True, exist_ok=True)
        if uuid:
            (device / place / "dm").mkdir()
            (device / place / "dm/uuid").write_text(uuid + "\n")
    assert on_encrypted_volume(tmp_path / "var/not/there/yet", tmp_path / "sys") is encrypted
