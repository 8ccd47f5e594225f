"""The true effect of the campaign with a hold-out, person by person: what an uplift model may be judged against."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from worlds.carmaker.truth import Look, Watch, ahead, batches, state_at
from worlds.carmaker.write import NotOursError, read_world

__all__ = ["campaign_effects"]

_ORDER = Watch(
    ("first", "additional", "replacement"),
    lambda _, rate: [rate["first"] + rate["additional"] + rate["replacement"]],
)


def campaign_effects(folder: Path, days: int = 90, paths: int = 16) -> pd.DataFrame:
    """Probability of an order within `days` of the campaign's start, if treated and if held out, of everybody who could be reached.

    Columns: customer_id, treated (the arm drawn), effect (on interest, as planted), if_treated, if_held_out. The two differ
    by the message alone: both arms live through the same chances, as far as they do the same. Raises `NotOursError` for a world without the campaign.
    """
    world = read_world(folder)
    if not world.campaign:
        raise NotOursError(f"the world in {folder} was written with --no-campaign: it has no effect to know")
    told: pd.DataFrame = pq.read_table(folder / "truth" / "campaign").to_pandas()
    start = pd.Timestamp(world.start) + pd.Timedelta(days=7 * world.campaign_week)
    arms = {True: np.full(len(told), np.nan), False: np.full(len(told), np.nan)}
    for block, day, rows, who in batches(world, told["customer_id"], pd.Series([start.date()] * len(told))):
        traits, state = state_at(folder, block, world.campaign_week)
        copies = np.repeat(who, paths)
        for treated, found in arms.items():
            people = traits.take(copies)
            people.treated[:] = treated
            look = Look(world, people, state.take(copies), day, days, world.rng(block, "uplift"))
            found[rows] = ahead(look, _ORDER).reshape(-1, paths).mean(axis=1)
    return told[["customer_id", "treated", "effect"]].assign(if_treated=arms[True], if_held_out=arms[False])
