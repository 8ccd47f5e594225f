"""Every operation a definition may use gives over arrays what DuckDB gives, to the bit, with nothing in every place."""

import itertools
from datetime import datetime
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from features.errors import UnknownOperation
from features.formula import Formulas, Values

NUMBERS = (None, -86_401, -7, -1, 0, 1, 3, 86_400, 10**15 + 1)
WORDS = (None, "", "x", "钻石")
MOMENTS = (
    datetime(1969, 2, 28, 23, 59, 59), datetime(1970, 1, 1), datetime(2024, 2, 29, 12, 0, 0, 500_000),
    datetime(2026, 12, 31, 23, 59, 59, 999_999),
)  # fmt: skip
CELLS = list(itertools.product(NUMBERS, NUMBERS, WORDS, MOMENTS))
TABLE = pa.table(
    dict(zip("abst", map(list, zip(*CELLS, strict=True)), strict=True)),
    schema=pa.schema([("a", pa.int64()), ("b", pa.int64()), ("s", pa.string()), ("t", pa.timestamp("us"))]),
)
table = ibis.table({"a": "int64", "b": "int64", "s": "string", "t": "timestamp(6)"}, name="held")
a, b, s, t = table.a, table.b, table.s, table.t
FORMULAS: dict[str, Any] = {
    "add": a + b,
    "add a literal": 1 + a,
    "subtract": a - b,
    "multiply": a * 3,
    "negate": -a,
    "divide": a / b,
    "divide by null for nothing": a / b.nullif(0),
    "divide doubles": a.cast("float64") / 7 - b / 0.3,
    "floor divide": a // 86_400,
    "floor divide by a negative": a // -7,
    "modulus": a % 7,
    "cast": (a > b).cast("int64") + (a > 0).cast("int64"),
    "square root": ibis.greatest(a, 0).cast("float64").sqrt() / b.nullif(0),
    "equal": a == b,
    "not equal": a != b,
    "less": (a < b) | (a <= -7),
    "more": (a >= b) & (a > 0),
    "and": (a > 0) & (b > 0),
    "or": (a > 0) | (b > 0),
    "not": ~(a > b),
    "null or": a.isnull() | (a > b),
    "told and": a.notnull() & b.notnull(),
    "coalesce": ibis.coalesce(a, b, 5),
    "fill null": a.fill_null(b),
    "null if": a.nullif(b),
    "if else": ibis.ifelse(a > b, a, ibis.null("int64")),
    "if else of a literal": ibis.ifelse(a > b, 1, 0),
    "cases": ibis.cases((a > 0, b), (b > 0, None), (a.isnull(), a - 1), else_=7),
    "greatest": ibis.greatest(a, b),
    "greatest of a literal": ibis.greatest(ibis.least(a, b), 0),
    "least": ibis.least(a, b, 2),
    "words equal": s == "x",
    "word is in": s.isin(["x", "钻石"]),
    "word or": (s.isin(["x"])) | (a > 0),
    "words told": ibis.cases((s == "x", "crossed"), (a > 0, s), else_=ibis.null("string")),
    "word filled": s.fill_null("none"),
    "month": t.month().cast("int64"),
    "year": t.year().cast("int64"),
    "day": t.epoch_seconds().cast("int64") // 86_400,
    "a constant": ibis.literal(5).cast("int64"),
}


def given() -> dict[str, Values]:
    numbers = {name: (TABLE[name].fill_null(0).to_numpy(), TABLE[name].is_null().to_numpy()) for name in "ab"}
    words = TABLE["s"].to_numpy(), TABLE["s"].is_null().to_numpy()
    return numbers | {"s": words, "t": (TABLE["t"].to_numpy(), None)}


@pytest.fixture(scope="module")
def wanted() -> pa.Table:
    engine = ibis.duckdb.connect()
    engine.raw_sql("SET TimeZone = 'UTC'; SET threads = 1")
    engine.create_table("held", TABLE)
    return engine.to_pyarrow(table.select(**FORMULAS))


@pytest.fixture(scope="module")
def found() -> dict[str, Values]:
    return Formulas(FORMULAS)(given())


@pytest.mark.parametrize("name", FORMULAS)
def test_each_operation(name: str, found: dict[str, Values], wanted: pa.Table) -> None:
    values, missing = (
        part if part is None else np.broadcast_to(part, len(TABLE)).copy() for part in found[name]
    )
    mine = pa.array(values, type=wanted[name].type, mask=missing)
    theirs = wanted[name].combine_chunks()
    assert mine.is_null().equals(theirs.is_null())
    if pa.types.is_float64(mine.type):
        as_bits = (some.drop_null().to_numpy() for some in (mine, theirs))
        np.testing.assert_array_equal(
            *as_bits
        )  # of numbers the very bits; nor does one nan differ from another
    else:
        assert mine.equals(theirs)


def test_some_are_nothing_and_some_are_not(wanted: pa.Table) -> None:
    """So that the law above is not about constants."""
    for name in set(FORMULAS) - {"a constant"}:
        assert len(wanted[name].unique()) > 1, name


def test_what_is_shared_is_one_step() -> None:
    once = Formulas({"x": (a + b) // 7})
    assert len(Formulas({"x": (a + b) // 7, "y": (a + b) // 7, "z": a + b})._steps) == len(once._steps)


@pytest.mark.parametrize("unknown", [a.abs(), a.cast("float64").cast("int64"), s.upper()])
def test_an_operation_that_is_not_known_is_named_with_its_feature(unknown: Any) -> None:
    with pytest.raises(UnknownOperation, match=r"loudest.*(Abs|Cast|Uppercase)"):
        Formulas({"quiet": a, "loudest": unknown})
