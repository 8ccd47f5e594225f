"""Charging of electric cars: how often, how much, where, in what rhythm, and whether that changes."""

from functools import partial
from typing import Any

from features.feature import Feature, changed, windowed

__all__ = ["FEATURES"]

CONCEPT = "charging"
PLACES = {
    "home": ("at home", "家用桩"),
    "public": ("at public points", "公共桩"),
    "brand": ("at our points", "品牌桩"),
}


def at_place(place: str, past: Any, days: int | None) -> Any:
    return past.charges.where(place=place).count(days)


def mean_energy(past: Any, days: int | None) -> Any:
    metered = past.charges.telling("energy_wh")
    return metered.sum("energy_wh", days) / metered.count(days).nullif(0)


FEATURES = (
    Feature(
        "days_since_charge",
        lambda past: past.charges.days_since_last(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Days since the car was last charged",
        zh="距上次充电的天数",
    ),
    *windowed(
        "charges_{window}",
        lambda past, days: past.charges.count(days),
        (7, 30, 90, 365),
        unit="charges",
        nothing=0,
        concept=CONCEPT,
        en="Charging sessions {window}",
        zh="{window}充电次数",
    ),
    *(
        feature
        for place, (en, zh) in PLACES.items()
        for feature in windowed(
            f"{place}_charges_{{window}}",
            partial(at_place, place),
            (90,),
            unit="charges",
            nothing=0,
            concept=CONCEPT,
            en=f"Charging sessions {en} {{window}}",
            zh=f"{{window}}{zh}充电次数",
        )
    ),
    *windowed(
        "brand_charge_share_{window}",
        lambda past, days: at_place("brand", past, days) / past.charges.count(days).nullif(0),
        (365,),
        unit="of charges",
        nothing=None,
        concept=CONCEPT,
        en="Share of charging at our points {window}",
        zh="{window}品牌桩充电占比",
    ),
    *windowed(
        "charge_energy_{window}_wh",
        lambda past, days: past.charges.sum("energy_wh", days),
        (30, 90, 365),
        unit="Wh",
        nothing=0,
        concept=CONCEPT,
        en="Energy charged {window}",
        zh="{window}充电量",
    ),
    *windowed(
        "charge_time_{window}_s",
        lambda past, days: past.charges.sum("duration_s", days),
        (90,),
        unit="seconds",
        nothing=0,
        concept=CONCEPT,
        en="Time on the plug {window}",
        zh="{window}充电时长",
    ),
    *windowed(
        "mean_charge_energy_{window}_wh",
        mean_energy,
        (90,),
        unit="Wh",
        nothing=None,
        concept=CONCEPT,
        en="Mean energy per charging session {window}",
        zh="{window}次均充电量",
    ),
    *changed(
        "charges_change_{window}",
        lambda past, days: past.charges.count(days),
        (7, 30, 90),
        unit="charges",
        concept=CONCEPT,
        en="Charging sessions",
        zh="充电次数",
    ),
    *changed(
        "charge_energy_change_{window}_wh",
        lambda past, days: past.charges.sum("energy_wh", days),
        (30, 90),
        unit="Wh",
        concept=CONCEPT,
        en="Energy charged",
        zh="充电量",
    ),
    *changed(
        "public_charges_change_{window}",
        partial(at_place, "public"),
        (90,),
        unit="charges",
        concept=CONCEPT,
        en="Charging sessions at public points",
        zh="公共桩充电次数",
    ),
    Feature(
        "mean_days_between_charges",
        lambda past: past.charges.mean_gap_days(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Mean days between days with charging",
        zh="平均充电间隔天数",
    ),
    Feature(
        "sd_days_between_charges",
        lambda past: past.charges.sd_gap_days(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Spread of the days between days with charging",
        zh="充电间隔天数的波动",
    ),
    Feature(
        "longest_days_between_charges",
        lambda past: past.charges.longest_gap_days(),
        unit="days",
        nothing=None,
        concept=CONCEPT,
        en="Longest time without charging, in days",
        zh="最长未充电天数",
    ),
    Feature(
        "charge_overdue_ratio",
        lambda past: past.charges.days_since_last() / past.charges.mean_gap_days(),
        unit="times",
        nothing=None,
        concept=CONCEPT,
        en="Days since the last charge, as a multiple of the usual time between charges",
        zh="距上次充电的天数与平时充电间隔之比",
    ),
)
