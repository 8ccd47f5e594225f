"""The invented carmaker as a world to try: written, loaded, and with the truth at hand. No row describes a real person."""

from datetime import datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from features.delivery import deliveries_in
from features.home import data_folder
from features.load import LoadReport, ledger, load
from training.task import Task
from worlds.carmaker.truth import probabilities
from worlds.carmaker.world import World
from worlds.carmaker.write import write_world

__all__ = ["CUSTOMERS", "END", "convert", "latest_week", "true_probabilities"]

CUSTOMERS = 20_000
# Four years: an outcome of a year that settles 120 days later, with a whole window between fit and test.
WORLD = World(customers=CUSTOMERS, years=4)
END = datetime.combine(WORLD.end, time())
# A clock that runs ahead is part of the mess: such touchpoints are rejected and counted.
MAX_REJECT_SHARE = 0.001


def convert(warehouse: Path) -> LoadReport:
    """Write the world beside the warehouse and load it, mess and all; `truth/` and `leaks/` stay outside."""
    # Its own end, not END: another world may stand in for WORLD.
    folder, end = warehouse.with_name("invented"), datetime.combine(WORLD.end, time())
    write_world(WORLD, folder)
    return load(
        deliveries_in(folder, ignore=("truth", "leaks")),
        warehouse,
        complete_until=ledger(folder, end),
        delivered_at=end,
        max_reject_share=MAX_REJECT_SHARE,
    )


def latest_week(moment: datetime) -> datetime:
    """The last start of a week of the world at or before a moment: there the truth is exact."""
    start = datetime.combine(WORLD.start, time())
    return start + timedelta(days=7 * ((moment - start).days // 7))


def true_probabilities(task: Task, moments: pd.DataFrame) -> np.ndarray:
    """What no model can know: the probabilities given everything hidden (rows x horizons x kinds), for rows with
    customer_id and as_of.

    A second identity has no truth of its own and gets the mean.
    """
    asked, columns = (
        moments[["customer_id", "as_of"]],
        task.kinds if len(task.kinds) > 1 else ("probability",),
    )
    by_horizon = []
    for days in task.horizons_days:
        known = probabilities(data_folder() / "invented", asked, task.name, days)[list(columns)]
        by_horizon.append(known.fillna(known.mean()).to_numpy(dtype=np.float64))
    return np.stack(by_horizon, axis=1)
