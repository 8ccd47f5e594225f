"""The invented carmaker, for benchmarks that need customers with histories."""

from datetime import datetime
from pathlib import Path

from rich.console import Console

from features.delivery import deliveries_in
from features.load import load
from features.maturity import ledger
from features.warehouse import Warehouse, connect
from worlds.carmaker.world import World
from worlds.carmaker.write import write_world

__all__ = ["loaded"]


def loaded(scratch: Path, customers: int, seed: int) -> Warehouse:
    """The invented carmaker with all its mess, loaded."""
    write_world(World(customers=customers, seed=seed), scratch / "world", 1, Console(quiet=True))
    load(
        deliveries_in(scratch / "world", ("truth", "leaks")),
        scratch / "warehouse",
        complete_until=ledger(scratch / "world", datetime.now()),
        max_reject_share=0.05,
    )
    return connect(str(scratch / "warehouse"))
