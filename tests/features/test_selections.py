"""What the words of a definition select and compare, as tables. The moment is 2024-06-01 00:00."""

from datetime import datetime
from typing import Any

import pytest

from features.feature_set import FEATURES, at
from features.rows import needs_of
from features.warehouse import in_memory
from tests.features.histories import moments
from tests.tables import rows

AS_OF = datetime(2024, 6, 1)


def told(source: str, drawn: str, *names: str, customer: str = "a") -> tuple[Any, ...]:
    """The named features of one customer, where `source` is all there is."""
    features = [FEATURES[name] for name in names]
    held = in_memory({source: rows(source, drawn)})
    row = held.engine.to_pyarrow(at(moments([(customer, AS_OF)]), held, features)).to_pylist()[0]
    return tuple(row[name] for name in names)


GARAGE = ("cars_held", "cars_delivered_ever", "cars_disposed_ever", "oldest_car_age_days")


def test_a_car_is_held_until_it_is_disposed_of() -> None:
    drawn = """
    vehicle_event_id vehicle_id customer happened    kind
    1                old        a        2020-06-01  delivery
    2                new        a        2024-05-02  delivery
    3                old        a        2024-05-12  disposal
    """
    assert told("vehicles", drawn, *GARAGE) == (1, 2, 1, 30)


def test_a_disposal_that_is_known_too_late_leaves_the_car_held() -> None:
    drawn = """
    vehicle_event_id vehicle_id customer happened    known       kind
    1                old        a        2023-06-02  2023-06-02  delivery
    2                old        a        2024-05-12  2024-06-12  disposal
    """
    assert told("vehicles", drawn, *GARAGE) == (1, 1, 0, 365)


def test_a_delivery_that_arrives_after_the_disposal_does_not_bring_the_car_back() -> None:
    drawn = """
    vehicle_event_id vehicle_id customer happened    known       kind
    1                old        a        2024-05-12  2024-05-12  disposal
    2                old        a        2023-06-02  2024-05-20  delivery
    """
    assert told("vehicles", drawn, *GARAGE) == (0, 1, 1, None)


def test_a_corrected_disposal_counts_as_corrected() -> None:
    drawn = """
    vehicle_event_id vehicle_id customer happened    known       superseded  kind
    1                old        a        2023-06-02  2023-06-02  -           delivery
    2                old        a        2023-01-01  2024-05-12  2024-05-20  disposal
    2                old        a        2024-05-11  2024-05-20  -           disposal
    """
    assert told("vehicles", drawn, *GARAGE) == (0, 1, 1, None)


def test_messages_in_a_row_are_those_after_the_last_reply() -> None:
    drawn = """
    contact_id customer happened             kind
    1          a        2024-05-01           sent
    2          a        2024-05-02           answered
    3          a        2024-05-02           sent
    4          a        2024-05-03           sent
    5          a        2024-05-04           opened
    6          a        2024-05-04T00:00:01  sent
    """
    assert told("contacts", drawn, "contacts_unanswered_in_a_row", "contacts_unopened_in_a_row") == (2, 1)


def test_points_lapse_from_the_moment_on_and_never_more_than_are_left() -> None:
    drawn = """
    points_id customer happened    kind      points  expires_at
    1         a        2024-01-01  earned    100     2024-05-31T23:59:59
    2         a        2024-01-02  earned    20      2024-06-01
    3         a        2024-01-03  earned    3       2024-07-01
    4         a        2024-01-04  redeemed  101     -
    """
    names = (
        "points_balance",
        "points_expiring_next_30d",
        "points_expiring_next_90d",
        "days_to_points_expiry",
    )
    assert told("points", drawn, *names) == (22, 20, 22, 0)


def test_a_tier_changes_when_the_row_before_says_another() -> None:
    """Rows of one second are in the order in which they became known, then in that of their keys."""
    drawn = """
    points_id customer happened    known       kind  tier
    1         a        2024-01-01  2024-01-01  tier  silver
    2         a        2024-02-01  2024-02-01  tier  silver
    4         a        2024-05-02  2024-05-02  tier  gold
    3         a        2024-05-02  2024-05-03  tier  silver
    5         a        2024-05-12  2024-05-12  tier  silver
    """
    names = ("tier", "tier_changes_ever", "days_in_tier")
    assert told("points", drawn, *names) == ("silver", 2, 30)


def test_kilometres_are_driven_by_one_car_between_readings() -> None:
    drawn = """
    visit_id vehicle_id customer happened    kind         odometer_km
    1        x          a        2023-06-02  maintenance  10000
    2        y          a        2023-07-01  maintenance  90000
    3        x          a        2023-12-01  repair       -
    4        x          a        2024-06-01  maintenance  99999
    5        x          a        2024-05-31  maintenance  20000
    """
    assert told("visits", drawn, "last_odometer_km", "km_per_year_ever") == (
        20000,
        pytest.approx(10000 * 365 / 364),
    )


def test_a_registration_by_invitation_belongs_to_the_one_invited() -> None:
    drawn = """
    referral_id customer happened    kind        invitee_id
    1           b        2024-05-01  invited     a
    2           b        2024-05-11  registered  a
    3           a        2024-05-21  invited     c
    4           b        2024-05-22  invited     -
    """
    names = (
        "invitations_ever",
        "registrations_by_invitation_ever",
        "days_since_registration_by_invitation",
    )
    assert told("referrals", drawn, *names) == (1, 1, 21)


def test_an_order_takes_the_test_drive_back() -> None:
    drives = """
    touchpoint_id customer happened    kind        initiated_by
    1             a        2024-05-02  test_drive  customer
    """
    orders = """
    order_id customer happened    kind
    1        a        2024-05-01  order
    """
    held = in_memory({"touchpoints": rows("touchpoints", drives), "orders": rows("orders", orders)})
    asked = at(moments([("a", AS_OF)]), held, [FEATURES["days_since_test_drive_without_order"]])
    assert held.engine.to_pyarrow(asked).to_pylist()[0]["days_since_test_drive_without_order"] == 30


def test_misspelt_sources_and_columns_are_named() -> None:
    with pytest.raises(AttributeError, match="there is no source 'visit'"):
        needs_of(lambda past: past.visit.count())
    for wrong in (
        lambda past: past.visits.where(kidn="repair").count(),
        lambda past: past.visits.telling("odometer").count(),
        lambda past: past.vehicles.newest_per("vehicle").count(),
        lambda past: past.contacts.since_last(kidn="answered").count(),
        lambda past: past.points.ahead("expires").count(),
        lambda past: past.visits.sum("amount"),
    ):
        with pytest.raises(KeyError, match="has no column"):
            needs_of(wrong)


def test_needs_have_names_that_every_engine_keeps() -> None:
    """PostgreSQL cuts names after 63 bytes; ours stay shorter and stay distinct."""
    needs = set().union(*(needs_of(feature.definition)[1] for feature in FEATURES.values()))
    marks = {mark for need in needs for mark in need.marks}
    for named in (needs, marks):
        names = [f"{thing.source}: {thing.name}" for thing in named]
        assert max(len(thing.name.encode()) for thing in named) <= 63
        assert len(set(names)) == len(names)
