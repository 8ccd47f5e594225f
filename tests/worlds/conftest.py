"""Small invented worlds, of two blocks, that several tests read."""

from pathlib import Path

import pytest

from worlds.carmaker.world import Mess, World
from worlds.carmaker.write import write_world

MESSY = World(customers=10_300, seed=3)
CLEAN = World(customers=10_300, seed=3, mess=Mess.none())


@pytest.fixture(scope="session")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world with all its mess."""
    folder = tmp_path_factory.mktemp("carmaker") / "messy"
    write_world(MESSY, folder, threads=1)
    return folder


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same people without mess."""
    folder = tmp_path_factory.mktemp("carmaker") / "clean"
    write_world(CLEAN, folder, threads=1)
    return folder
