"""A desk in a shop of one's own, which a test may change, with a clock that stands still."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serving.desk import Desk
from serving.score_log import ScoreLog
from serving.scorer import Scorer
from training import registry

NOW = datetime(2024, 6, 19, 12, tzinfo=UTC)


@pytest.fixture
def own_desk(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    shutil.copytree(shop / "var", tmp_path / "shop/var", symlinks=True)
    monkeypatch.chdir(tmp_path / "shop")
    scorers = {champion.task: Scorer(champion) for champion in registry.champions()}
    return Desk(scorers, Path("var/features"), ScoreLog(Path("var/score-log")), lambda: NOW)
