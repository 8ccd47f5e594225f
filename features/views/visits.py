"""Workshop visits: how recently, how often, how much, for what; the mileage they show, and services that are due."""

from functools import partial
from typing import Any

from features.feature import Feature, changed, windowed
from features.rows import Rows
from features.views.vehicles import held

__all__ = ["FEATURES"]

SERVICE_INTERVAL_DAYS = 365  # the usual interval of a car that sees no other sign of wear

KINDS = {
    "maintenance": ("maintenance_visits", "workshop visits", "Maintenance visits", "保养次数"),
    "repair": ("repairs", "repairs and complaints", "Repairs", "维修次数"),
    "recall": ("recalls", "repairs and complaints", "Recalls attended", "召回次数"),
}


def maintenance(past: Any) -> Rows:
    return past.visits.where(kind="maintenance")  # type: ignore[no-any-return]


def readings(past: Any) -> Rows:
    """Visits at which the odometer was read, each to be compared with the one before of the same car."""
    return past.visits.telling("odometer_km").compared_within("vehicle_id")  # type: ignore[no-any-return]


def of_kind(kind: str, past: Any, days: int | None) -> Any:
    return past.visits.where(kind=kind).count(days)


def since_kind(kind: str, past: Any) -> Any:
    return past.visits.where(kind=kind).days_since_last()


def overdue_days(past: Any) -> Any:
    """Days beyond the service interval since the last maintenance, or since the oldest car came, for holders."""
    since = maintenance(past).days_since_last().fill_null(held(past).days_since_first())
    return since - SERVICE_INTERVAL_DAYS


def km_per_year(past: Any, days: int | None) -> Any:
    """From the odometer's rises between visits of the same car and the days these took."""
    return readings(past).rise("odometer_km", days) * 365 / readings(past).gap_days(days).nullif(0)


