"""What a customer allows at a moment, by a slow and obvious reading of the same rows; and that every way to ask says the same."""

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.allowed import allowing, today
from features.cohorts import COHORTS, Cohort
from features.consent import (
    CHILD,
    CONSENTS,
    PURPOSES,
    cohorts_of,
    consented,
    in_chinese,
    needed_for,
    population,
)
from features.errors import NoConsents
from features.live import Live
from features.nightly import excluded_column
from features.sources import CANONICAL
from features.warehouse import Warehouse, in_memory

AT = datetime(2024, 6, 1)
ANYBODY = Cohort("anybody", ())
HOUR = timedelta(hours=1)


def said(state: str, hour: int, purpose: str = "marketing", **more: Any) -> dict[str, Any]:
    """A row of consent, so many hours before (or after) the moment."""
    at = AT + hour * HOUR
    row = dict.fromkeys(CANONICAL["consents"].column_names)
    key = f"{purpose} {hour} {state} {len(more)}"
    row |= {"consent_id": key, "customer_id": "a", "happened_at": at, "known_at": at}
    return row | {"purpose": purpose, "state": state} | more


def rows(source: str, found: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(found, CANONICAL[source].arrow_schema)


def of(*consents: dict[str, Any]) -> Warehouse:
    """Customer `a`, known since long ago, and what they said."""
    since = datetime(2020, 1, 1)
    known = {"profile_id": "a", "customer_id": "a", "happened_at": since, "known_at": since}
    return in_memory({"customers": rows("customers", [known]), "consents": rows("consents", list(consents))})


def why_not(warehouse: Warehouse, purpose: str = "marketing", at: datetime = AT) -> str | None:
    (answer,) = warehouse.engine.to_pyarrow(consented(purpose).ask(warehouse, [at])).to_pylist()
    found: str | None = answer["excluded"]
    return found


TABLE = """
what was said                      | may marketing ask?
nothing                            | no consent for marketing is known
granted                            |
granted, withdrawn                 | withdrew the consent for marketing
withdrawn, granted                 |
refused                            | refused marketing
granted, refused                   | refused marketing
granted until yesterday            | the consent for marketing has ended
granted until this very moment     | the consent for marketing has ended
granted until tomorrow             |
granted, withdrawal known later    |
withdrawn, grant known later       | withdrew the consent for marketing
granted for service only           | no consent for marketing is known
a word nobody declared             | the consent for marketing is no yes
"""
CASES: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "granted": [said("granted", -5)],
    "granted, withdrawn": [said("granted", -5), said("withdrawn", -3)],
    "withdrawn, granted": [said("withdrawn", -5), said("granted", -3)],
    "refused": [said("refused", -5)],
    "granted, refused": [said("granted", -5), said("refused", -3)],
    "granted until yesterday": [said("granted", -50, expires_at=AT - 24 * HOUR)],
    "granted until this very moment": [said("granted", -50, expires_at=AT)],
    "granted until tomorrow": [said("granted", -50, expires_at=AT + 24 * HOUR)],
    "granted, withdrawal known later": [said("granted", -5), said("withdrawn", -3, known_at=AT)],
    "withdrawn, grant known later": [said("withdrawn", -5), said("granted", -3, known_at=AT)],
    "granted for service only": [said("granted", -5, "service")],
    "a word nobody declared": [said("maybe", -5)],
}


def table() -> list[tuple[str, str | None]]:
    lines = [line.split("|") for line in TABLE.strip().splitlines()[1:]]
    return [(case.strip(), answer.strip() or None) for case, answer in lines]


@pytest.mark.parametrize(("case", "answer"), table())
def test_the_latest_that_was_known_decides_and_whatever_is_no_yes_is_no(
    case: str, answer: str | None
) -> None:
    assert why_not(of(*CASES[case])) == answer


def test_to_refuse_profiling_is_an_objection_of_its_own() -> None:
    assert why_not(of(said("refused", -1, "profiling")), "profiling") == "refused automated profiling"


def test_a_use_needs_its_own_purpose_that_of_the_sources_and_profiling() -> None:
    assert needed_for("marketing") == ("marketing", "service", "profiling")
    assert needed_for("service") == ("service", "profiling")
    assert {source.purpose for source in CANONICAL.values()} <= set(PURPOSES)


def test_nobody_is_asked_about_where_nothing_says_who_allows_what() -> None:
    silent = in_memory({"customers": rows("customers", [])}, without_consents="")
    for ask in (
        lambda: cohorts_of(silent),
        lambda: population(COHORTS["owners"], "marketing", silent),
        lambda: today(silent, "marketing"),
        lambda: Live(["customers"]),
    ):
        with pytest.raises(NoConsents, match="--without-consents"):
            ask()


