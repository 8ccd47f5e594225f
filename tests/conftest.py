"""Every test runs in an empty folder of its own, with none of our environment variables set."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.no_way_out import no_way_out
from tests.shop import open_shop

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

OURS = (
    "PROPENSITY_VAR",
    "WAREHOUSE_URL",
    "MLFLOW_TRACKING_URI",
    "SCORES_URL",
    "AUDIT_URL",
    "AUDIT_ANCHORS_URL",
    "LEDGERS_URL",
    "PSEUDONYM_KEY",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
)
COUNTED_ON = ("features", "scores", "promotions")  # of what a shop holds, what all tests read


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which both tasks of a small invented shop are loaded, trained, promoted and scored, with every way out closed."""
    with no_way_out() as asked_for:
        folder = open_shop(tmp_path_factory.mktemp("shop"))
    assert asked_for == [], "a load, a training or a batch asked for something outside"
    return folder


@pytest.fixture
def in_shop(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in the shop's folder, which is everybody's: the default addresses then lead to its data. Who makes nights, runs or champions
    at the default addresses takes `own_shop`."""
    monkeypatch.chdir(shop)
    before = _held(shop)
    yield shop
    assert _held(shop) == before, "this test changed what all tests share: it wants `own_shop`"


def _held(shop: Path) -> dict[Path, int]:
    return {one: one.stat().st_size for name in COUNTED_ON for one in (shop / "var" / name).iterdir()}


@pytest.fixture
def own_shop(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a copy of the shop's folder, which the test may change."""
    shutil.copytree(shop / "var", tmp_path / "shop/var", symlinks=True)
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"
