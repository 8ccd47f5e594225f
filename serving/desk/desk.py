"""The desk that answers: champions and the night's rows, held in memory, behind a few questions."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.consent import SOURCE as CONSENTS
from features.decisions import Decisions
from features.errors import BadData, LedgerUnreadable, NoChampion, PropensityError, UnknownName
from features.home import data_folder
from features.pointer import pointed
from features.standing import Standing
from features.warehouse import Warehouse, connect
from serving.contract.about import Catalogue, ModelCard, TasksAnswer
from serving.contract.consents import ConsentsAnswer, ConsentsRequest
from serving.contract.decisions import DecisionsAnswer, DecisionsRequest
from serving.contract.events import EventsRequest, WhatIfAnswer, WhatIfRequest
from serving.contract.explanation import Explanation
from serving.contract.lists import ListAnswer, ListRequest
from serving.contract.people import DriftAnswer, FiltersAnswer, History, HistoryRequest
from serving.contract.refusals import Refused
from serving.contract.scores import ScoresAnswer
from serving.contract.words import Cautioned
from serving.desk import about, explain, suppose
from serving.desk.allowed import Held
from serving.desk.changes import changes
from serving.desk.consents import not_allowed, still_allowed, taken_in
from serving.desk.day import VALID, Day, nights
from serving.desk.drift import drift_of
from serving.desk.histories import folder_of
from serving.desk.idempotency import Repeats
from serving.desk.lists import list_of
from serving.desk.now import Now
from serving.desk.people import filters_of, history_of
from serving.desk.picked import Picked
from serving.desk.posted import Past, moment, past_of
from serving.desk.scoring import NOT_RANKED, Answered, Seen
from serving.score_log import LogFailed, Origin, ScoreLog
from serving.scorer import Scorer

__all__ = ["Desk"]

log = logging.getLogger(__name__)

RANKED_AT_ONCE = 50_000
"""Up to so many customers everybody is ranked before the first answer; more are ranked beside."""

SAMPLE = 200
"""Rows on which a model's tables are held against LightGBM."""


