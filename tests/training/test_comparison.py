"""The fast figures against the slow ones, money against a count by hand, groups, and sentences."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.cohorts import owners
from features.feature_set import FEATURES
from training import metrics
from training.campaign import Campaign
from training.comparison import compare, grouped
from training.outcomes import Happens
from training.ranking import aucs, lists_of, promises_of
from training.report import in_words
from training.resampling import draws_of, lead
from training.rules import age_of_car
from training.segments import FEWEST_OUTCOMES, FEWEST_ROWS, MOST_VALUES, SEGMENTS, groups_of, months_of
from training.task import Task
from training.tasks import TASKS
from training.words import Words
from training.worth import Worth

TASK = Task(
    name="churn",
    question="?",
    cohort=owners,
    outcome=Happens("order", lambda future: future.orders.count() > 0),
    horizons_days=(90,),
    rules=(age_of_car,),
    who=Words("owners", "位车主"),
    do=Words("leave within {days} days", "在{days}天内流失"),
    worth=Worth(10, 100, Words("as agreed", "按约定")),
)


def moments(count: int = 3000, seed: int = 1) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Tested moments, three to a customer, the true probabilities and a rule that knows half of them."""
    chance = np.random.default_rng(seed)
    truth = chance.beta(1, 4, count)
    frame = pd.DataFrame(
        {
            "customer_id": [f"C{n // 3}" for n in range(count)],
            "as_of": pd.to_datetime(["2024-01-05", "2024-02-02", "2024-03-01"] * (count // 3)),
            "outcome": (chance.random(count) < truth).astype(int),
            "city_tier": pd.Series(chance.integers(1, 4, count), dtype="Int64"),
            "region": np.where(
                np.arange(count) % 60 == 0, None, np.where(np.arange(count) % 2, "north", "south")
            ),
            "lifecycle_stage_name": "owner",
            "days_since_first_delivery": chance.integers(1, 1000, count).astype(float),
        }
    )
    return frame, truth, np.round(truth + chance.normal(0, 0.2, count), 1)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([0.05, 0.2, 0.2, 0.5, 0.7, 0.95]), st.integers(0, 5)),
        min_size=4,
        max_size=60,
    )
)
def test_every_draw_has_the_figures_of_the_plain_metrics(rows: list[tuple[int, float, int]]) -> None:
    outcome, score, who = (np.array(column) for column in zip(*rows, strict=True))
    outcome = outcome.astype(np.float64)
    draws = draws_of(pd.Series(who.astype(str)), 12)
    shares = np.array([0.0, 0.01, 0.1, 0.37, 1.0])
    lists = lists_of(outcome, score, draws, shares)
    promises = promises_of(outcome, score, draws)
    for n, times in enumerate(draws.times):
        weight = times[draws.customer].astype(np.float64)
        assert lists.rows[n] == weight.sum()
        assert lists.outcomes[n] == (weight * outcome).sum()
        slow = [metrics.auc, metrics.average_precision, *map(metrics.lift_at, shares[1:])]
        fast = [lists.auc, lists.average_precision, *(lists.lift(share) for share in shares[1:])]
        for one, other in zip(slow, fast, strict=True):
            assert other[n] == pytest.approx(one(outcome, score, weight), nan_ok=True)
        assert promises.brier[n] == pytest.approx(metrics.brier(outcome, score, weight))
        assert promises.log_loss[n] == pytest.approx(metrics.log_loss(outcome, score, weight))
    assert promises.ece[0] == pytest.approx(metrics.ece(outcome, score, np.ones(len(outcome))))


def test_many_rows_go_through_in_blocks_and_a_list_lies_across_ties_in_proportion() -> None:
    frame, truth, rule = moments(9000)
    outcome, draws = frame["outcome"].to_numpy(dtype=np.float64), draws_of(frame["customer_id"], 40)
    for score in (truth, rule):
        lists = lists_of(outcome, score, draws, np.array([0.1]))
        for n in (0, 7, 39):
            weight = draws.times[n][draws.customer].astype(np.float64)
            assert lists.auc[n] == pytest.approx(metrics.auc(outcome, score, weight))
            assert lists.lift(0.1)[n] == pytest.approx(metrics.lift_at(0.1)(outcome, score, weight))


