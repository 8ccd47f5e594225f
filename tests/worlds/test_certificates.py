"""On whole worlds: every planted leak is caught, no feature of any task is accused."""

from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from features.attributes import offered
from features.certify import certify, default_moments
from features.delivery import deliveries_in
from features.leaks import hunts_of_form, undated, written_after
from features.load import ledger, load
from features.warehouse import Warehouse, connect
from training.leak_hunt import hunted
from training.plan import plan
from training.tasks import offered as offered_tasks
from worlds import cdnow
from worlds.carmaker.world import World
from worlds.carmaker.write import write_world

END = datetime(2025, 7, 1)
quiet = partial(Console, quiet=True)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def carmaker(messy: Path, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("certified")
    given = deliveries_in(messy, ignore=("truth", "leaks"))
    load(given, folder, complete_until=ledger(messy, END), delivered_at=END, max_reject_share=0.001)
    return connect(str(folder))


@pytest.mark.parametrize("seed", [1, 2, 5, 8])
def test_both_planted_tables_are_caught_by_their_form(seed: int, tmp_path: Path) -> None:
    write_world(World(customers=6_000, seed=seed), tmp_path / "w", threads=1, console=quiet())
    tables = offered([tmp_path / "w" / "leaks"])
    assert len(undated("customer_snapshot", tables["customer_snapshot"])) == 5
    assert undated("adviser_notes", tables["adviser_notes"]) == []
    assert [a.column for a in written_after("adviser_notes", tables["adviser_notes"], END)] == ["written_at"]


def test_the_whole_catalogue_is_certified_on_an_invented_carmaker(carmaker: Warehouse) -> None:
    certificate = certify(
        carmaker, default_moments(carmaker)[2:], customers=2_000, hunts=hunts_of_form(carmaker, [])
    )
    assert certificate.leaks == []
    assert len(certificate.features) == 375
    assert [hunt.columns for hunt in certificate.hunts] == [0, 4, 0, 0]


def test_planted_columns_are_caught_among_all_features_and_no_feature_is(
    carmaker: Warehouse, messy: Path
) -> None:
    tables = offered([messy / "leaks"])
    tables["adviser_notes"] = tables["adviser_notes"].drop_columns("written_at")  # which gives it away
    task = offered_tasks(carmaker)["purchase_intent"]
    hunts = hunted(task, carmaker, plan(task, carmaker), tables)
    accused = {one.column for hunt in hunts for one in hunt.accused}
    assert "customer_snapshot.lifetime_orders" in accused
    assert "adviser_notes.rating, greatest in 30 days" in accused
    assert {column.split(".")[0] for column in accused} == {"customer_snapshot", "adviser_notes"}


@pytest.mark.parametrize("name", ["churn", "repurchase"])
def test_no_feature_is_accused_of_knowing_an_outcome(carmaker: Warehouse, name: str) -> None:
    task = offered_tasks(carmaker)[name]
    hunts = hunted(task, carmaker, plan(task, carmaker), {})
    assert [one for hunt in hunts for one in hunt.accused] == []
    assert min(hunt.columns for hunt in hunts) > 340


def test_no_feature_is_accused_on_real_orders(tmp_path: Path) -> None:
    cdnow.convert(tmp_path / "cdnow")
    held = connect(str(tmp_path / "cdnow"))
    for task in offered_tasks(held).values():
        hunts = hunted(task, held, plan(task, held), {})
        assert [one for hunt in hunts for one in hunt.accused] == [], task.name
    assert certify(held, default_moments(held)).clean
