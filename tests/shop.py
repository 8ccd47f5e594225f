"""A small invented shop: customers who allow everything, order at their own pace and drift away at their own time."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.consent import PURPOSES
from features.delivery import Delivery
from features.load import load
from features.sources import CANONICAL
from features.warehouse import connect
from serving.batch import batch
from training.plan import plan
from training.tasks import task_named
from training.train import train

__all__ = ["BEGIN", "END", "customers_and_orders", "given_or_new", "open_shop", "open_shop_elsewhere"]

BEGIN = np.datetime64("2022-01-01T00:00:00", "s")
DAYS = 900
END = datetime(2024, 6, 19)  # 900 days later


def customers_and_orders(count: int = 1500, seed: int = 3) -> dict[str, pa.Table]:
    """Orders at a personal pace, with jitter, until a personal day of leaving."""
    generator = np.random.default_rng(seed)
    period = np.exp(generator.normal(np.log(50), 0.9, count)).clip(5, 400)
    joined = generator.integers(0, 200, count)
    active = np.minimum(generator.exponential(700, count), DAYS - 1 - joined)
    numbers = 1 + (active // period).astype(int)
    who = np.repeat(np.arange(count), numbers)
    nth = np.arange(len(who)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    day = joined[who] + (
        nth * period[who] + (nth > 0) * generator.normal(0, 0.25, len(who)) * period[who]
    ).clip(0, active[who])
    at = BEGIN + np.floor(day * 86_400).astype("timedelta64[s]")
    ids = np.char.add("C", np.char.zfill(np.arange(count).astype(str), 5))
    first = BEGIN + (joined * 86_400).astype("timedelta64[s]")
    customers = {"profile_id": ids, "customer_id": ids, "happened_at": first, "known_at": first}
    orders = {
        "order_id": np.char.add("O", np.arange(len(who)).astype(str)),
        "customer_id": ids[who],
        "happened_at": at,
        "known_at": at,
        "kind": ["order"] * len(who),
        "quantity": generator.integers(1, 5, len(who)),
        "amount_cents": np.round(np.exp(generator.normal(8, 0.6, len(who)))).astype("int64"),
    }
    agreed = {
        "consent_id": np.concatenate([np.char.add(f"{purpose}-", ids) for purpose in PURPOSES]),
        "customer_id": np.tile(ids, len(PURPOSES)),
        "happened_at": np.tile(first, len(PURPOSES)),
        "known_at": np.tile(first, len(PURPOSES)),
        "purpose": np.repeat(PURPOSES, count),
        "state": ["granted"] * (count * len(PURPOSES)),
    }
    return {"customers": pa.table(customers), "consents": pa.table(agreed), "orders": pa.table(orders)}


def open_shop(folder: Path) -> Path:
    """Load, train and score in `folder`; afterwards it is what `var/` and the default addresses are relative to."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        deliveries = [
            Delivery(CANONICAL[name], f"{name}.parquet", table)
            for name, table in customers_and_orders().items()
        ]
        load(
            deliveries, Path("var/warehouse"), complete_until=dict.fromkeys(CANONICAL, END), delivered_at=END
        )
        warehouse = connect()
        for name in ("churn", "purchase_intent"):
            task = task_named(name, warehouse)
            # One later date with everyone: the same figures whatever the plan chooses by itself.
            planned = plan(task, warehouse, test_at=task.latest_closed(warehouse), everyone=True)
            trained = train(task, warehouse, planned)
            assert trained.promoted, trained.report
        batch(warehouse, END)
    finally:
        os.chdir(here)
    return folder


def open_shop_elsewhere(folder: Path) -> None:
    """The same in a process of its own: whoever forks afterwards has no threads of LightGBM to lose."""
    making = f"from tests.shop import open_shop; from pathlib import Path; open_shop(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", making], check=True, stderr=subprocess.DEVNULL)


def given_or_new(shop: Path | None, scratch: Path) -> Path:
    """The shop that is there already, or one made in the folder `scratch`."""
    if shop:
        return shop
    made = scratch / "shop"
    made.mkdir()
    open_shop_elsewhere(made)
    return made
