"""The desk that answers: champions and the night's rows, held in memory, behind a few questions."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from features.errors import NoChampion, UnknownName
from features.home import data_folder
from features.pointer import pointed
from serving.contract.about import Catalogue, ModelCard, TasksAnswer
from serving.contract.explanation import Explanation
from serving.contract.refusals import Refused
from serving.contract.scores import ScoresAnswer
from serving.contract.words import Cautioned
from serving.desk import about, explain
from serving.desk.changes import changes
from serving.desk.day import VALID, Day, nights
from serving.desk.scoring import NOT_RANKED, Answered, Seen
from serving.score_log import LogFailed, ScoreLog
from serving.scorer import Scorer
from training import registry

__all__ = ["Desk"]

RANKED_AT_ONCE = 50_000
"""Up to so many customers everybody is ranked before the first answer; more are ranked beside."""


class Desk:
    """Opened once per worker; threads share it. `scorers` are the champions: whoever swaps one sets the whole mapping anew,
    then calls `refresh`. A request takes champions and day once, at its start, and sees them throughout."""

    def __init__(
        self,
        scorers: Mapping[str, Scorer],
        folder: Path,
        log: ScoreLog,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.scorers, self.folder, self.log, self.clock = scorers, folder, log, clock
        self._loading = threading.Lock()
        self._day: Day
        self.refresh()

    @classmethod
    def open(cls) -> "Desk":
        """Load every champion and the current rows. Raises `NoChampion` when nothing was promoted."""
        scorers = {champion.task: Scorer(champion) for champion in registry.champions()}
        if not scorers:
            raise NoChampion(
                "no model has been promoted yet: run `make demo` or `python -m training.train --task TASK`"
            )
        return cls(scorers, data_folder() / "features", ScoreLog(data_folder() / "score-log"))

    # what it holds

    def refresh(self) -> None:
        """Take up the night's rows where the pointer has moved, and rank everybody by the champions of now. It costs a few
        microseconds when there is nothing to do. Raises `NoWarehouse` when there are no rows, `BadModel` when they are of
        other features than a champion's; the day before then stays."""
        with self._loading:
            champions = self.scorers
            day = getattr(self, "_day", None)
            if day is None or day.name != pointed(self.folder):
                day = nights(self.folder)
                for scorer in champions.values():
                    scorer.require(day.rows.fingerprints)
                self._day = day
            if all(_ranked(day, scorer) for scorer in champions.values()):
                return
            if len(day.rows) <= RANKED_AT_ONCE:
                self._day = day.ranked(champions)
                return
        threading.Thread(target=self._rank, name="ranking", daemon=True).start()

    def _rank(self) -> None:
        with self._loading:
            if not all(_ranked(self._day, scorer) for scorer in self.scorers.values()):
                self._day = self._day.ranked(self.scorers)

    def day(self) -> Day:
        """The day a request sees: the one that is there, unless the pointer has moved and nobody is loading already."""
        if self._day.name != pointed(self.folder) and not self._loading.locked():
            self.refresh()
        return self._day

    # what it answers

    def scores(
        self,
        customer_ids: Sequence[str],
        tasks: Sequence[str] | None = None,
        allowed: Collection[str] | None = None,
    ) -> ScoresAnswer:
        """Answers for each task and customer, in the order asked, each once. Raises `UnknownName` for a task that is not
        offered, `Refused` for one that is not `allowed` or when the log cannot be written."""
        champions, day = self.scorers, self.day()
        chosen = _chosen(champions, tasks, allowed)
        ids = list(dict.fromkeys(customer_ids))
        rows = day.sheet.find(ids)
        now, found = self.clock(), []
        for task in chosen:
            scorer = champions[task]
            seen, moved = Seen.of(scorer, rows), None
            if day.before is not None and day.before_at is not None:
                moved = changes(seen, Seen.of(scorer, day.before.find(seen.mine.customer_ids)), day.before_at)
            found.append(Answered.of(seen, day.population(scorer), moved))
        answers = [one for each in found for one in self._logged(each, day.as_of, now).answers(ids)]
        warnings = _about_the_day(day, now, [champions[task] for task in chosen])
        models = {task: champions[task].used for task in chosen}
        return ScoresAnswer(day.as_of, day.expires_at, models, answers, warnings)

    def explanation(self, score_id: str, allowed: Collection[str] | None = None) -> Explanation:
        """Why a score was what it was, also after its model was replaced. Raises `Refused` when the log holds none."""
        found = explain.explanation(self.log, score_id, self.scorers)
        if allowed is not None and found.task not in allowed:
            raise Refused(404, "the log holds no score by this id")
        return found

    def tasks(self) -> TasksAnswer:
        """What may be asked, and how good the answers were out of sample."""
        return TasksAnswer([about.offered(scorer) for scorer in self.scorers.values()])

    def card(self, task: str) -> ModelCard:
        """The page of the model that serves a task. Raises `Refused` when there is none."""
        scorer = self.scorers.get(task)
        if scorer is None:
            raise Refused(404, f"no model serves {task!r}; there are: {', '.join(sorted(self.scorers))}")
        return about.card(scorer)

    def catalogue(self) -> Catalogue:
        """Every feature of the rows, in words."""
        return about.catalogue(self._day.rows.fingerprints, self.scorers)

    def self_test(self) -> None:
        """A real prediction by every model, compared bit for bit. Raises `BadModel` if one differs."""
        for scorer in self.scorers.values():
            scorer.loaded.self_test()

    def _logged(self, answered: Answered, as_of: datetime, now: datetime) -> Answered:
        try:
            return answered.logged(self.log, as_of, "rows", now)
        except LogFailed as error:
            raise Refused(503, str(error)) from error


def _ranked(day: Day, scorer: Scorer) -> bool:
    return day.population(scorer) is not None


def _chosen(
    champions: Mapping[str, Scorer], tasks: Sequence[str] | None, allowed: Collection[str] | None
) -> list[str]:
    """The tasks asked for, each once; without names, all that are offered to who asks."""
    for place, task in enumerate(tasks or ()):
        if task not in champions:
            raise UnknownName("task", task, champions)
        if allowed is not None and task not in allowed:
            raise Refused(403, f"this token may not ask about {task!r}", f"/tasks/{place}")
    every = [task for task in champions if allowed is None or task in allowed]
    return list(dict.fromkeys(tasks or every))


def _about_the_day(day: Day, now: datetime, scorers: Sequence[Scorer]) -> list[Cautioned]:
    """What holds for every score of an answer."""
    found = []
    old = now.replace(tzinfo=None) - day.as_of
    if old > VALID:
        found.append(
            Cautioned(
                "rows_are_old",
                f"The feature rows are {old.days:,} days old; scores may be acted on for {VALID.days}",
                f"特征数据已过{old.days:,}天；评分有效期为{VALID.days}天",
                count=old.days,
            )
        )
    if not all(_ranked(day, scorer) for scorer in scorers):
        found.append(NOT_RANKED)
    return found
