"""The mechanisms of the trade are in the hazards, and lives follow them."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.worlds.conftest import CLEAN
from worlds.carmaker import hazards
from worlds.carmaker.drivers import planted
from worlds.carmaker.life import at_start, live
from worlds.carmaker.season import SPRING_FESTIVAL, season, shows
from worlds.carmaker.traits import draw_traits
from worlds.carmaker.truth import state_at
from worlds.carmaker.uplift import campaign_effects
from worlds.carmaker.world import BURN_IN, World

# What the trade knows, written down before any formula: (task, outcome, driver) and its sign.
KNOWN = {
    ("purchase_intent", "order", "a test drive this week"): "+",
    ("purchase_intent", "order", "price sensitivity up by 1"): "-",
    ("churn", "silence", "fading"): "+",
    ("churn", "silence", "engagement up by 1"): "-",
    ("churn", "silence", "out of warranty"): "+",
    ("churn", "silence", "a complaint"): "+",
    ("churn", "silence", "satisfaction up by 1"): "-",
    ("repurchase", "replacement", "finance ends"): "+",
    ("repurchase", "replacement", "warranty ends"): "+",
    ("repurchase", "replacement", "car of 6 years instead of 2"): "+",
    ("repurchase", "additional", "growing household"): "+",
    ("repurchase", "defection", "a complaint"): "+",
    ("repurchase", "defection", "satisfaction up by 1"): "-",
    ("upgrade", "higher class", "affluence up by 1"): "+",
    ("upgrade", "higher class", "holds class 5 instead of 3"): "-",
}


def test_planted_drivers_have_the_signs_that_the_trade_knows() -> None:
    signs = {(d["task"], d["outcome"], d["driver"]): d["sign"] for d in planted()}
    assert {key: signs[key] for key in KNOWN} == KNOWN


def test_no_planted_driver_is_idle() -> None:
    assert [d["driver"] for d in planted() if 0.9 < d["ratio"] < 1.1] == []


def test_drivers_are_stored_beside_the_truth(clean: Path) -> None:
    assert json.loads((clean / "truth" / "drivers.json").read_text())["drivers"] == planted()


def test_spring_festival_empties_the_showrooms_and_shows_fill_them() -> None:
    world = World(customers=1)

    def showroom(day: date) -> float:
        return season(world.start).at(world.week_of(day)[0])[2]

    assert showroom(SPRING_FESTIVAL[2024] + timedelta(days=3)) < -0.8
    assert all(
        showroom(first + timedelta(days=4)) > 0.1 for year in (2023, 2024) for _, first, _ in shows(year)
    )
    assert season(world.start).at(world.week_of(date(2023, 12, 15))[0])[0] > 0.3


def test_shanghai_and_beijing_take_turns() -> None:
    assert [shows(year)[0][0] for year in (2023, 2024, 2025)] == ["Shanghai", "Beijing", "Shanghai"]


def intensities(world: World, week: int) -> hazards.Rates:
    """All intensities of one block at a week of its life."""
    traits = draw_traits(world, 0)
    state = at_start(world, 0, traits)
    for _ in live(world, 0, traits, state, range(-BURN_IN, week)):
        pass
    return hazards.rates(hazards.view(world, traits, state, week))


def test_intensities_are_finite_and_never_negative_even_late_in_life() -> None:
    for name, rate in intensities(World(customers=3_000, years=10), 500).items():
        assert np.isfinite(rate).all(), name
        assert (rate >= 0).all(), name
        assert rate.max() < 20, name


def test_nobody_decides_while_an_order_is_open_and_only_owners_do_what_owners_do() -> None:
    world = World(customers=3_000)
    traits = draw_traits(world, 0)
    state = at_start(world, 0, traits)
    for _ in live(world, 0, traits, state, range(-BURN_IN, 80)):
        pass
    v = hazards.view(world, traits, state, 80)
    rate, waiting, owner = hazards.rates(v), state.arrives < 10_000, v.garage.owner > 0
    assert waiting.any()
    assert all((rate[name][waiting] == 0).all() for name in hazards.DECISIONS)
    for name in ("additional", "replacement", "defection", "maintenance", "complaint", "insurance"):
        assert (rate[name][~owner] == 0).all(), name
    assert (rate["first"][owner] == 0).all()
    assert (rate["charge"][v.garage.plugs_in == 0] == 0).all()


def test_a_silent_spell_comes_before_dormancy_and_delivery_ends_it() -> None:
    world = World(customers=4_000)
    traits = draw_traits(world, 0)
    state = at_start(world, 0, traits)
    before = state.mode.copy()
    for now, week in live(world, 0, traits, state, range(-BURN_IN, 60)):
        if week is not None and week.week >= 0:
            slept = (now.mode == 2) & (before == 0)
            assert not slept.any()
        before = now.mode.copy()


def test_drift_leaves_the_life_before_it_untouched_and_changes_it_after() -> None:
    plain, drifting = World(customers=2_000), World(customers=2_000, drift_from=date(2023, 7, 7))
    ends = {}
    for world in (plain, drifting):
        traits = draw_traits(world, 0)
        state = at_start(world, 0, traits)
        for now, week in live(world, 0, traits, state, range(-BURN_IN, 90)):
            if week is not None and week.week in {52, 89}:
                ends[world.drift_week == 53, week.week] = now.interest.copy()
    np.testing.assert_array_equal(ends[False, 52], ends[True, 52])
    assert (ends[False, 89] != ends[True, 89]).mean() > 0.05


def test_the_campaign_moves_treated_people_by_their_own_effect_and_puts_some_off(clean: Path) -> None:
    told = pq.read_table(clean / "truth" / "campaign" / "part-00000.parquet").to_pandas()
    assert 0.4 < told["treated"].mean() < 0.6
    assert 0.1 < (told["effect"] < 0).mean() < 0.45
    who = told["customer_id"].str.slice(1).astype(int).to_numpy() - 1
    (_, before), (_, after) = (state_at(clean, 0, CLEAN.campaign_week + shift) for shift in (0, 1))
    moved = (after.interest - before.interest)[who]
    for put_off in (True, False):
        group = ((told["effect"] < 0) == put_off).to_numpy()
        treated, held_out = moved[group & told["treated"]], moved[group & ~told["treated"]]
        expected = told["effect"][group & told["treated"]].mean()
        assert treated.mean() - held_out.mean() == pytest.approx(expected, abs=0.06)


def test_the_true_uplift_follows_the_planted_effect_and_some_people_are_put_off(clean: Path) -> None:
    effects = campaign_effects(clean, paths=8)
    gain = effects["if_treated"] - effects["if_held_out"]
    assert effects[["if_treated", "if_held_out"]].notna().all(axis=None)
    assert (gain[effects["effect"] > 0.3] > 0).mean() > 0.9
    assert (gain[effects["effect"] < -0.3] < 0).mean() > 0.9
    assert 0.001 < gain.mean() < 0.03
