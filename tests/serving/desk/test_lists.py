"""Lists: the right customers in the right order, and intervals that hold as often as they say."""

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest

from features.errors import UnknownName
from serving.contract.lists import ListRequest
from serving.contract.refusals import Refused
from serving.desk import Desk
from serving.desk.expected import Calibration, found_in
from serving.desk.lists import calibration_of
from serving.desk.segments import Grouped
from serving.scorer import Scorer
from training.words import Words
from training.worth import Worth


def listed(desk: Desk, **body: Any) -> Any:
    return desk.campaign_list(msgspec.convert({"task": "churn", "capacity": 50, **body}, ListRequest))


def everybody(desk: Desk, task: str = "churn") -> list[tuple[float, str]]:
    told = desk.scores(desk.day().sheet.all().customer_ids, [task]).scores
    return sorted((-(one.probability or 0), one.customer_id) for one in told if one.status == "scored")


def test_a_list_is_the_top_of_the_ranking_best_first(desk: Desk) -> None:
    wanted = everybody(desk)
    told = listed(desk)
    assert [(-one.probability, one.customer_id) for one in told.customers] == wanted[:50]
    assert [one.rank for one in told.customers] == list(range(1, 51))
    assert (told.eligible, told.listed) == (len(wanted), 50)
    assert told.outcomes.expected == pytest.approx(-sum(chance for chance, _ in wanted[:50]))
    assert told.at_random == pytest.approx(-50 * np.mean([chance for chance, _ in wanted]))
    by_id = {
        one.customer_id: one for one in desk.scores([c.customer_id for c in told.customers], ["churn"]).scores
    }
    for one in told.customers:
        same = by_id[one.customer_id]
        assert (one.grade, one.percentile) == (same.grade, same.percentile)


def test_a_capacity_beyond_everybody_lists_everybody_and_show_limits_the_names(desk: Desk) -> None:
    told = listed(desk, capacity=10_000_000, show=3)
    assert told.listed == told.eligible == len(everybody(desk))
    assert len(told.customers) == 3
    assert [size.customers for size in told.sizes] == sorted({size.customers for size in told.sizes})
    assert (told.sizes[0].customers, told.sizes[-1].customers) == (0, told.eligible)
    gains = [size.outcomes.expected for size in told.sizes]
    assert gains == sorted(gains)
    assert all(size.outcomes.low <= size.outcomes.expected <= size.outcomes.high for size in told.sizes)


@pytest.fixture
def placed(desk: Desk) -> Desk:
    """The shop's customers, each in a region and at a dealer."""
    luck, day = np.random.default_rng(1), desk.day()
    segments = {
        "region": Grouped(luck.integers(-1, 3, len(day.sheet)).astype(np.int32), ("north", "south", "west")),
        "dealer": Grouped(luck.integers(0, 5, len(day.sheet)).astype(np.int32), tuple("abcde")),
    }
    desk._day = dataclasses.replace(day, segments=segments)
    return desk


def test_filters_keep_who_passes_all_of_them(placed: Desk) -> None:
    told = listed(placed, filters={"region": ["north", "west"], "dealer": ["b"]}, capacity=10_000)
    region, dealer = (placed.day().segments[name] for name in ("region", "dealer"))
    ids = placed.day().sheet.all().customer_ids
    passing = {
        one
        for one, r, d in zip(ids, region.codes.tolist(), dealer.codes.tolist(), strict=True)
        if r in (0, 2) and d == 1
    }
    assert [one.customer_id for one in told.customers] == [
        who for _, who in everybody(placed) if who in passing
    ]
    assert 20 < told.eligible < 300


def test_an_unknown_value_is_pointed_at(placed: Desk) -> None:
    with pytest.raises(Refused, match="north, south, west") as refused:
        listed(placed, filters={"region": ["north", "atlantis"]})
    assert (refused.value.status, refused.value.pointer) == (422, "/filters/region/1")


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"filters": {"region": ["north"]}}, 422, "/filters/region"),
        ({"filters": {"stage": ["ordered"]}}, 422, "/filters/stage"),
    ],
)
def test_a_filter_nobody_can_pass_is_pointed_at(desk: Desk, body: Any, status: int, pointer: str) -> None:
    with pytest.raises(Refused) as refused:
        listed(desk, **body)
    assert (refused.value.status, refused.value.pointer) == (status, pointer)
    with pytest.raises(UnknownName):
        listed(desk, task="chrun")


