"""Strictness: what is not of the declared form is refused with pointers, and nothing that was sent is repeated."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.edge.problem import Problem
from serving.edge.strict import decoded, parameters
from tests.serving.edge.counter import OneRequest, SumRequest

GOOD = '{"customer_ids": ["a"], "parts": [{"amount": %s}]}'
NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    '"3"',
    "true",
    "null",
    "9" * 400,
    "9" * 5_000,
    "1e7",
    "0x1",
    "1.",
)
INSTANTS = (
    "2026-01-01T00:00:00",
    "2026-01-01",
    "2026-13-01T00:00:00Z",
    "2026-01-01T00:00:60Z",
    "",
    "yesterday",
    "\u0000",
)


def refused(body: str | bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        decoded(body.encode() if isinstance(body, str) else body, SumRequest)
    return caught.value


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: n[:12])
def test_no_number_but_a_finite_one_of_its_type_is_taken(number: str) -> None:
    problem = refused(GOOD % number)
    assert problem.status == (400 if number in ("NaN", "Infinity", "-Infinity", "0x1", "1.") else 422)
    if problem.status == 422:
        assert [pointer for pointer, _ in problem.errors] == ["/parts/0/amount"]


@pytest.mark.parametrize("number", ["-0.0", "5e-324", "9.007199254740993e5", "1"])
def test_odd_but_finite_numbers_are_taken_as_they_stand(number: str) -> None:
    assert decoded((GOOD % number).encode(), SumRequest).parts[0].amount == float(number)


@pytest.mark.parametrize("instant", INSTANTS)
def test_an_instant_without_an_offset_or_no_instant_is_refused(instant: str) -> None:
    problem = refused(json.dumps({"customer_ids": ["a"], "parts": [{"amount": 1, "at": instant}]}))
    assert [pointer for pointer, _ in problem.errors] == ["/parts/0/at"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"customer_ids": ["a"], "customer_ids": ["b"]}', 422),
        ('{"customer_ids": ["a"], "parts": [{"amount": 1, "amount": 2}]}', 422),
        ('{"customer_ids": ["a"], "p\\u0061rts": [], "parts": []}', 422),
        ('{"Customer_ids": ["a"]}', 422),
        ('\ufeff{"customer_ids": ["a"]}', 400),
        ('{"customer_ids": ["a"]}'.encode("utf-16"), 400),
        (b'{"customer_ids": ["\xff"]}', 400),
        (b'{"customer_ids": ["a"], "\xc3": 1}', 400),
        ('{"customer_ids": ["\\ud800"]}', 400),
        ('{"customer_ids": ["\\u0000"]}', 422),
        ('{"customer_ids": ["a\\n"]}', 422),
        ('{"customer_ids": ["\u202ea"]}', 422),
        ('{"customer_ids": ["a\u200b"]}', 422),
        ('{"customer_ids": ["e\u0301"]}', 422),
        ('{"customer_ids": ["%s"]}' % ("a" * 65_536), 422),
        ('{"customer_ids": []}', 422),
        ('{"customer_ids": ["a"]} {}', 400),
        ('{"customer_ids": ["a"],}', 400),
        ("", 400),
        ("null", 422),
        ("{}", 422),
        ("[" * 50 + "]" * 50, 422),
        ("[" * 101 + "]" * 101, 400),
        ("[" * 100_000, 400),
        ('{"a":' * 100_000, 400),
        ('{"a":' * 90, 400),
        ("{" + ",".join(f'"{n}":1' for n in range(100_000)) + "}", 422),
    ],
    ids=lambda value: str(value)[:40],
)
def test_odd_json_is_refused(body: str | bytes, status: int) -> None:
    assert refused(body).status == status


def test_every_wrong_place_is_pointed_at() -> None:
    problem = refused(
        '{"customer_ids": ["a", "b c", 3], "parts": [{"amount": "x", "times": 101}, {"times": 1}], "tasks": 1, "zz": 2}'
    )
    assert [pointer for pointer, _ in problem.errors] == [
        "",
        "/customer_ids/1",
        "/customer_ids/2",
        "/parts/0/amount",
        "/parts/0/times",
        "/parts/1/amount",
        "/tasks",
    ]


def test_at_most_twenty_places_are_named() -> None:
    assert len(refused(json.dumps({"customer_ids": ["a b"] * 1_000})).errors) == 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just("13800001111"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["customer_ids", "parts", "tasks", "amount", "times", "at", "words"])
NEAR = st.dictionaries(
    NAMES, JSON | st.lists(st.dictionaries(NAMES, JSON, max_size=4), max_size=3), max_size=4
)


@given(JSON | NEAR)
def test_whatever_is_sent_is_a_question_or_a_problem(value: Any) -> None:
    asked = problem = None
    try:
        asked = decoded(json.dumps(value).encode(), SumRequest)
    except Problem as refusal:
        problem = refusal
    if problem is not None:
        assert problem.status in (400, 422)
        assert b"13800001111" not in problem.body()
        return
    # What was taken says the same: nothing was dropped or turned into another type.
    assert msgspec.to_builtins(asked).items() >= {k: v for k, v in value.items() if k != "parts"}.items()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_question_or_a_problem(body: bytes) -> None:
    with pytest.raises(Problem):
        decoded(body, SumRequest)


@pytest.mark.parametrize(
    ("given_", "pointer"),
    [
        ([("number", "1.5")], "/number"),
        ([("number", "x")], "/number"),
        ([("number", "9" * 5_000)], "/number"),
        ([("number", "1"), ("number", "1")], ""),
        ([("number", "1"), ("13800001111", "1")], ""),
        ([("number", "1"), ("twice", "13800001111")], "/twice"),
        ([], "/number"),
    ],
)
def test_parameters_are_as_strict(given_: list[tuple[str, str]], pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        parameters(given_, OneRequest)
    assert [where for where, _ in caught.value.errors] == [pointer]
    assert b"13800001111" not in caught.value.body()
    assert parameters([("number", "12"), ("twice", "true")], OneRequest) == OneRequest(12, True)
