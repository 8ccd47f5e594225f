"""Every feature equals the oracle on the invented carmaker, with all its mess switched on and loaded."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from features import nightly
from features.feature_set import FEATURES, at
from features.warehouse import Warehouse
from tests.carmaker import BEGIN, DAYS, loaded
from tests.features.histories import moments
from tests.features.test_oracle import agree
from tests.oracle import Moment, expected, index

PAIRS, DATES = 10_000, 40


@pytest.fixture(scope="module")
def carmaker(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return loaded(tmp_path_factory.mktemp("carmaker"), customers=600)


@pytest.mark.slow
def test_ten_thousand_moments_of_the_carmaker(carmaker: Warehouse) -> None:
    luck = random.Random(1)
    world = {name: carmaker.engine.to_pyarrow(table).to_pylist() for name, table in carmaker.tables.items()}
    people = sorted({row["customer_id"] for row in world["customers"]})
    dates = [
        BEGIN + timedelta(days=luck.randrange(DAYS), seconds=luck.randrange(86_400)) for _ in range(DATES)
    ]
    pairs = luck.sample([(person, date) for person in people for date in dates], PAIRS)
    found = carmaker.engine.to_pyarrow(at(moments(pairs), carmaker, list(FEATURES.values()))).to_pylist()
    answers = {(row.pop("customer_id"), row.pop("as_of")): row for row in found}
    rows, wrong = index(world), []
    for pair in pairs:
        for name, wanted in expected(Moment(*pair, rows)).items():
            if not agree(answers[pair][name], wanted):
                wrong.append(f"{name} at {pair}: {answers[pair][name]!r} instead of {wanted!r}")
    assert wrong == []
    idle = [name for name in FEATURES if len({row[name] for row in found}) < 2]
    silent = [name for name in FEATURES if "coupon" in name or "discount" in name]
    assert idle == silent, "this carmaker hands out no coupons and tells no discounts"


@pytest.mark.slow
def test_nightly_rows_carried_over_are_those_of_measuring_everyone(
    carmaker: Warehouse, tmp_path: Path
) -> None:
    """With all the mess of the carmaker: late rows, corrections, merges and newcomers, over nights and a week,
    in other pieces each night."""
    first = BEGIN + timedelta(days=700)
    for days in (0, 1, 2, 9):
        carried = nightly.materialise(
            carmaker,
            first + timedelta(days=days),
            tmp_path / "carried",
            incremental=True,
            customers_per_piece=250 + 10 * days,
        )
        if days:
            touched = carried.work.touched["touchpoints"]
            assert carried.work.why == ""
            assert 0 < touched.measured < touched.customers
    everyone = nightly.materialise(carmaker, carried.as_of, tmp_path / "everyone")
    for name in everyone.schema.names:
        assert carried.table()[name].equals(everyone.table()[name]), name
