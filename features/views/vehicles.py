"""The garage: which cars a customer holds now, how old and how dear they are, and what comes to an end.

A car is held when the newest thing known about it is a delivery. Its disposal may arrive late or be corrected;
the moment sees what was known then.
"""

from functools import partial
from typing import Any

from features.feature import Feature, windowed
from features.rows import Rows

__all__ = ["FEATURES", "deliveries", "disposals", "held"]

POWER = {"electric": ("BEV", "PHEV"), "combustion": ("HEV", "ICE")}
ENDS = {
    "warranty": ("warranty_ends_at", "warranty", "质保"),
    "finance": ("finance_ends_at", "finance", "金融"),
}


def deliveries(past: Any) -> Rows:
    return past.vehicles.where(kind="delivery")  # type: ignore[no-any-return]


def disposals(past: Any) -> Rows:
    return past.vehicles.where(kind="disposal")  # type: ignore[no-any-return]


def held(past: Any) -> Rows:
    return deliveries(past).newest_per("vehicle_id")


def held_with_power(power_types: tuple[str, ...], past: Any) -> Any:
    return held(past).where(power_type=power_types).count()


def days_to_end(column: str, past: Any) -> Any:
    return held(past).days_to_first(column)


def ending_soon(column: str, days: int | None, past: Any) -> Any:
    return held(past).ahead(column, days).count()


