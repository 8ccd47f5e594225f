"""What to expect of cars, workshop visits, charging and the lifecycle."""

from itertools import pairwise
from typing import Any

from tests.oracle.activity import orders, test_drives
from tests.oracle.measures import (
    EXPECTED,
    change,
    days_to,
    difference,
    distinct,
    due,
    first,
    largest,
    last,
    mean_gap,
    newest,
    over,
    overdue,
    ratio,
    rhythm,
    since_first,
    since_last,
    smallest,
    total,
)
from tests.oracle.moment import DAY_S, Moment, Row, day_of


def deliveries(m: Moment) -> list[Row]:
    return m.rows("vehicles", kind="delivery")


def disposals(m: Moment) -> list[Row]:
    return m.rows("vehicles", kind="disposal")


def price_class_rise(m: Moment) -> int:
    climbed = 0
    for before, row in zip(deliveries(m), deliveries(m)[1:], strict=False):
        if before["price_class"] is not None and row["price_class"] is not None:
            climbed += row["price_class"] - before["price_class"]
    return climbed


def newest_held(m: Moment, column: str) -> Any:
    held = sorted(m.held(), key=lambda row: (row["happened_at"], row["known_at"], row["vehicle_event_id"]))
    return newest(held, column)


def declare_garage() -> None:
    held = Moment.held
    EXPECTED["cars_held"] = lambda m: len(held(m))
    for name, power in (("electric", ("BEV", "PHEV")), ("combustion", ("ICE", "HEV"))):
        EXPECTED[f"{name}_cars_held"] = lambda m, p=power: sum(1 for car in held(m) if car["power_type"] in p)
    over("cars_delivered_{}", (365, None), lambda m, d: distinct(m.recent(deliveries(m), d), "vehicle_id"))
    over("cars_disposed_{}", (365, None), lambda m, d: distinct(m.recent(disposals(m), d), "vehicle_id"))
    EXPECTED["cars_traded_in"] = lambda m: distinct(
        m.rows("vehicles", kind="disposal", disposal_kind="trade_in"), "vehicle_id"
    )
    EXPECTED["models_owned"] = lambda m: distinct(deliveries(m), "model")
    last("days_since_disposal", disposals)
    EXPECTED["highest_price_class_held"] = lambda m: largest(held(m), "price_class")
    EXPECTED["lowest_price_class_held"] = lambda m: smallest(held(m), "price_class")
    EXPECTED["price_class_rise"] = price_class_rise
    EXPECTED["last_car_price_cents"] = lambda m: newest(deliveries(m), "price_cents")
    EXPECTED["cars_price_cents_ever"] = lambda m: total(deliveries(m), "price_cents")
    EXPECTED["financed_cars_held"] = lambda m: sum(
        1 for c in held(m) if c["finance_plan"] in ("loan", "lease")
    )
    last("days_since_delivery", deliveries)
    first("days_since_first_delivery", deliveries)
    last("newest_car_age_days", held)
    first("oldest_car_age_days", held)
    EXPECTED["mean_days_between_deliveries"] = lambda m: mean_gap(deliveries(m))
    EXPECTED["delivery_overdue_ratio"] = lambda m: overdue(m, deliveries(m))
    for name, column in (("warranty", "warranty_ends_at"), ("finance", "finance_ends_at")):
        EXPECTED[f"days_to_{name}_end"] = lambda m, c=column: days_to(m, smallest(held(m), c))
        EXPECTED[f"cars_under_{name}"] = lambda m, c=column: len(due(m, held(m), c, None))
        for days in (90, 365):
            EXPECTED[f"{name}_ending_next_{days}d"] = lambda m, c=column, d=days: len(due(m, held(m), c, d))
    for column in ("model", "segment", "power_type"):
        EXPECTED[f"newest_car_{column}"] = lambda m, c=column: newest_held(m, c)


def visits(m: Moment) -> list[Row]:
    return m.all("visits")


def km_per_year(m: Moment, days: int | None) -> float | None:
    """Distance and days between neighbouring odometer readings of one car, over readings of the last days."""
    readings: dict[str | None, list[Row]] = {}
    for visit in visits(m):
        if visit["odometer_km"] is not None:
            readings.setdefault(visit["vehicle_id"], []).append(visit)
    km = took = 0
    for one_car in readings.values():
        for before, after in pairwise(one_car):
            if days is None or m.age_s(after) <= days * DAY_S:
                km += after["odometer_km"] - before["odometer_km"]
                took += day_of(after["happened_at"]) - day_of(before["happened_at"])
    return ratio(km * 365, took)


def service_overdue(m: Moment) -> int | None:
    since = since_last(m, m.rows("visits", kind="maintenance"))
    if since is None:
        since = since_first(m, m.held())
    return None if since is None else since - 365


