"""What groups are owed: shares counted by hand, limits that a task declares, and nothing asked where nothing was declared."""

from dataclasses import replace

import msgspec
import numpy as np
import pandas as pd
import pytest

from tests.training.test_promote import evidence, verdicts
from training.assessment import Fairness
from training.card import Card
from training.comparison import compare, grouped
from training.fairness import top_tenth, treated
from training.gates import GATES, Evidence
from training.segments import SEGMENTS


def owing(e: Evidence, fairness: Fairness | None) -> Evidence:
    return replace(e, card=msgspec.structs.replace(e.card, fairness=fairness))


def test_shares_are_those_counted_by_hand() -> None:
    e = evidence()
    ranked = sorted(range(len(e.rows)), key=lambda row: -e.probability[row])
    listed = set(ranked[: len(ranked) // 10])
    assert {n for n, held in enumerate(top_tenth(e.probability).tolist()) if held} == listed
    acted = {n for n, came in enumerate(e.rows["outcome"].tolist()) if came}
    found = {one.value: one for one in treated(e.rows, e.probability, ["region"])}
    assert set(found) == {"north", "south", "not known"}
    for value, one in found.items():
        inside = {n for n, said in enumerate(e.rows["region"].fillna("not known").tolist()) if said == value}
        assert one.listed == pytest.approx(len(inside & listed) / len(inside))
        assert one.found == pytest.approx(len(inside & listed & acted) / len(inside & acted))
        assert one.ahead.value == pytest.approx(one.found - len(listed & acted) / len(acted))
        promised = sum(e.probability[n] for n in inside)
        assert one.off.value == pytest.approx((promised - len(inside & acted)) / len(inside))
        assert one.ahead.low < one.ahead.value < one.ahead.high


def test_the_report_shows_the_same_shares() -> None:
    e = evidence()
    report = grouped(
        compare("t", e.rows, {"model": e.probability}, {}, replicates=20), e.rows, e.probability, {}
    )
    shown = {group.value: group for group in report.segments}
    for one in treated(e.rows, e.probability, ["region"]):
        assert (shown[one.value].listed, shown[one.value].found) == (one.listed, one.found)
    table = report.by_group().set_index("value")
    assert table.loc["south", "listed"] == f"{shown['south'].listed:.1%}"
    assert table.loc["south", "found"] == f"{shown['south'].found:.1%}"


def test_a_group_that_is_passed_over_or_promised_wrongly_refuses_where_that_was_declared() -> None:
    owed = Fairness(("region",), found_behind=0.15, off=0.02)
    e = owing(evidence(), owed)
    south = (e.rows["region"] == "south").to_numpy()
    passed_over = replace(e, probability=np.where(south, e.probability * 0.5, e.probability))
    promised_more = replace(
        e, probability=np.where(south, np.minimum(e.probability + 0.06, 1), e.probability)
    )
    assert verdicts(e, "fair") == {"groups found": "passed", "groups promised": "passed"}
    assert verdicts(passed_over, "fair") == {"groups found": "refused", "groups promised": "refused"}
    assert verdicts(promised_more, "fair")["groups promised"] == "refused"
    assert verdicts(owing(passed_over, None), "fair") == {}
    wide = Fairness(("region",), found_behind=0.9, off=0.5)
    assert set(verdicts(owing(passed_over, wide), "fair").values()) == {"passed"}


def test_a_small_group_that_may_be_behind_by_chance_hides_none_that_is_behind_beyond_it() -> None:
    """North is few and by value the last, but within chance; south is many and beyond it."""
    chance, few = np.random.default_rng(3), 300
    e = evidence(9000)
    north, south = np.arange(9000) < few, (np.arange(9000) >= few) & (np.arange(9000) < 5000)
    rows = e.rows.assign(region=np.select([north, south], ["north", "south"], "east"))
    lower = np.where(south, e.probability * 0.6, e.probability)
    lower = np.where(north, np.where(chance.random(9000) < 0.8, 0.0, e.probability), lower)
    worse = replace(owing(e, Fairness(("region",), found_behind=0.14, off=1.0)), rows=rows, probability=lower)
    groups = {one.value: one for one in treated(rows, lower, ["region"])}
    assert groups["north"].ahead.value < groups["south"].ahead.value
    assert groups["south"].ahead.high < -0.14 < groups["north"].ahead.high
    assert verdicts(worse, "fair")["groups found"] == "refused"


def test_what_chance_alone_does_is_not_refused() -> None:
    """True promises, groups by lot: a limit of nothing at all holds in most of many tests."""
    refused = 0
    for seed in range(40):
        e = owing(evidence(1200, seed), Fairness(("region",), found_behind=0.0, off=0.0))
        refused += "refused" in verdicts(e, "fair").values()
    assert refused <= 12  # three groups with two figures, each with an interval of 95 %


def test_groups_too_small_are_named_and_not_judged() -> None:
    e = owing(evidence(400), Fairness(("region",)))
    small = replace(e, rows=e.rows.head(200), probability=e.probability[:200])
    assert verdicts(small, "fair") == {"groups": "passed"}


def test_the_card_keeps_what_is_owed_and_older_cards_owe_nothing() -> None:
    e = owing(evidence(400), Fairness(("region", "city_tier"), 0.1, 0.01))
    kept = Card.from_json(e.card.to_json())
    assert kept.fairness == Fairness(("region", "city_tier"), 0.1, 0.01)
    assert "region, city_tier: found at most 0.1 behind everybody" in str(kept)
    older = msgspec.json.decode(e.card.to_json())
    del older["fairness"]
    assert Card.from_json(msgspec.json.encode(older)).fairness is None
    assert "fair" in [gate.__name__ for gate in GATES]


def test_ages_are_banded_by_decade() -> None:
    (band,) = (one for one in SEGMENTS if one.name == "age_band")
    years = pd.Series([1979, 1980, 1989, None], dtype="Float64")
    assert band.value(years).fillna("-").tolist() == ["1970s", "1980s", "1980s", "-"]
