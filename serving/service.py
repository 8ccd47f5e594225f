"""The BentoML service: `bentoml serve serving.service:Propensity`, or `make serve`.

BentoML starts, watches and stops the workers and keeps the folder of their metrics; requests come to our edge first. Asked
to stop (SIGTERM), a worker says that it is not ready, answers on for `PROPENSITY_DRAIN_S` so that whoever sends requests
can notice, then lets BentoML close the socket and finish what is under way.
"""

import os

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import asyncio
import gc
import logging
import signal
from typing import Any

import bentoml
import pyarrow as pa
from _bentoml_sdk.service import Service

from features.errors import PropensityError
from serving.champions import Follower, Watch, verified
from serving.desk.desk import Desk
from serving.edge.app import Edge
from serving.edge.connection import guard_connections
from serving.edge.door import Door
from serving.edge.records import Records
from serving.host import listening_host, watch_workers
from serving.privacy.erasure import finish_beside
from serving.slim import do_without

__all__ = ["Propensity"]

WORKERS = int(os.environ.get("PROPENSITY_WORKERS", "1"))
DRAIN_S = float(os.environ.get("PROPENSITY_DRAIN_S", "5"))
FOLLOW_S = float(os.environ.get("PROPENSITY_FOLLOW_S", "30"))

log = logging.getLogger(__name__)
edge = Edge()
watch_workers()


class Fronted(Service):  # type: ignore[misc]
    """A service whose requests our edge answers; BentoML's own application, behind it, starts and stops the desk."""

    def to_asgi(self, is_main: bool = True) -> Any:
        do_without()
        edge.behind = super().to_asgi(is_main)
        edge.door = Door.configured(listening_host(), WORKERS)
        if edge.door.is_open:
            log.warning("no token is set up: everybody on this machine may ask. This is for development")
        guard_connections()
        return edge


@bentoml.service(name="propensity", service_class=Fronted, workers=WORKERS)
class Propensity:
    """Propensity scores of a carmaker's customers, with reasons."""

    def __init__(self) -> None:
        edge.records = Records.open()
        self.erasing = finish_beside()
        edge.desk = Desk.open(verified(), warm=True)
        beside = Follower(FOLLOW_S) if FOLLOW_S else None
        self.watch = Watch(edge.desk, lambda: edge.desk.day().rows, beside=beside)
        self.watch.start()
        _drain_when_told()
        gc.collect()
        pa.default_memory_pool().release_unused()
        gc.freeze()  # what has been loaded stays, and need not be looked through again and again

    async def __is_ready__(self) -> bool:
        try:
            edge.desk.self_test()
        except PropensityError:
            return False
        return not edge.draining

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop_watching(self) -> None:
        self.watch.stop()


def _drain_when_told() -> None:
    """Put a pause between the signal to stop and the server's own way of stopping."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return  # not hosted
    stop_server = signal.getsignal(signal.SIGTERM)

    def told(number: int, frame: Any) -> None:
        if not callable(stop_server):
            raise SystemExit
        if edge.draining or not DRAIN_S:
            stop_server(number, frame)
            return
        edge.draining = True
        loop.call_soon_threadsafe(loop.call_later, DRAIN_S, stop_server, number, frame)

    signal.signal(signal.SIGTERM, told)
