"""Which code made this: the commit, with a mark when files differ from it."""

import subprocess
from pathlib import Path

__all__ = ["revision"]


def revision() -> str:
    """The commit of the code, with a mark when files differ from it; "unknown" outside a checkout."""
    try:
        here = Path(__file__).parent
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()
