"""How every command of this product ends: 0 when done, 1 with one teaching line when not, 2 for a wrong call, and
whatever else an error of ours or a command states (3: training again is advised; 4: somebody else is at work)."""

import os
import sys

import typer

from features.errors import PropensityError

__all__ = ["run"]


def run(app: typer.Typer) -> None:
    """Run a command line. Usage telemetry of the libraries we stand on is switched off before they load."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    try:
        app()
    except PropensityError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}; what was there before is untouched", file=sys.stderr)
        sys.exit(1)
