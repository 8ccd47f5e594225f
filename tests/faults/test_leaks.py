"""Personal values in every place of a request, in small numbers; `make faults` sends 10,000."""

import random
from pathlib import Path

import pytest

from tests.faults.leaks import leaked, spellings, strangers
from tests.serving.canaries import traces


def test_the_search_finds_what_it_looks_for_in_every_spelling(tmp_path: Path) -> None:
    """A search that finds nothing proves nothing unless it would have found something."""
    for person in strangers(random.Random(1), 2):
        for word in person:
            for spelling in spellings(word):
                (tmp_path / "said.txt").write_bytes(b"the customer " + spelling + b" could not be read\n")
                assert traces(tmp_path, spellings(word)) == [f"{tmp_path.name}/said.txt"]
    (tmp_path / "said.txt").write_bytes(b"a customer could not be read\n")
    assert traces(tmp_path, spellings(word)) == []


@pytest.mark.slow
def test_personal_values_in_every_place_of_a_request_come_out_nowhere(shop: Path, tmp_path: Path) -> None:
    statuses, found = leaked(shop, tmp_path, 400, seed=11)
    assert found == []
    assert {"200", "400", "403", "404", "422"} <= statuses.keys()
    assert not [status for status in statuses if status.startswith("5") and status != "503"]
