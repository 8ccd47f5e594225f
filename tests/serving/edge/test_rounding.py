"""Numbers with few decimals for those outside: rounded in every depth, nothing else changed, and exact for everybody else."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.edge.rounding import encoded
from tests.serving.edge.counter import client, edge
from tests.serving.edge.test_askers import bearer, by_jwt, door, make, signed  # noqa: F401

THIRDS = {"customer_ids": ["a"], "parts": [{"amount": 1 / 3}, {"amount": 1e-7}]}


class Anything(msgspec.Struct):
    held: Any


leaves = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text() | st.floats(-1e9, 1e9, width=64)
answers = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(answers, st.integers(1, 15))
def test_every_fraction_is_rounded_and_all_else_is_as_it_was(held: Any, decimals: int) -> None:
    def oracle(text: str) -> Any:
        return json.loads(text, parse_float=lambda number: round(float(number), decimals))

    exact, few = encoded(Anything(held)), encoded(Anything(held), decimals)
    assert exact == msgspec.json.encode(Anything(held))
    assert json.loads(few) == oracle(exact.decode())


def test_clocks_and_names_of_fields_stay_as_they_are() -> None:
    class Named(msgspec.Struct, rename="camel", omit_defaults=True):
        first_at: datetime
        the_share: float
        left_out: int = 0

    said = Named(datetime(2024, 6, 19, 12, tzinfo=UTC), 0.123456)
    assert encoded(said, 4) == b'{"firstAt":"2024-06-19T12:00:00Z","theShare":0.1235}'
    assert encoded(said) == b'{"firstAt":"2024-06-19T12:00:00Z","theShare":0.123456}'


def test_a_token_says_how_many_decimals_its_owner_gets() -> None:
    inside, outside = make("north"), make("agency", "--decimals", "4")
    asking = client(edge(door()))
    exact = asking.post("/v1/sums", json=THIRDS, headers=bearer(inside)).json()["total"]
    told = asking.post("/v1/sums", json=THIRDS, headers=bearer(outside)).json()["total"]
    assert (exact, told) == (1 / 3 + 1e-7, 0.3333)


def test_so_does_a_web_token(by_jwt: Any) -> None:  # noqa: F811
    asking = client(edge(by_jwt))
    told = asking.post("/v1/sums", json=THIRDS, headers=bearer(signed(decimals=2))).json()["total"]
    assert told == 0.33


@pytest.mark.parametrize("odd", [0, 16, -4, 2.0, "4", True, [4]])
def test_a_web_token_with_an_odd_number_of_decimals_gets_a_401(by_jwt: Any, odd: object) -> None:  # noqa: F811
    asked = client(edge(by_jwt)).post("/v1/sums", json=THIRDS, headers=bearer(signed(decimals=odd)))
    assert asked.status_code == 401
