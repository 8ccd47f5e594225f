"""Every test runs in an empty folder of its own, with none of our environment variables set."""

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
def in_shop(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in the shop's folder: the default addresses then lead to its data."""
    monkeypatch.chdir(shop)
    return shop
