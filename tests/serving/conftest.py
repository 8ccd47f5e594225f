"""A desk in a shop of one's own, which a test may change, with a clock that stands still."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from serving.desk import Desk
from serving.score_log import ScoreLog
from serving.scorer import Scorer
from training import registry

NOW = datetime(2024, 6, 19, 12, tzinfo=UTC)


@pytest.fixture
def own_desk(own_shop: Path) -> Desk:
    scorers = {champion.task: Scorer(champion) for champion in registry.champions()}
    return Desk(scorers, Path("var/features"), ScoreLog(Path("var/score-log")), lambda: NOW)
