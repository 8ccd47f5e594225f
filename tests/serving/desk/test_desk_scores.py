"""Scores by id: what the scorer says of everybody, with standing, change, next step and an explanation that adds up."""

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from features import nightly
from features.errors import UnknownName
from features.matrix import matrix
from features.warehouse import connect
from serving.contract.refusals import Refused
from serving.contract.scores import Score
from serving.desk import Desk
from serving.desk.next_step import next_steps
from serving.desk.picked import Sheet
from serving.desk.population import FEWEST, Population
from serving.desk.scoring import Seen
from serving.desk.segments import Grouped
from serving.score_log import ScoreLog
from serving.scorer import Scorer
from tests.serving.desk.conftest import NOW
from tests.shop import END


def scored(desk: Desk, task: str) -> dict[str, Score]:
    ids = desk.day().sheet.all().customer_ids
    return {one.customer_id: one for one in desk.scores(ids, [task]).scores if one.status == "scored"}


def test_the_desk_gives_the_scorers_numbers_to_the_bit(desk: Desk) -> None:
    rows = nightly.latest().table()
    for task, scorer in desk.scorers.items():
        wanted, found = scorer.score(rows), scored(desk, task)
        eligible = rows.filter(pa.array(wanted.eligible))["customer_id"].to_pylist()
        assert list(found) == eligible
        assert [one.probability for one in found.values()] == wanted.probabilities.tolist()
        assert [one.grade for one in found.values()] == list(wanted.grades)
        assert [one.reasons for one in found.values()] == scorer.explainer.reasons(
            wanted.rows, scorer.parts(wanted.rows)
        )


def test_alone_or_together_and_in_the_order_asked_each_once(desk: Desk) -> None:
    everyone = scored(desk, "churn")
    for customer in list(everyone)[::200]:
        (alone,) = desk.scores([customer], ["churn"]).scores
        assert msgspec.structs.replace(alone, score_id=None) == msgspec.structs.replace(
            everyone[customer], score_id=None
        )
    asked = ["C00007", "nobody", "C00003", "C00007", "", "顾客"]
    told = desk.scores(asked, ["purchase_intent", "churn", "churn"]).scores
    assert [(one.task, one.customer_id) for one in told] == [
        (task, one) for task in ("purchase_intent", "churn") for one in dict.fromkeys(asked)
    ]
    assert [one.status for one in told[:5]] == ["scored", "unknown", "scored", "unknown", "unknown"]


def test_an_answer_says_until_when_it_holds_and_warns_when_it_is_old(desk: Desk) -> None:
    told = desk.scores(["C00001"])
    assert (told.as_of, told.expires_at, told.warnings) == (END, END + timedelta(days=7), [])
    assert told.models["churn"].grade_a_from == desk.scorers["churn"].card.grades.a
    desk.clock = lambda: NOW + timedelta(days=30)
    assert [(one.code, one.count) for one in desk.scores(["C00001"]).warnings] == [("rows_are_old", 30)]


def test_percentiles_are_the_share_of_the_scored_that_lie_below(desk: Desk) -> None:
    for task in desk.scorers:
        found = scored(desk, task)
        chances = [one.probability or 0.0 for one in found.values()]
        for one in list(found.values())[::50]:
            below = sum(chance < (one.probability or 0.0) for chance in chances)
            assert one.percentile == pytest.approx(100 * below / len(chances))


def test_within_a_segment_a_score_is_compared_with_those_of_its_value() -> None:
    luck = np.random.default_rng(5)
    chances, values = (
        luck.random(500).round(2),
        luck.choice(["north", "south", "tiny", None], 500, p=[0.5, 0.4, 0.02, 0.08]),
    )
    place = np.arange(500)
    region = Grouped.of(pa.chunked_array([pa.array(values.tolist(), pa.string())]))
    population = Population.of("1", chances, place, {"region": region})
    told = population.standing(chances, {"region": values.tolist(), "stage": ["owner"] * 500})
    for row, found in enumerate(told):
        others = chances[values == values[row]]
        if values[row] is None or len(others) < FEWEST:
            assert found == []
        else:
            (within,) = found
            assert (within.segment, within.value, within.customers) == ("region", values[row], len(others))
            assert within.percentile == pytest.approx(100 * np.mean(others < chances[row]))
    assert population.probability.tolist() == sorted(chances.tolist(), reverse=True)
    assert chances[population.place].tolist() == population.probability.tolist()


