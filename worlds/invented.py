"""The invented carmaker as a world to try: written, loaded, and with the truth at hand. No row describes a real person."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from features.delivery import deliveries_in
from features.home import data_folder
from features.load import LoadReport, ledger, load
from worlds.carmaker.truth import probabilities
from worlds.carmaker.world import World
from worlds.carmaker.write import write_world

__all__ = ["CUSTOMERS", "END", "convert", "latest_week", "true_probability"]

CUSTOMERS = 20_000
WORLD = World(customers=CUSTOMERS)
END = datetime(WORLD.end.year, WORLD.end.month, WORLD.end.day)
# A clock that runs ahead is part of the mess: such touchpoints are rejected and counted.
MAX_REJECT_SHARE = 0.001


def convert(warehouse: Path) -> LoadReport:
    """Write the world beside the warehouse and load it, mess and all; `truth/` and `leaks/` stay outside."""
    folder = warehouse.with_name("invented")
    write_world(WORLD, folder)
    return load(
        deliveries_in(folder, ignore=("truth", "leaks")),
        warehouse,
        complete_until=ledger(folder, END),
        delivered_at=END,
        max_reject_share=MAX_REJECT_SHARE,
    )


def latest_week(moment: datetime) -> datetime:
    """The last start of a week of the world at or before a moment: there the truth is exact."""
    start = datetime(WORLD.start.year, WORLD.start.month, WORLD.start.day)
    return start + timedelta(days=7 * ((moment - start).days // 7))


def true_probability(task: str, horizon_days: int, moments: pd.DataFrame) -> np.ndarray:
    """What no model can know: the probability given everything hidden, per row (customer_id, as_of).

    A second identity has no truth of its own and gets the mean.
    """
    known = probabilities(data_folder() / "invented", moments[["customer_id", "as_of"]], task, horizon_days)
    # To order another car, besides the one held or in its stead, is one outcome here.
    truth = known["additional"] + known["replacement"] if task == "repurchase" else known["probability"]
    return truth.fillna(truth.mean()).to_numpy(dtype=np.float64)
