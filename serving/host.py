"""Where a worker listens, told from the socket it was given: BentoML opens it in the process above and says no name."""

import os
import socket
import sys

__all__ = ["listening_host"]

LOOPBACK = "127.0.0.1"


def listening_host() -> str:
    """The address of the socket that `--fd` names; loopback where there is none, as in tests."""
    given = sys.argv
    if "--fd" not in given:
        return LOOPBACK
    descriptor = int(given[given.index("--fd") + 1])
    with socket.socket(fileno=os.dup(descriptor)) as listening:
        named = listening.getsockname()
    return str(named[0]) if isinstance(named, tuple) else LOOPBACK