def declare_visits() -> None:
    last("days_since_visit", visits)
    rhythm("visits", "visit_overdue_ratio", visits)
    over("visits_{}", (90, 180, 365, None), lambda m, d: len(m.recent(visits(m), d)))
    change("visits_change_{}", (180, 365), lambda m, d: len(m.recent(visits(m), d)))
    for kind, name in (("maintenance", "maintenance_visits"), ("repair", "repairs"), ("recall", "recalls")):
        over(f"{name}_{{}}", (365, None), lambda m, d, k=kind: len(m.recent(m.rows("visits", kind=k), d)))
        last(f"days_since_{kind}", lambda m, k=kind: m.rows("visits", kind=k))
    EXPECTED["service_overdue_days"] = service_overdue
    over("workshops_{}", (365, None), lambda m, d: distinct(m.recent(visits(m), d), "dealer_id"))
    over("cars_serviced_{}", (365,), lambda m, d: distinct(m.recent(visits(m), d), "vehicle_id"))
    spend = lambda m, d: total(m.recent(visits(m), d), "amount_cents")  # noqa: E731
    over("workshop_spend_{}_cents", (180, 365, None), spend)
    change("workshop_spend_change_{}_cents", (365,), spend)
    over(
        "repair_spend_{}_cents",
        (365,),
        lambda m, d: total(m.recent(m.rows("visits", kind="repair"), d), "amount_cents"),
    )
    over("mean_visit_spend_{}_cents", (None,), lambda m, d: ratio(spend(m, d), len(visits(m))))
    over("largest_visit_spend_{}_cents", (365,), lambda m, d: largest(m.recent(visits(m), d), "amount_cents"))
    EXPECTED["last_visit_spend_cents"] = lambda m: newest(visits(m), "amount_cents")
    EXPECTED["highest_odometer_km"] = lambda m: largest(visits(m), "odometer_km")
    EXPECTED["last_odometer_km"] = lambda m: newest(visits(m), "odometer_km")
    over("km_per_year_{}", (365, None), km_per_year)
    EXPECTED["km_per_year_change_365d"] = lambda m: difference(km_per_year(m, 365), km_per_year(m, None))


def declare_charges() -> None:
    charges = lambda m: m.all("charges")  # noqa: E731
    energy = lambda m, d: total(m.recent(charges(m), d), "energy_wh")  # noqa: E731
    at = lambda m, place, d: len(m.recent(m.rows("charges", place=place), d))  # noqa: E731
    last("days_since_charge", charges)
    rhythm("charges", "charge_overdue_ratio", charges)
    over("charges_{}", (7, 30, 90, 365), lambda m, d: len(m.recent(charges(m), d)))
    change("charges_change_{}", (7, 30, 90), lambda m, d: len(m.recent(charges(m), d)))
    for place in ("home", "public", "brand"):
        over(f"{place}_charges_{{}}", (90,), lambda m, d, place=place: at(m, place, d))
    over("brand_charge_share_{}", (365,), lambda m, d: ratio(at(m, "brand", d), len(m.recent(charges(m), d))))
    over("charge_energy_{}_wh", (30, 90, 365), energy)
    change("charge_energy_change_{}_wh", (30, 90), energy)
    over("charge_time_{}_s", (90,), lambda m, d: total(m.recent(charges(m), d), "duration_s"))
    over(
        "mean_charge_energy_{}_wh",
        (90,),
        lambda m, d: ratio(
            energy(m, d), sum(1 for c in m.recent(charges(m), d) if c["energy_wh"] is not None)
        ),
    )
    change("public_charges_change_{}", (90,), lambda m, d: at(m, "public", d))


def enquiries(m: Moment) -> list[Row]:
    return m.deeds(kind=("configurator", "quote_request", "showroom_visit", "site_lead"))


def open_orders(m: Moment) -> int:
    gone = len(m.rows("orders", kind="cancellation")) + distinct(deliveries(m), "vehicle_id")
    return max(len(orders(m)) - gone, 0)


def stage(m: Moment) -> tuple[int, str, int | None]:
    """Its number, its name, and the days in it."""
    if m.held():
        return 4, "owner", since_first(m, m.held())
    if deliveries(m):
        return 5, "lapsed", since_last(m, disposals(m))
    if open_orders(m):
        return 3, "ordered", since_last(m, orders(m))
    if test_drives(m):
        return 2, "tested", since_first(m, test_drives(m))
    if enquiries(m):
        return 1, "lead", since_first(m, enquiries(m))
    return 0, "fan", since_first(m, m.all("customers"))


def declare_lifecycle() -> None:
    EXPECTED["lifecycle_stage"] = lambda m: stage(m)[0]
    EXPECTED["lifecycle_stage_name"] = lambda m: stage(m)[1]
    EXPECTED["days_in_lifecycle_stage"] = lambda m: stage(m)[2]
    EXPECTED["open_orders"] = open_orders
    first("days_since_first_known", lambda m: m.all("customers"))
    first("days_since_first_enquiry", enquiries)
    for name, earlier, later in (
        ("enquiry_to_test_drive", enquiries, test_drives),
        ("test_drive_to_order", test_drives, orders),
        ("order_to_delivery", orders, deliveries),
    ):
        EXPECTED[f"days_from_{name}"] = lambda m, a=earlier, b=later: difference(
            since_first(m, a(m)), since_first(m, b(m))
        )


def declare() -> None:
    declare_garage()
    declare_visits()
    declare_charges()
    declare_lifecycle()
