"""The verified local copies of champions: what serves, and what serves on when the registry is gone.

    var/models/churn/m-0b1f.../MANIFEST.json ...    one folder per logged model, never rewritten
    var/models/churn/CHAMPION                       "3 m-0b1f...": the version, and its folder

`training.registry` fetches and points; serving reads here and needs no registry, nor its client.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from features.digest import sha256_of
from features.errors import BadModel, NoChampion
from features.home import data_folder
from features.pointer import point, pointed
from training.artefact import MANIFEST, Loaded, read

__all__ = ["CHAMPION", "Champion", "Copy", "copies", "copy_of", "models_folder", "remember"]

CHAMPION = "champion"
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Champion:
    """What serves a task: the registry version and the verified model."""

    task: str
    version: str
    loaded: Loaded


@dataclass(frozen=True)
class Copy:
    """A champion that is on disk and has not been read yet."""

    task: str
    version: str
    folder: Path

    @property
    def digest(self) -> str:
        """What the model is recognised by: the hash of its manifest, which holds those of its files."""
        try:
            return sha256_of(self.folder / MANIFEST)
        except OSError:
            return ""

    def read(self) -> Champion:
        """Check every hash, then load. Raises `BadModel`."""
        return Champion(self.task, self.version, read(self.folder))


def models_folder() -> Path:
    """Where copies of fetched models lie."""
    return data_folder() / "models"


def remember(version: str, folder: Path) -> None:
    """Let a verified folder be the champion of its task for whoever starts without the registry."""
    point(folder.parent, f"{version} {folder.name}", CHAMPION)


def copy_of(task: str) -> Copy:
    """The copy that serves a task. Raises `NoChampion` when there is none, `BadModel` when the pointer says nothing."""
    said = pointed(models_folder() / task, CHAMPION)
    if not said:
        raise NoChampion(f"no copy of a {task!r} model is on disk")
    version, _, name = said.partition(" ")
    if not NAME.fullmatch(name):
        raise BadModel(f"{models_folder() / task / CHAMPION} names no model; fetch the champions again")
    return Copy(task, version, models_folder() / task / name)


def copies() -> list[Copy]:
    """The copy of every task that has one."""
    tasks = sorted(folder.name for folder in models_folder().glob("*") if (folder / CHAMPION).is_file())
    return [copy_of(task) for task in tasks]