def test_customers_are_drawn_as_a_whole() -> None:
    frame, *_ = moments(300)
    draws = draws_of(frame["customer_id"], 5)
    assert draws.times.shape == (6, 100)
    assert (draws.times.sum(axis=1) == 100).all()
    assert (draws.times[0] == 1).all()


def test_precision_multiples_and_yuan_are_what_one_counts_by_hand() -> None:
    frame, truth, rule = moments()
    campaign = Campaign(asked=20_000, listed=3_000, worth=TASK.worth)  # the first 15 %
    report = compare("churn", frame, {"model": truth}, {"half": rule}, campaign=campaign, replicates=50)
    top = np.argsort(-truth, kind="stable")[:450]
    held = frame["outcome"].to_numpy()[top].sum()
    model = report.scorers["model"]
    assert model["precision_at_capacity"].value == pytest.approx(held / 450)
    assert model["gain_yuan"].value == pytest.approx(20_000 * (100 * held / 3000 - 10 * 0.15))
    other = report.scorers["half"]["precision_at_capacity"].value
    assert report.multiples is not None
    assert report.multiples["half"].value == pytest.approx(held / 450 / other)
    assert model["precision_at_capacity"].low < held / 450 < model["precision_at_capacity"].high
    assert model["lift_1"].value > model["lift_10"].value > model["lift_20"].value > 1
    gains = report.gains
    assert gains is not None
    assert gains.ahead is not None
    assert gains.ahead.value == pytest.approx(
        model["gain_yuan"].value - report.scorers["half"]["gain_yuan"].value
    )
    by_size = [20_000 * (100 * frame["outcome"].to_numpy()[np.argsort(-truth, kind="stable")[: 30 * n]].sum() / 3000 - 10 * n / 100) for n in range(101)]  # fmt: skip
    assert gains.best.value == np.argmax(by_size) / 100
    assert gains.at_best.value == pytest.approx(max(by_size))


def test_a_rule_whose_list_holds_nobody_is_no_number_and_no_crash() -> None:
    frame, truth, _ = moments()
    worst = -frame["outcome"].to_numpy(dtype=np.float64)
    report = compare("churn", frame, {"model": truth}, {"worst": worst}, replicates=20)
    assert report.multiples is not None
    assert not np.isfinite(report.multiples["worst"].value)
    assert "nan" in report.of_lists().loc["worst", "model finds"]


def test_segments_of_sensitive_columns_are_only_sex_and_age_and_no_task_here_reads_those() -> None:
    """A group is made of what a task reads; what is sensitive it reads only where it says why."""
    sensitive = {one.name for one in SEGMENTS if any(FEATURES[name].sensitive for name in one.reads)}
    assert sensitive == {"sex", "age_band"}
    assert not any(task.sensitive for task in TASKS)


def test_groups_cover_every_row_once_and_leave_out_what_says_nothing() -> None:
    frame, *_ = moments()
    groups = list(groups_of(frame))
    names = {segment.name for segment, *_ in groups}
    assert names == {"city_tier", "region", "ownership"}, (
        "one stage for all says nothing; no power types here"
    )
    for name in names:
        assert sum(inside.astype(int) for segment, _, inside in groups if segment.name == name).tolist() == [1] * 3000  # fmt: skip
    values = {value for segment, value, _ in groups if segment.name == "region"}
    assert values == {"north", "south", "not known"}
    many = frame.assign(region=[f"R{n % 40:02}" for n in range(3000)])
    values = {value for segment, value, _ in groups_of(many) if segment.name == "region"}
    assert len(values) == MOST_VALUES + 1
    assert "others" in values
    assert [month for month, _ in months_of(frame["as_of"])] == ["2024-01", "2024-02", "2024-03"]


