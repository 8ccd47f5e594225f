"""A training run is certified: clean, it is promoted with its seal on the card; with a leak it never is."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features import timeline
from features.certificate import Certificate
from features.errors import LeakFound, NoChampion
from features.sources import CANONICAL
from features.warehouse import Warehouse, connect, in_memory
from tests.shop import END, customers_and_orders
from training import leak_hunt, registry
from training.dataset import dataset
from training.leak_hunt import certificate
from training.plan import Plan
from training.tasks import task_named
from training.train import train

DAY = np.timedelta64(1, "D")
PLANNED = Plan(
    (datetime(2023, 6, 1), datetime(2023, 8, 1)), (datetime(2023, 8, 1),), (datetime(2024, 2, 1),), "in time"
)


def notes_before_orders(back_days: tuple[int, int]) -> pa.Table:
    """Messages dated so long before an order, though written because of it, and known at their date: they lie."""
    orders = customers_and_orders()["orders"].to_pandas()
    back = np.random.default_rng(5).integers(*back_days, len(orders)) * DAY
    dated = orders["happened_at"].to_numpy() - back
    return pa.table(
        {
            "contact_id": "N" + orders["order_id"].astype(str),
            "customer_id": orders["customer_id"],
            "happened_at": dated,
            "known_at": dated,
            "kind": ["sent"] * len(orders),
        }
    )


def shop_with(**more: pa.Table) -> Warehouse:
    return in_memory(customers_and_orders() | more, dict.fromkeys(CANONICAL, END))


def test_planted_notes_are_caught_and_the_model_is_not_promoted(capsys: pytest.CaptureFixture[str]) -> None:
    held = shop_with(contacts=notes_before_orders((40, 80)))
    trained = train(task_named("purchase_intent", held), held, PLANNED)
    seal = trained.card.certificate
    assert not trained.card.unbeaten, "its ranking is splendid"
    assert not trained.promoted
    assert seal is not None
    assert not seal.clean
    assert "contacts" in seal.finding
    assert seal.finding in trained.verdict.refused
    assert "LEAK" in str(trained.card)
    with pytest.raises(NoChampion):
        registry.champion("purchase_intent")
    logged = mlflow.artifacts.load_text(f"runs:/{trained.run_id}/certificate.json")
    assert Certificate.from_json(logged.encode()).digest == seal.digest
    assert seal.digest in trained.page.read_text()


def test_a_line_in_time_that_forgets_a_clock_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders known a fortnight late, and a past that goes by the day they happened."""
    late = customers_and_orders()["orders"]
    known = pa.array(late["happened_at"].to_numpy() + 14 * DAY)
    held = shop_with(orders=late.set_column(late.column_names.index("known_at"), "known_at", known))
    honest = timeline.past

    def blind(moments: Any, events: Any) -> Any:
        return honest(moments, events.mutate(known_at=events.happened_at))

    assert certified(held).clean
    monkeypatch.setattr(timeline, "past", blind)
    assert "days_since_order" in certified(held).leaks


def certified(held: Warehouse) -> Certificate:
    task = task_named("churn", held)
    planned = Plan((datetime(2023, 6, 1),), (datetime(2023, 6, 1),), (datetime(2023, 9, 1),), "")
    return certificate(task, held, planned, dataset(task, held, planned.dates))


def test_a_clean_run_has_its_seal_on_the_card(in_shop: Path) -> None:
    for task in ("churn", "purchase_intent"):
        card = registry.champion(task).loaded.card
        assert card.certificate is not None
        assert card.certificate.clean
        assert card.certificate.digest in str(card)
        assert "0 values changed" in str(card)


def test_the_command_names_attributes_that_know_the_outcome(
    in_shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dated like an honest table, one row per customer: how many orders there will have been by the end."""
    orders = connect().tables["orders"].execute()
    later = orders[orders["happened_at"] >= END - timedelta(days=13 * 7)]
    people = sorted(orders["customer_id"].unique())
    rows = {
        "customer_id": people,
        "known_at": datetime(2021, 1, 1),
        "will_order": np.isin(people, later["customer_id"]).astype(int),
    }
    pd.DataFrame(rows).to_parquet(tmp_path / "wishes.parquet")
    pd.DataFrame(rows | {"will_order": np.arange(len(people)) % 7}).to_parquet(tmp_path / "whims.parquet")
    leak_hunt.main(attributes=[tmp_path / "whims.parquet"], task=["purchase_intent"])
    with pytest.raises(LeakFound, match=r"wishes\.will_order"):
        leak_hunt.main(attributes=[tmp_path / "wishes.parquet"], task=["purchase_intent"])
    assert "whims" not in capsys.readouterr().out