FEATURES = (
    Feature(
        "cars_held",
        lambda past: held(past).count(),
        unit="cars",
        nothing=0,
        concept="garage",
        en="Cars held",
        zh="名下车辆数",
    ),
    *(
        Feature(
            f"{name}_cars_held",
            partial(held_with_power, power_types),
            unit="cars",
            nothing=0,
            concept="garage",
            en=f"Cars held with {name} drive",
            zh=f"名下{zh}车辆数",
        )
        for (name, power_types), zh in zip(POWER.items(), ("新能源", "燃油"), strict=True)
    ),
    *windowed(
        "cars_delivered_{window}",
        lambda past, days: deliveries(past).distinct("vehicle_id", days),
        (365, None),
        unit="cars",
        nothing=0,
        concept="garage",
        en="Cars delivered {window}",
        zh="{window}交付车辆数",
    ),
    *windowed(
        "cars_disposed_{window}",
        lambda past, days: disposals(past).distinct("vehicle_id", days),
        (365, None),
        unit="cars",
        nothing=0,
        concept="garage",
        en="Cars disposed of {window}",
        zh="{window}处置车辆数",
    ),
    Feature(
        "cars_traded_in",
        lambda past: disposals(past).where(disposal_kind="trade_in").distinct("vehicle_id"),
        unit="cars",
        nothing=0,
        concept="garage",
        en="Cars traded in",
        zh="置换车辆数",
    ),
    Feature(
        "models_owned",
        lambda past: deliveries(past).distinct("model"),
        unit="models",
        nothing=0,
        concept="garage",
        en="Different models owned so far",
        zh="累计拥有车型数",
    ),
    Feature(
        "days_since_disposal",
        lambda past: disposals(past).days_since_last(),
        unit="days",
        nothing=None,
        concept="garage",
        en="Days since the last car was disposed of",
        zh="距上次处置车辆的天数",
    ),
    Feature(
        "highest_price_class_held",
        lambda past: held(past).max("price_class"),
        unit="class",
        nothing=None,
        concept="garage",
        en="Price class of the dearest car held",
        zh="名下最高价位级别",
    ),
    Feature(
        "lowest_price_class_held",
        lambda past: held(past).min("price_class"),
        unit="class",
        nothing=None,
        concept="garage",
        en="Price class of the cheapest car held",
        zh="名下最低价位级别",
    ),
    Feature(
        "price_class_rise",
        lambda past: deliveries(past).rise("price_class"),
        unit="classes",
        nothing=0,
        concept="garage",
        en="Price classes climbed from car to car",
        zh="历次购车价位级别变化",
    ),
    Feature(
        "last_car_price_cents",
        lambda past: deliveries(past).latest("price_cents"),
        unit="cents",
        nothing=None,
        concept="garage",
        en="Price of the last car",
        zh="最近一次购车价格",
    ),
    Feature(
        "cars_price_cents_ever",
        lambda past: deliveries(past).sum("price_cents"),
        unit="cents",
        nothing=0,
        concept="garage",
        en="Price of all cars so far",
        zh="累计购车金额",
    ),
    Feature(
        "financed_cars_held",
        lambda past: held(past).where(finance_plan=("lease", "loan")).count(),
        unit="cars",
        nothing=0,
        concept="quotes and finance",
        en="Cars held on a loan or lease",
        zh="名下贷款或租赁车辆数",
    ),
    Feature(
        "days_since_delivery",
        lambda past: deliveries(past).days_since_last(),
        unit="days",
        nothing=None,
        concept="car age",
        en="Days since the last delivery",
        zh="距上次交付的天数",
    ),
    Feature(
        "days_since_first_delivery",
        lambda past: deliveries(past).days_since_first(),
        unit="days",
        nothing=None,
        concept="car age",
        en="Days since the first delivery",
        zh="距首次交付的天数",
    ),
    Feature(
        "newest_car_age_days",
        lambda past: held(past).days_since_last(),
        unit="days",
        nothing=None,
        concept="car age",
        en="Age of the newest car held, in days",
        zh="名下最新车辆的车龄天数",
    ),
    Feature(
        "oldest_car_age_days",
        lambda past: held(past).days_since_first(),
        unit="days",
        nothing=None,
        concept="car age",
        en="Age of the oldest car held, in days",
        zh="名下最旧车辆的车龄天数",
    ),
    Feature(
        "mean_days_between_deliveries",
        lambda past: deliveries(past).mean_gap_days(),
        unit="days",
        nothing=None,
        concept="car age",
        en="Mean days between deliveries",
        zh="平均购车间隔天数",
    ),
    Feature(
        "delivery_overdue_ratio",
        lambda past: deliveries(past).days_since_last() / deliveries(past).mean_gap_days(),
        unit="times",
        nothing=None,
        concept="car age",
        en="Days since the last delivery, as a multiple of the usual time between cars",
        zh="距上次交付的天数与平时购车间隔之比",
    ),
    *(
        Feature(
            f"days_to_{name}_end",
            partial(days_to_end, column),
            unit="days",
            nothing=None,
            concept="warranty and finance end",
            en=f"Days until the first {en} of a car held ends, negative once it has",
            zh=f"名下车辆最早{zh}到期的剩余天数，过期为负",
        )
        for name, (column, en, zh) in ENDS.items()
    ),
    *(
        Feature(
            f"{name}_ending_next_{days}d",
            partial(ending_soon, column, days),
            unit="cars",
            nothing=0,
            concept="warranty and finance end",
            en=f"Cars held whose {en} ends within {days} days",
            zh=f"{days}天内{zh}到期的名下车辆数",
        )
        for name, (column, en, zh) in ENDS.items()
        for days in (90, 365)
    ),
    *(
        Feature(
            f"cars_under_{name}",
            partial(ending_soon, column, None),
            unit="cars",
            nothing=0,
            concept="warranty and finance end",
            en=f"Cars held with {en} still running",
            zh=f"{zh}未到期的名下车辆数",
        )
        for name, (column, en, zh) in ENDS.items()
    ),
    *(
        Feature(
            f"newest_car_{column}",
            partial(lambda column, past: held(past).latest(column), column),
            unit=column.replace("_", " "),
            nothing=None,
            concept="garage",
            en=f"{en} of the newest car held",
            zh=f"名下最新车辆的{zh}",
            kind="category",
        )
        for column, en, zh in (
            ("model", "Model", "车型"),
            ("segment", "Segment", "级别"),
            ("power_type", "Drive", "动力类型"),
        )
    ),
)