def test_where_consent_is_kept_elsewhere_for_a_stated_reason_everybody_may_be_asked_about() -> None:
    """Everybody but children."""
    elsewhere = in_memory(
        {"customers": of().engine.to_pyarrow(of().tables["customers"])}, without_consents="why"
    )
    first, *others = population(COHORTS["owners"], "marketing", elsewhere).conditions
    assert (first.otherwise, tuple(others)) == (CHILD, COHORTS["owners"].conditions)
    assert why_not_any(elsewhere) == {None}


AGES = """
born       | may the service be asked about them, on 2024-06-01?
never told |
1980       |
2009       |
2010       | may be under 14
2015       | may be under 14
"""


@pytest.mark.parametrize("line", AGES.strip().splitlines()[1:])
def test_a_child_allows_nothing(line: str) -> None:
    born, expected = (cell.strip() for cell in line.split("|"))
    since = datetime(2020, 1, 1)
    known = {"profile_id": "a", "customer_id": "a", "happened_at": since, "known_at": since}
    known["birth_year"] = int(born) if born.isdigit() else None
    held = in_memory(
        {
            "customers": rows("customers", [known]),
            "consents": rows("consents", [said("granted", -9, purpose) for purpose in PURPOSES]),
        }
    )
    assert why_not(held, "service") == (expected or None)
    (asked,) = held.engine.to_pyarrow(population(ANYBODY, "service", held).ask(held, [AT])).to_pylist()
    assert asked["excluded"] == (expected or None)
    assert in_chinese(CHILD) == "可能未满14周岁"


def test_a_year_of_birth_is_not_forgotten_when_a_later_profile_says_none() -> None:
    since = datetime(2020, 1, 1)
    first = {
        "profile_id": "a",
        "customer_id": "a",
        "happened_at": since,
        "known_at": since,
        "birth_year": 2015,
    }
    later = first | {
        "profile_id": "b",
        "happened_at": since + HOUR,
        "known_at": since + HOUR,
        "birth_year": None,
    }
    consents = rows("consents", [said("granted", -9, purpose) for purpose in PURPOSES])
    held = in_memory({"customers": rows("customers", [first, later]), "consents": consents})
    assert why_not(held, "service") == CHILD


def why_not_any(warehouse: Warehouse) -> set[str | None]:
    given = [cohort for cohort in cohorts_of(warehouse) if cohort.name.startswith("consent")]
    return {
        row["excluded"]
        for cohort in given
        for row in warehouse.engine.to_pyarrow(cohort.ask(warehouse, [AT])).to_pylist()
    }


STATES = st.sampled_from(["granted", "withdrawn", "refused"])
SAID = st.lists(
    st.tuples(
        STATES,
        st.integers(-40, 4),
        st.sampled_from(PURPOSES),
        st.integers(0, 6),
        st.none() | st.integers(-60, 60),
    ),
    max_size=8,
    unique_by=lambda one: (one[1], one[2]),
)


def by_hand(found: list[dict[str, Any]], purpose: str, at: datetime) -> bool:
    """Whether the customer allows a purpose at a moment."""
    known = [r for r in found if r["purpose"] == purpose and r["happened_at"] < at and r["known_at"] < at]
    if not known:
        return False
    last = max(known, key=lambda row: (row["happened_at"], row["known_at"]))
    return last["state"] == "granted" and (last["expires_at"] is None or last["expires_at"] > at)


@settings(max_examples=15, deadline=None)
@given(SAID)
def test_engine_and_arrays_say_what_reading_the_rows_by_hand_says(drawn: list[tuple[Any, ...]]) -> None:
    found = [
        said(
            state,
            hour,
            purpose,
            known_at=AT + (hour + later) * HOUR,
            expires_at=None if ends is None else AT + ends * HOUR,
        )
        for state, hour, purpose, later, ends in drawn
    ]
    warehouse = of(*found)
    moments = pa.table({"customer_id": ["a"], "as_of": pa.array([AT], pa.timestamp("us"))})
    tables = {name: warehouse.engine.to_pyarrow(table) for name, table in warehouse.tables.items()}
    live = LIVE.rows(moments, tables)
    for purpose in PURPOSES:
        allows = by_hand(found, purpose, AT)
        assert (why_not(warehouse, purpose) is None) == allows
        assert live[excluded_column(CONSENTS[purpose].name)].to_pylist() == [why_not(warehouse, purpose)]


LIVE = Live(["customers", "consents"], [])


def test_whoever_withdrew_since_is_not_among_those_to_learn_from() -> None:
    both = [said("granted", -9, purpose) for purpose in PURPOSES]
    gone = [*both, said("withdrawn", 9, "profiling")]
    for consents, left in ((both, ["a"]), (gone, [])):
        warehouse = of(*consents)
        kept = warehouse.engine.to_pyarrow(allowing(warehouse, "marketing").tables["customers"])
        assert kept["customer_id"].to_pylist() == left
        assert why_not(warehouse, "profiling") is None  # at the moment they allowed it
