"""A worker does without what only training needs, whether that is installed or not.

LightGBM and pyarrow import pandas and scikit-learn wherever they find them, for frames that no worker ever holds: 110 MB
and seconds of every start. Where they are not installed both work without, as they document; so a worker is told that they
are not. Whatever brings such an import into a worker fails there at once, as it would in a slim environment.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from typing import Any

__all__ = ["TRAINING_ONLY", "do_without"]

TRAINING_ONLY = ("matplotlib", "mlflow", "optuna", "pandas", "sklearn")


class _NotHere(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> None:  # noqa: ARG002
        if name.partition(".")[0] in TRAINING_ONLY:
            raise ModuleNotFoundError(f"a serving worker does without {name!r}", name=name)


def do_without() -> None:
    """From now on imports of `TRAINING_ONLY` fail in this process. What is loaded already stays."""
    if not any(isinstance(finder, _NotHere) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NotHere())
