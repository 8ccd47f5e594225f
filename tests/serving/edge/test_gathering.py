"""An alarm for whoever gathers scores or feels a model out: once, of the right asker, on record; and for nobody else."""

import pytest

from serving.edge import gathering
from serving.edge.gathering import DAY_S, HOUR_S, Gathering


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setenv("PROPENSITY_ALARM_CUSTOMERS_PER_DAY", "1000")
    monkeypatch.setenv("PROPENSITY_ALARM_TIMES_PER_HOUR", "20")
    return Clock()


def others(count: int) -> list[str]:
    return [f"pseudonym {n}" for n in range(count)]


def test_who_gathers_is_told_of_once_a_day(clock: Clock) -> None:
    watch = Gathering(clock)
    told = []
    for _ in range(100):
        told.append(watch.noticed("copier", others(100)))
        clock.now += HOUR_S / 2
    assert [n for n, one in enumerate(told) if one] == [10, 58]
    assert told[10] == {"gathers": 1100}


def test_who_asks_no_more_than_allowed_in_any_day_is_never_told_of(clock: Clock) -> None:
    watch = Gathering(clock)
    for _ in range(20):
        assert watch.noticed("crm", others(1000)) == {}
        clock.now += DAY_S + HOUR_S


def test_who_feels_a_model_out_is_told_of(clock: Clock) -> None:
    watch = Gathering(clock)
    told = [watch.noticed("curious", ["somebody"]) for _ in range(25)]
    assert [n for n, one in enumerate(told) if one] == [20]
    assert told[20] == {"feels out": 21}


def test_memory_is_bounded_and_whoever_is_asked_about_most_is_still_noticed(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "MOST_HELD", 50)
    watch = Gathering(clock)
    told = []
    for n in range(300):
        told.append(watch.noticed("curious", ["somebody"]))
        assert watch.noticed("crm", [f"customer {n}"]) == {}
        assert len(watch._felt) <= 50
    assert [one for one in told if one] == [{"feels out": 21}]


def test_askers_customers_and_hours_are_apart(clock: Clock) -> None:
    watch = Gathering(clock)
    for hour in range(3):
        for n in range(40):
            assert watch.noticed(f"asker {n % 2}", ["somebody"]) == {}
            assert watch.noticed("another", [f"customer {hour} {n}"]) == {}
        clock.now += HOUR_S + 1
    for _ in range(15):  # a list asked for again is no feeling out
        assert watch.noticed("lists", others(60)) == {}