def test_a_group_has_the_figures_of_its_rows_and_one_too_small_says_so() -> None:
    frame, truth, rule = moments()
    report = grouped(compare("churn", frame, {"model": truth}, {"half": rule}, replicates=20), frame, truth, {"half": rule})  # fmt: skip
    by_value = {(g.segment, g.value): g for g in (*report.segments, *report.months)}
    north = by_value["region", "north"]
    inside = (frame["region"] == "north").to_numpy()
    alone = compare("churn", frame[inside], {"model": truth[inside]}, {"half": rule[inside]}, replicates=20)
    for metric in ("auc", "brier", "ece", "lift_10", "log_loss"):
        assert north.scorers["model"][metric].value == pytest.approx(alone.scorers["model"][metric].value)
    assert north.scorers["half"]["auc"].value == pytest.approx(alone.scorers["half"]["auc"].value)
    assert north.promised == pytest.approx(truth[inside].mean())
    thin = by_value["region", "not known"]
    assert thin.rows < FEWEST_ROWS
    assert thin.scorers == {}
    shown = report.by_group().set_index(["segment", "value"])
    assert shown.loc[("region", "not known"), "happened"] == "too few to judge"
    assert shown.loc[("region", "not known"), "outcomes"] == ""
    assert shown.loc[("month", "2024-02"), "ROC AUC"].startswith("0.")


def test_the_finding_in_words_says_whom_what_and_against_which_rule() -> None:
    frame, truth, rule = moments()
    report = compare("churn", frame, {"model": truth}, {"half": rule}, campaign=TASK.campaign(20_000))
    words = in_words(TASK, report)
    listed = 2000 * report.scorers["model"]["precision_at_capacity"].value
    assert words.en.startswith("Of the 2,000 owners we would call (the first 10% of 20,000), about ")
    assert f"about {listed:,.0f} (" in words.en
    assert "will leave within 90 days; the best rule, half, finds " in words.en
    assert "At 10 yuan a contact and 100 yuan an outcome" in words.en
    assert words.zh.startswith("在拟联系的2,000位车主（20,000中排名前10%）中")
    assert "将在90天内流失" in words.zh
    level = compare("churn", frame, {"model": truth}, {"same": truth}, campaign=TASK.campaign(20_000))
    assert "a difference within chance" in in_words(TASK, level).en
    few = replace(report, outcomes=FEWEST_OUTCOMES - 1)
    assert "Too few outcomes to judge" in in_words(TASK, few).en
    unsaid = replace(TASK, do=None, worth=None)
    without = compare("churn", frame, {"model": truth}, {}, campaign=unsaid.campaign(20_000))
    assert (
        'will have the outcome "order" within 90 days; a list drawn at random' in in_words(unsaid, without).en
    )
    assert "yuan" not in in_words(unsaid, without).en


def test_where_nobody_is_worth_a_call_the_best_list_is_empty() -> None:
    frame, truth, rule = moments()
    dear = replace(TASK, worth=Worth(500, 100, Words("", "")))
    report = compare("churn", frame, {"model": truth}, {"half": rule}, campaign=dear.campaign(20_000))
    assert report.gains is not None
    assert report.gains.best.value == 0
    assert "no list pays" in in_words(dear, report).en


def test_a_task_may_say_how_many_the_crm_can_call() -> None:
    assert TASK.campaign(20_000).listed == 2_000
    assert replace(TASK, capacity=500).campaign(20_000).listed == 500
    assert replace(TASK, capacity=500).campaign(300).listed == 300


def test_a_lead_is_paired() -> None:
    frame, truth, rule = moments()
    alone, paired = lead(aucs, frame, truth), lead(aucs, frame, truth, rule)
    outcome, ones = frame["outcome"].to_numpy(dtype=np.float64), np.ones(len(frame))
    assert paired.value == pytest.approx(metrics.auc(outcome, truth, ones) - metrics.auc(outcome, rule, ones))
    assert paired.high - paired.low < 1.5 * (alone.high - alone.low)
