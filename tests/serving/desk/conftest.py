"""A desk in the shop, with a log of its own and a clock that stands still."""

from pathlib import Path

import pytest

from serving.desk import Desk
from serving.score_log import ScoreLog
from serving.scorer import Scorer
from tests.serving.conftest import NOW
from training import registry


@pytest.fixture(scope="session")
def scorers(shop: Path) -> dict[str, Scorer]:
    with pytest.MonkeyPatch.context() as there:
        there.chdir(shop)
        return {champion.task: Scorer(champion) for champion in registry.champions()}


@pytest.fixture
def desk(in_shop: Path, scorers: dict[str, Scorer], tmp_path: Path) -> Desk:
    return Desk(scorers, in_shop / "var/features", ScoreLog(tmp_path / "score-log"), lambda: NOW)