def test_money_is_counted_by_what_the_task_says_outcomes_are_worth(
    desk: Desk, scorers: dict[str, Scorer]
) -> None:
    assert listed(desk).money is None  # the shop's tasks declare no sums
    worth = Worth(20, 100, Words("because", "因为"))
    rich = object.__new__(Scorer)
    rich.__dict__ |= {
        **scorers["churn"].__dict__,
        "card": msgspec.structs.replace(scorers["churn"].card, worth=worth),
    }
    desk.scorers = {"churn": rich}
    told = listed(desk)
    assert told.money.expected == pytest.approx(100 * told.outcomes.expected - 20 * 50)
    assert told.money.low == pytest.approx(100 * told.outcomes.low - 1_000)
    assert (told.money.why_en, told.money.why_zh) == ("because", "因为")
    assert told.best_size == sum(-chance > 0.2 for chance, _ in everybody(desk))
    assert told.sizes[0].yuan == 0


def test_without_doubt_about_calibration_the_interval_is_that_of_chance() -> None:
    """Against the sum of independent draws, drawn many times."""
    luck = np.random.default_rng(2)
    for size in (1, 5, 40, 300, 2_000):
        chances = np.sort(luck.beta(1, 6, size))[::-1]
        (found,) = found_in(chances, Calibration(0.0), [size])
        drawn = np.array([(luck.random(size) < chances).sum() for _ in range(6_000)])
        inside = np.mean((drawn >= np.floor(found.low)) & (drawn <= np.ceil(found.high)))
        assert 0.94 <= inside <= 1.0 if size <= 5 else 0.94 <= inside <= 0.985
        assert (found.calibration_sd, found.chance_sd) == (
            pytest.approx(0, abs=1e-9),
            pytest.approx(drawn.std(), rel=0.05, abs=0.02),
        )


def test_the_interval_holds_where_groups_are_off_and_that_of_chance_alone_does_not() -> None:
    """A test whose groups are off by what is drawn for each; then a list of customers who are off by another draw."""
    luck = np.random.default_rng(3)
    held = {"with": 0, "without": 0}
    for _ in range(400):
        chances = np.sort(luck.beta(1.2, 9, 3_000))[::-1]

        def came(some: np.ndarray) -> int:
            odds = some / (1 - some) * np.exp(luck.normal(0, 0.25))
            return int((luck.random(len(some)) < odds / (1 + odds)).sum())

        groups = [luck.choice(chances, 700, replace=False) for _ in range(14)]
        facts = [(len(group), float(group.sum()), came(group)) for group in groups]
        whole = tuple(map(sum, zip(*facts, strict=True)))
        truth = came(chances[:300])
        for name, doubt in (("with", Calibration.of(facts, whole)), ("without", Calibration(0.0))):  # type: ignore[arg-type]
            (found,) = found_in(chances, doubt, [300])
            held[name] += found.low - 0.5 <= truth <= found.high + 0.5
    assert 0.91 <= held["with"] / 400 <= 0.985
    assert held["without"] / 400 < 0.75


def test_a_model_that_met_its_promises_is_hardly_doubted() -> None:
    facts = [(1_000, 100.0, happened) for happened in (95, 104, 100, 97, 103, 101)]
    sure = Calibration.of(facts, (6_000, 600.0, 600))
    assert sure.sd == pytest.approx(np.sqrt(1 / 600), rel=0.01)
    off = Calibration.of([(1_000, 100.0, 140)] * 6, (6_000, 600.0, 840))
    assert 0.3 < off.sd < 0.5  # log-odds of .14 against .10: 0.38, and six groups are few
    assert Calibration.of([], (10, 0.0, 0)).sd <= 1.1


def test_the_shops_models_carry_what_the_doubt_is_made_of(desk: Desk) -> None:
    for scorer in desk.scorers.values():
        assert 0 < calibration_of(scorer).sd < 0.5
