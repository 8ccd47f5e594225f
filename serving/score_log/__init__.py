"""The log of scores given: what each was made of, so that any of them can be explained when its model is long gone.

record      how scores and models lie in a segment, packed and checked
log         adding to a segment of one's own, finding a score by its id
persons     what a segment holds of a customer: told on request, blanked on erasure
"""

from serving.score_log.log import ScoreLog
from serving.score_log.persons import blanked, scores_of
from serving.score_log.record import (
    SUFFIX,
    Column,
    LogFailed,
    LoggedModel,
    LoggedScore,
    Origin,
    Scores,
    contents,
    records,
)

__all__ = [
    "SUFFIX",
    "Column",
    "LogFailed",
    "LoggedModel",
    "LoggedScore",
    "Origin",
    "ScoreLog",
    "Scores",
    "blanked",
    "contents",
    "records",
    "scores_of",
]
