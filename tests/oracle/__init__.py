"""Every feature again: slow, obvious, in plain Python over lists of dicts.

It shares nothing with the product but the declarations of the sources. A world is `{source: [row, ...]}`; a
`Moment` sees those of its rows that were known, and `expected(moment)` gives every feature's value.
"""

from typing import Any

from tests.oracle import activity, ownership, relations
from tests.oracle.measures import EXPECTED
from tests.oracle.moment import Moment, World, index

__all__ = ["EXPECTED", "Moment", "World", "expected", "index"]

for chapter in (activity, ownership, relations):
    chapter.declare()


def expected(moment: Moment) -> dict[str, Any]:
    """Every feature's value at the moment."""
    return {name: expectation(moment) for name, expectation in EXPECTED.items()}