class Desk:
    """Opened once per worker; threads share it. `scorers` are the champions: whoever swaps one sets the whole mapping anew,
    then calls `refresh`. A request takes champions and day once, at its start, and sees them throughout. With `warm`, histories
    are made ready by another process before anybody posts events."""

    def __init__(
        self,
        scorers: Mapping[str, Scorer],
        folder: Path,
        log: ScoreLog,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        warehouse: Callable[[], Warehouse] = connect,
        *,
        warm: bool = False,
    ) -> None:
        self.scorers, self.folder, self.log, self.clock, self.warm = scorers, folder, log, clock, warm
        self.now = Now(warehouse, folder_of(folder.parent))
        self.repeats = Repeats(log.folder.with_name("idempotency"), ScoresAnswer)
        self._loading = threading.Lock()
        self._day: Day
        Standing.here().begin()
        self.refresh()

    @classmethod
    def open(cls, scorers: Mapping[str, Scorer] | None = None, *, warm: bool = False) -> "Desk":
        """With these champions, or else with those the registry names, and the current rows. Raises `NoChampion` when
        nothing was promoted."""
        if scorers is None:
            from training import registry  # noqa: PLC0415  its client weighs as much as a worker

            scorers = {champion.task: Scorer(champion) for champion in registry.champions()}
        if not scorers:
            raise NoChampion(
                "no model has been promoted yet: run `make demo` or `python -m training.train --task TASK`"
            )
        return cls(scorers, data_folder() / "features", ScoreLog(data_folder() / "score-log"), warm=warm)

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
                if self.warm:
                    self.now.expect(day.name)
                self._day = day
            if all(_ranked(day, scorer) for scorer in champions.values()):
                return
            if len(day.rows) <= RANKED_AT_ONCE:
                self._day = day.ranked(champions)
        threading.Thread(target=self._prepare, name="ranking", daemon=True).start()

    def _prepare(self) -> None:
        """Rank everybody, have large questions answered from tables and histories at hand; none of it changes a score."""
        try:
            with self._loading:
                try:
                    if not all(_ranked(self._day, scorer) for scorer in self.scorers.values()):
                        self._day = self._day.ranked(self.scorers)
                except LedgerUnreadable as error:
                    log.error("nobody is ranked: %s", error)
            sample = self._day.rows.table().slice(0, SAMPLE)
            for scorer in self.scorers.values():
                if scorer.model is scorer.loaded.model:
                    scorer.quicken(sample)
        finally:
            if self.warm:
                self.now.warm(self._day.name, self.scorers, frozenset(self._day.rows.fingerprints))

    @property
    def purposes(self) -> dict[str, str]:
        """For what each task's scores are used."""
        return {task: scorer.card.purpose for task, scorer in self.scorers.items()}

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
        rows, before = day.sheet.find(ids), None if day.before is None else day.before.find(ids)
        now = self.clock()
        found = [_answered(champions[task], day, rows, before, day.before_at) for task in chosen]
        answers = [one for each in found for one in self._logged(each, day.as_of, now).answers(ids)]
        warnings = _about_the_day(day, now, [champions[task] for task in chosen])
        models = {task: champions[task].used for task in chosen}
        return ScoresAnswer(day.as_of, day.expires_at, models, answers, warnings)

    def events(
        self,
        asked: EventsRequest,
        allowed: Collection[str] | None = None,
        asker: str = "",
    ) -> ScoresAnswer:
        """Scores of one customer from posted events, as of a moment. The same request under the same key of the same `asker` has
        one answer, whatever repeats it; of whoever is to be forgotten none is kept. Raises `Refused` for what cannot be believed,
        pointing at it."""
        key = asked.idempotency_key
        if key is None:
            return self._events(asked, allowed)
        erased = bool(Standing.here().now().erased([asked.customer_id]))
        given = self.repeats.once(
            asker, key, asked, self.clock(), lambda: self._events(asked, allowed), keep=not erased
        )
        return still_allowed(given, self.purposes)

    def decisions(
        self, asked: DecisionsRequest, allowed: Collection[str] | None = None, asker: str = ""
    ) -> DecisionsAnswer:
        """Let later scores say what people decided. Raises `UnknownName` for a task that is not offered, `Refused` for one that is not
        `allowed`, `NotAudited` or `LedgerUnreadable`, and then nothing was decided."""
        for place, one in enumerate(asked.decisions):
            if one.task not in self.scorers:
                raise UnknownName("task", one.task, self.scorers)
            if allowed is not None and one.task not in allowed:
                raise Refused(403, f"this token may not ask about {one.task!r}", f"/decisions/{place}/task")
        told = [(one.customer_id, one.task, one.decision) for one in asked.decisions]
        return DecisionsAnswer(Decisions.here().tell(told, asker), len(told))

    def consents(self, asked: ConsentsRequest, asker: str = "") -> ConsentsAnswer:
        """Mind from now on what customers gave and took back. Raises `NotAudited` or `LedgerUnreadable`, and then nothing holds."""
        return taken_in(asked, asker)

    def _events(self, asked: EventsRequest, allowed: Collection[str] | None) -> ScoresAnswer:
        champions, day, now = self.scorers, self.day(), self.clock()
        chosen = _chosen(champions, asked.tasks, allowed)
        as_of = moment(asked.as_of, now)
        past = self._past(asked.customer_id, asked.history, day, asked.events, as_of, now, "/events")
        rows = self._row(asked.customer_id, as_of, past, champions, day)
        # What changed since the night; nothing is said of moments before it.
        night = day.sheet.find([asked.customer_id]) if as_of > day.as_of else None
        found = [_answered(champions[task], day, rows, night, day.as_of) for task in chosen]
        answers = [
            one
            for each in found
            for one in self._logged(each, as_of, now, "events").answers([asked.customer_id])
        ]
        warnings = past.warnings + [NOT_RANKED] * (not self._all_ranked(day, champions, chosen))
        models = {task: champions[task].used for task in chosen}
        return ScoresAnswer(as_of, as_of + VALID, models, answers, warnings)

    def what_if(self, asked: WhatIfRequest, allowed: Collection[str] | None = None) -> WhatIfAnswer:
        """The customer as is and as supposed, side by side; nothing of it is logged. Raises `Refused` for what cannot be
        supposed."""
        champions, day, now = self.scorers, self.day(), self.clock()
        chosen = _chosen(champions, asked.tasks, allowed)
        suppose.require_one(asked)
        warnings = []
        if asked.as_of is None:
            as_of, as_is = day.as_of, day.sheet.find([asked.customer_id])
        else:
            as_of = moment(asked.as_of, now)
            past = self._past(asked.customer_id, "stored", day, None, as_of, now, "")
            as_is = self._row(asked.customer_id, as_of, past, champions, day)
        if asked.suppose.events is not None:
            past = self._past(
                asked.customer_id, "stored", day, asked.suppose.events, as_of, now, "/suppose/events"
            )
            supposed, warnings = self._row(asked.customer_id, as_of, past, champions, day), past.warnings
        else:
            supposed = suppose.changed(as_is, asked.suppose.features or {}, champions)
        return suppose.answer(
            asked.customer_id, as_of, as_is, supposed, [champions[t] for t in chosen], day, warnings
        )

    def _past(
        self, customer_id: str, history: str, day: Day, events: Any, as_of: datetime, now: datetime, at: str
    ) -> Past:
        histories = self.now.histories(day.name)
        stored = histories.of(customer_id)
        if history == "given":  # whose history ours is not; what they allow is, unless that is posted too
            held = CONSENTS in stored and not (events is not None and events.consents)
            stored = histories.nothing | ({CONSENTS: stored[CONSENTS]} if held else {})
        return past_of(customer_id, events, stored, as_of, now, at) if events is not None else Past(stored)

    def _row(
        self, customer_id: str, as_of: datetime, past: Past, champions: Mapping[str, Scorer], day: Day
    ) -> Picked:
        features = frozenset(day.rows.fingerprints)
        try:
            told = not_allowed(customer_id, day.sheet.find([customer_id]))
            return self.now.rows(customer_id, as_of, past.tables, champions, features, told)
        except BadData as error:
            raise Refused(422, str(error), "/events") from error

    def _all_ranked(self, day: Day, champions: Mapping[str, Scorer], chosen: Sequence[str]) -> bool:
        return all(_ranked(day, champions[task]) for task in chosen)

    def campaign_list(self, asked: ListRequest, allowed: Collection[str] | None = None) -> ListAnswer:
        """The top of a task within filters, what it will hold and bring. Raises `UnknownName` and `Refused` as `scores` does."""
        champions, day, now = self.scorers, self.day(), self.clock()
        if asked.task not in champions:
            raise UnknownName("task", asked.task, champions)
        if allowed is not None and asked.task not in allowed:
            raise Refused(403, f"this token may not ask about {asked.task!r}", "/task")
        scorer = champions[asked.task]
        return list_of(asked, scorer, day, VALID, _about_the_day(day, now, [scorer]))

    def history(self, asked: HistoryRequest, allowed: Collection[str] | None = None) -> History:
        """A customer's past month by month, as a person looks at it. Raises `Refused` (404) for someone not known."""
        champions, day = self.scorers, self.day()
        if not len(day.sheet.find([asked.customer_id])):
            raise Refused(404, "this customer is not known to us")
        tasks = _chosen(champions, None, allowed)
        return history_of(asked.customer_id, asked.months, self.now, champions, tasks, day)

    def filters(self) -> FiltersAnswer:
        """What lists may be filtered by here."""
        return filters_of(self.day())

    def drift(self, allowed: Collection[str] | None = None) -> DriftAnswer:
        """How far tonight's customers are from those the models learned from."""
        champions, day = self.scorers, self.day()
        found = [drift_of(champions[task], day) for task in _chosen(champions, None, allowed)]
        return DriftAnswer(day.as_of, [one for one in found if one is not None])

    def explanation(self, score_id: str, allowed: Collection[str] | None = None) -> Explanation:
        """Why a score was what it was, also after its model was replaced. Raises `Refused` when the log holds none."""
        found = explain.explanation(self.log, score_id, self.scorers, self._consents, self.clock())
        if allowed is not None and found.task not in allowed:
            raise Refused(404, "the log holds no score by this id")
        return found

    def _consents(self, customer_id: str) -> Held:
        try:
            stored = self.now.histories(self.day().name).of(customer_id)
        except (Refused, PropensityError) as error:
            log.warning("what is held of consents cannot be read: %s", error)
            return "unreachable"
        return stored.get(CONSENTS, "elsewhere")

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

    def _logged(
        self, answered: Answered, as_of: datetime, now: datetime, origin: Origin = "rows"
    ) -> Answered:
        try:
            return answered.logged(self.log, as_of, origin, now)
        except LogFailed as error:
            raise Refused(503, str(error)) from error


def _answered(
    scorer: Scorer, day: Day, rows: Picked, before: Picked | None, since: datetime | None
) -> Answered:
    """What is said of rows, and what changed `since` the rows `before` them, where there are any."""
    if before is None or since is None:
        return Answered.of(Seen.of(scorer, rows), day.population(scorer))
    seen, then = Seen.of_each(scorer, rows, before)
    return Answered.of(seen, day.population(scorer), changes(seen, then, since))


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
