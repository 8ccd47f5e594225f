"""A small invented carmaker with all its mess, loaded."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console

from features.delivery import deliveries_in
from features.load import load
from features.sources import CANONICAL
from features.warehouse import Warehouse, connect
from worlds.carmaker.world import World
from worlds.carmaker.write import write_world

__all__ = ["BEGIN", "DAYS", "loaded"]

BEGIN, DAYS = datetime(2023, 1, 1), 880


def loaded(folder: Path, customers: int) -> Warehouse:
    """The world in `folder`, complete until so many days after `BEGIN`."""
    write_world(World(customers=customers, seed=7), folder / "world", 1, Console(quiet=True))
    for name in CANONICAL:
        shutil.copytree(folder / "world" / name, folder / "incoming" / name)
    load(
        deliveries_in(folder / "incoming"),
        folder / "warehouse",
        complete_until=dict.fromkeys(CANONICAL, BEGIN + timedelta(days=DAYS)),
        max_reject_share=0.05,
    )
    return connect(str(folder / "warehouse"))