FEATURES = (
    Feature(
        "days_since_visit",
        lambda past: past.visits.days_since_last(),
        unit="days",
        nothing=None,
        concept="workshop visits",
        en="Days since the last workshop visit",
        zh="距上次进厂的天数",
    ),
    *windowed(
        "visits_{window}",
        lambda past, days: past.visits.count(days),
        (90, 180, 365, None),
        unit="visits",
        nothing=0,
        concept="workshop visits",
        en="Workshop visits {window}",
        zh="{window}进厂次数",
    ),
    *(
        feature
        for kind, (name, concept, en, zh) in KINDS.items()
        for feature in windowed(
            f"{name}_{{window}}",
            partial(of_kind, kind),
            (365, None),
            unit="visits",
            nothing=0,
            concept=concept,
            en=f"{en} {{window}}",
            zh=f"{{window}}{zh}",
        )
    ),
    *(
        Feature(
            f"days_since_{kind}",
            partial(since_kind, kind),
            unit="days",
            nothing=None,
            concept=concept,
            en=f"Days since the last {kind}",
            zh=f"距上次{zh}的天数",
        )
        for kind, concept, zh in (
            ("maintenance", "workshop visits", "保养"),
            ("repair", "repairs and complaints", "维修"),
            ("recall", "repairs and complaints", "召回"),
        )
    ),
    *changed(
        "visits_change_{window}",
        lambda past, days: past.visits.count(days),
        (180, 365),
        unit="visits",
        concept="workshop visits",
        en="Workshop visits",
        zh="进厂次数",
    ),
    Feature(
        "mean_days_between_visits",
        lambda past: past.visits.mean_gap_days(),
        unit="days",
        nothing=None,
        concept="workshop visits",
        en="Mean days between workshop visits",
        zh="平均进厂间隔天数",
    ),
    Feature(
        "sd_days_between_visits",
        lambda past: past.visits.sd_gap_days(),
        unit="days",
        nothing=None,
        concept="workshop visits",
        en="Spread of the days between workshop visits",
        zh="进厂间隔天数的波动",
    ),
    Feature(
        "longest_days_between_visits",
        lambda past: past.visits.longest_gap_days(),
        unit="days",
        nothing=None,
        concept="workshop visits",
        en="Longest time between workshop visits, in days",
        zh="最长进厂间隔天数",
    ),
    Feature(
        "visit_overdue_ratio",
        lambda past: past.visits.days_since_last() / past.visits.mean_gap_days(),
        unit="times",
        nothing=None,
        concept="workshop visits",
        en="Days since the last workshop visit, as a multiple of the usual time between visits",
        zh="距上次进厂的天数与平时进厂间隔之比",
    ),
    Feature(
        "service_overdue_days",
        overdue_days,
        unit="days",
        nothing=None,
        concept="workshop visits",
        en="Days by which the yearly service is overdue, negative while it is not",
        zh="年度保养逾期天数，未到期为负",
    ),
    *windowed(
        "workshops_{window}",
        lambda past, days: past.visits.distinct("dealer_id", days),
        (365, None),
        unit="workshops",
        nothing=0,
        concept="dealer",
        en="Different workshops visited {window}",
        zh="{window}到访服务店数",
    ),
    *windowed(
        "cars_serviced_{window}",
        lambda past, days: past.visits.distinct("vehicle_id", days),
        (365,),
        unit="cars",
        nothing=0,
        concept="workshop visits",
        en="Cars brought to the workshop {window}",
        zh="{window}进厂车辆数",
    ),
    *windowed(
        "workshop_spend_{window}_cents",
        lambda past, days: past.visits.sum("amount_cents", days),
        (180, 365, None),
        unit="cents",
        nothing=0,
        concept="workshop spend",
        en="Workshop spend {window}",
        zh="{window}售后消费金额",
    ),
    *windowed(
        "repair_spend_{window}_cents",
        lambda past, days: past.visits.where(kind="repair").sum("amount_cents", days),
        (365,),
        unit="cents",
        nothing=0,
        concept="workshop spend",
        en="Spend on repairs {window}",
        zh="{window}维修消费金额",
    ),
    *windowed(
        "mean_visit_spend_{window}_cents",
        lambda past, days: past.visits.sum("amount_cents", days) / past.visits.count(days).nullif(0),
        (None,),
        unit="cents",
        nothing=None,
        concept="workshop spend",
        en="Mean spend per workshop visit {window}",
        zh="{window}次均售后消费金额",
    ),
    *windowed(
        "largest_visit_spend_{window}_cents",
        lambda past, days: past.visits.max("amount_cents", days),
        (365,),
        unit="cents",
        nothing=None,
        concept="workshop spend",
        en="Largest workshop invoice {window}",
        zh="{window}最大单次售后消费金额",
    ),
    Feature(
        "last_visit_spend_cents",
        lambda past: past.visits.latest("amount_cents"),
        unit="cents",
        nothing=None,
        concept="workshop spend",
        en="Spend at the last workshop visit",
        zh="最近一次售后消费金额",
    ),
    *changed(
        "workshop_spend_change_{window}_cents",
        lambda past, days: past.visits.sum("amount_cents", days),
        (365,),
        unit="cents",
        concept="workshop spend",
        en="Workshop spend",
        zh="售后消费金额",
    ),
    Feature(
        "highest_odometer_km",
        lambda past: past.visits.max("odometer_km"),
        unit="km",
        nothing=None,
        concept="mileage",
        en="Highest odometer reading of a car",
        zh="最高里程读数",
    ),
    Feature(
        "last_odometer_km",
        lambda past: past.visits.latest("odometer_km"),
        unit="km",
        nothing=None,
        concept="mileage",
        en="Odometer at the last workshop visit",
        zh="最近一次进厂里程",
    ),
    *windowed(
        "km_per_year_{window}",
        km_per_year,
        (365, None),
        unit="km",
        nothing=None,
        concept="mileage",
        en="Kilometres driven per year, from odometer readings {window}",
        zh="{window}里程读数折算的年行驶公里数",
    ),
    Feature(
        "km_per_year_change_365d",
        lambda past: km_per_year(past, 365) - km_per_year(past, None),
        unit="km",
        nothing=None,
        concept="mileage",
        en="Kilometres driven per year in the last 365 days beyond the usual",
        zh="近365天年行驶公里数较平时的变化",
        window_days=365,
    ),
)