def test_picked_rows_are_the_matrix_to_the_bit(in_shop: Path) -> None:
    rows = nightly.latest()
    table = rows.table()
    names = [f.name for f in table.schema if f.type != pa.string()]
    levels = {"region": ("north", "south")}
    odd = pa.array([None, "south", "atlantis", "north"] * (len(table) // 4 + 1)).slice(0, len(table))
    table = table.set_column(table.column_names.index("region"), "region", odd)
    wanted = matrix(table, [*names, "region"], levels)
    for size in (1, 7, 64, 2_000):  # blocks of other sizes, and blocks that begin inside a buffer
        sheet = Sheet(
            [b for piece in range(0, len(table), size) for b in table.slice(piece, size).to_batches()]
        )
        ids = table["customer_id"].to_pylist()
        places = np.random.default_rng(size).permutation(len(ids))[:200]
        found = sheet.find([ids[n] for n in places]).matrix([*names, "region"], levels, range(len(names) + 1))
        assert found.tobytes() == wanted[places].tobytes()


@pytest.mark.parametrize(
    ("unanswered", "refused", "replied", "grade", "step"),
    [
        (0, None, None, "A", "automatic"),
        (2, None, None, "B", "automatic"),
        (3, None, None, "A", "human"),
        (9, None, 400, "B", "human"),
        (9, None, None, "C", "none"),
        (0, 10, None, "A", "none"),
        (5, 10, 20, "A", "none"),
        (0, 10, 5, "A", "automatic"),
        (None, None, None, "B", "automatic"),
    ],
)
def test_the_next_step_follows_the_three_touch_rule(
    unanswered: int | None, refused: int | None, replied: int | None, grade: str, step: str
) -> None:
    row = {
        "customer_id": ["a"],
        "contacts_unanswered_in_a_row": pa.array([unanswered], pa.int64()),
        "days_since_opt_out": pa.array([refused], pa.int64()),
        "days_since_reply": pa.array([replied], pa.int64()),
    }
    (told,) = next_steps(Sheet(pa.table(row).to_batches()).all(), [grade])
    assert told.step == step
    (without,) = next_steps(Sheet(pa.table({"customer_id": ["a"]}).to_batches()).all(), [grade])
    assert without.step == ("none" if grade == "C" else "automatic")


def test_what_changed_adds_up_and_is_told_in_words(
    in_shop: Path, scorers: dict[str, Scorer], tmp_path: Path
) -> None:
    folder = tmp_path / "features"
    earlier = END - timedelta(days=60)
    nightly.materialise(connect(), earlier, folder)
    nightly.materialise(connect(), END, folder)
    desk = Desk(scorers, folder, ScoreLog(tmp_path / "log"), lambda: NOW)
    day = desk.day()
    assert day.before is not None
    told = scored(desk, "churn")
    scorer = scorers["churn"]
    now, then = (Seen.of(scorer, sheet.find(list(told))) for sheet in (day.sheet, day.before))
    was = dict(
        zip(
            then.mine.customer_ids,
            zip(then.probabilities.tolist(), then.grades, then.sums, strict=True),
            strict=True,
        )
    )
    compared = 0
    for customer, sums in zip(now.mine.customer_ids, now.sums, strict=True):
        change = told[customer].change
        if customer not in was:
            assert change is None
            continue
        assert change is not None
        assert (change.since, change.probability, change.grade) == (earlier, *was[customer][:2])
        assert change.difference == (told[customer].probability or 0) - change.probability
        moved = dict(zip(scorer.explainer.concepts, sums - was[customer][2], strict=True))
        strongest = sorted(moved, key=lambda concept: -abs(moved[concept]))
        for one in change.why:
            assert one.concept in strongest[:3]
            assert one.log_odds == pytest.approx(moved[one.concept], abs=1e-8)
            assert ("more likely" in one.en) == (one.log_odds > 0) == ("提高" in one.zh)
            assert ", now " in one.en or ": still " in one.en
        compared += 1
    assert compared > 500
    assert any(one.change.why for one in told.values() if one.change)


def test_every_score_given_can_be_explained_and_its_contributions_add_up(desk: Desk) -> None:
    for task in desk.scorers:
        for score in list(scored(desk, task).values())[::100]:
            assert score.score_id is not None
            told = desk.explanation(score.score_id)
            assert (told.customer_id, told.task, told.probability, told.grade) == (
                score.customer_id, task, score.probability, score.grade,
            )  # fmt: skip
            assert (told.outlook, told.reasons, told.serves_now) == (score.outlook, score.reasons, True)
            assert told.log_odds == pytest.approx(
                told.base + sum(one.log_odds for one in told.contributions), abs=1e-12
            )
            first = 1 / (1 + np.exp(-told.log_odds))  # one outcome: the sum is its log-odds
            assert first == pytest.approx(told.outlook[0].probability, abs=1e-9)


def test_the_inputs_of_an_explanation_give_the_score_again(desk: Desk) -> None:
    scorer = desk.scorers["churn"]
    (score,) = desk.scores(["C00005"], ["churn"]).scores
    told = desk.explanation(score.score_id or "")
    row = np.full((1, len(scorer.features)), np.nan)
    for one in told.inputs:
        row[0, list(scorer.card.features).index(one.feature)] = np.nan if one.value is None else one.value
    assert scorer.model.probabilities(row).tolist() == [score.probability]


def test_a_replaced_model_still_explains_its_scores(desk: Desk) -> None:
    (score,) = desk.scores(["C00005"], ["churn"]).scores
    before = desk.explanation(score.score_id or "")
    other = desk.scorers["purchase_intent"]
    desk.scorers = {"purchase_intent": other}
    after = desk.explanation(score.score_id or "")
    assert (before.serves_now, after.serves_now) == (True, False)
    assert msgspec.structs.replace(after, serves_now=True) == before


def test_what_may_not_be_asked_is_refused(desk: Desk) -> None:
    with pytest.raises(UnknownName, match="chrun"):
        desk.scores(["C00001"], ["chrun"])
    with pytest.raises(Refused) as refused:
        desk.scores(["C00001"], ["purchase_intent", "churn"], allowed={"purchase_intent"})
    assert (refused.value.status, refused.value.pointer) == (403, "/tasks/1")
    assert {one.task for one in desk.scores(["C00001"], allowed={"churn"}).scores} == {"churn"}
    (score,) = desk.scores(["C00001"], ["churn"]).scores
    for allowed, score_id in (({"purchase_intent"}, score.score_id or ""), (None, "0" * 16 + "-0-0")):
        with pytest.raises(Refused) as unknown:
            desk.explanation(score_id, allowed)
        assert unknown.value.status == 404


def test_without_a_log_nothing_is_answered(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    desk.log = ScoreLog(tmp_path / "file")
    with pytest.raises(Refused) as refused:
        desk.scores(["C00001"])
    assert refused.value.status == 503


def test_a_request_sees_one_model_and_one_night_throughout(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Champions are swapped in the middle of every request; no answer mixes two versions."""
    old = desk.scorers
    new = {task: _copy(scorer, "2") for task, scorer in old.items()}
    really = Seen.of_each.__func__  # type: ignore[attr-defined]

    def swapping(cls: type[Seen], *given: object) -> list[Seen]:
        desk.scorers = new
        return really(cls, *given)  # type: ignore[no-any-return]

    monkeypatch.setattr(Seen, "of_each", classmethod(swapping))
    told = desk.scores(["C00001", "C00002"])
    assert {model.version for model in told.models.values()} == {"1"}
    assert {desk.explanation(one.score_id or "").model_version for one in told.scores if one.score_id} == {
        "1"
    }
    later = desk.scores(["C00001"])
    assert {model.version for model in later.models.values()} == {"2"}
    assert [one.code for one in later.warnings] == ["not_ranked"]
    assert {one.percentile for one in later.scores} == {None}
    desk.refresh()
    assert desk.scores(["C00001"]).warnings == []


def _copy(scorer: Scorer, version: str) -> Scorer:
    made = object.__new__(Scorer)
    made.__dict__ |= {**scorer.__dict__, "version": version}
    return made


def test_rows_follow_the_nightly_pointer(in_shop: Path, scorers: dict[str, Scorer], tmp_path: Path) -> None:
    folder = tmp_path / "features"
    nightly.materialise(connect(), datetime(2024, 6, 1), folder)
    desk = Desk(scorers, folder, ScoreLog(tmp_path / "log"), lambda: NOW)
    assert desk.scores(["C00001"]).as_of == datetime(2024, 6, 1)
    nightly.materialise(connect(), END, folder)
    assert desk.scores(["C00001"]).as_of == END


def test_cards_tasks_and_catalogue_tell_what_stands_behind(desk: Desk) -> None:
    card = desk.card("churn")
    loaded = desk.scorers["churn"].card
    assert (card.version, card.features, card.beaten) == ("1", loaded.features, loaded.beaten)
    assert {(f.scorer, f.metric) for f in card.figures} == {
        (scorer, metric) for scorer, row in loaded.figures.items() for metric in row
    }
    assert [task.name for task in desk.tasks().tasks] == ["churn", "purchase_intent"]
    listed = {feature.name: feature for feature in desk.catalogue().features}
    assert set(listed) == set(nightly.latest().fingerprints)
    assert listed["days_since_order"].read_by == ["churn", "purchase_intent"]
    with pytest.raises(Refused) as refused:
        desk.card("upgrade")
    assert refused.value.status == 404
    assert dataclasses.is_dataclass(desk.day())
