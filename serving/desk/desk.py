"""The desk that answers: champions and today's feature rows, held in memory, behind three questions."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from features import nightly
from features.errors import NoChampion, UnknownName
from features.home import data_folder
from features.nightly import NightlyRows
from features.pointer import pointed
from serving.contract.about import TaskOffered, TasksAnswer
from serving.contract.scores import ScoresAnswer
from serving.scorer import Scorer
from training import registry

__all__ = ["Desk"]

VALID = timedelta(days=7)


class Desk:
    """Opened once per worker. `rows` follow the nightly pointer; a request sees one set of rows throughout."""

    def __init__(self, scorers: dict[str, Scorer], folder: Path) -> None:
        self.scorers, self.folder = scorers, folder
        self._pointed = ""
        self._rows: NightlyRows
        self.rows()

    @classmethod
    def open(cls) -> "Desk":
        """Load every champion and the current rows. Raises `NoChampion` when nothing was promoted."""
        scorers = {champion.task: Scorer(champion) for champion in registry.champions()}
        if not scorers:
            raise NoChampion(
                "no model has been promoted yet: run `make demo` or `python -m training.train --task TASK`"
            )
        return cls(scorers, data_folder() / "features")

    def rows(self) -> NightlyRows:
        """The current nightly rows, checked against every model when they change."""
        current = pointed(self.folder)
        if current != self._pointed or not current:
            rows = nightly.latest(self.folder)
            for scorer in self.scorers.values():
                scorer.require(rows.fingerprints)
            self._rows, self._pointed = rows, current
        return self._rows

    def scores(self, customer_ids: Sequence[str], tasks: Sequence[str] | None) -> ScoresAnswer:
        """Answers for each task and customer. Raises `UnknownName` for a task that is not offered."""
        chosen = list(dict.fromkeys(tasks or self.scorers))
        for task in chosen:
            if task not in self.scorers:
                raise UnknownName("task", task, self.scorers)
        ids = list(dict.fromkeys(customer_ids))
        rows = self.rows()
        found = rows.find(ids)
        answers = [answer for task in chosen for answer in self.scorers[task].answers(found, ids)]
        return ScoresAnswer(
            rows.as_of, rows.as_of + VALID, {task: self.scorers[task].used for task in chosen}, answers
        )

    def tasks(self) -> TasksAnswer:
        """What may be asked, and how good the answers were out of sample."""
        return TasksAnswer([_offered(scorer) for scorer in self.scorers.values()])

    def self_test(self) -> None:
        """A real prediction by every model, compared bit for bit. Raises `BadModel` if one differs."""
        for scorer in self.scorers.values():
            scorer.loaded.self_test()


def _offered(scorer: Scorer) -> TaskOffered:
    card = scorer.card
    auc, low, high = card.figures["model"]["auc"]
    return TaskOffered(
        name=card.task,
        question=card.question,
        cohort=card.cohort,
        outcomes=card.kinds,
        wanted=card.wanted,
        horizons_days=card.horizons_days,
        horizon_days=card.horizon_days,
        purpose=card.purpose,
        model=scorer.used,
        grade_a_from=card.grades.a,
        grade_b_from=card.grades.b,
        grades_dated=card.grades.dated,
        roc_auc=auc,
        roc_auc_low=low,
        roc_auc_high=high,
    )
