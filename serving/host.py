"""What a worker's host does not say or offer: where a worker listens, and how soon one that died is started again."""

import os
import socket
import sys
from functools import partial

from bentoml._internal.utils import circus

__all__ = ["listening_host", "watch_workers"]

LOOPBACK = "127.0.0.1"
LOOKED_EVERY_S = 1.0


def watch_workers() -> None:
    """Have the process above its workers look every second whether they live. BentoML has it look every ten, and offers no
    setting: that is most of the time for which a killed worker is missed. For that process to call, before it starts them."""
    circus.create_standalone_arbiter = partial(circus.create_standalone_arbiter, check_delay=LOOKED_EVERY_S)


def listening_host() -> str:
    """The address of the socket that `--fd` names, which BentoML opens in the process above; loopback where there is none, as in tests."""
    given = sys.argv
    if "--fd" not in given:
        return LOOPBACK
    descriptor = int(given[given.index("--fd") + 1])
    with socket.socket(fileno=os.dup(descriptor)) as listening:
        named = listening.getsockname()
    return str(named[0]) if isinstance(named, tuple) else LOOPBACK
