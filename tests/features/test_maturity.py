"""The maturity ledger: what a delivery says about its completeness is read, checked and shown."""

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.errors import BadData
from features.load import app
from features.maturity import ledger
from features.sources import CANONICAL
from features.warehouse import connect
from tests.tables import rows

AT = datetime(2024, 7, 1, 15, 30)


def delivered(stated: dict[str, list[object]] | None) -> Path:
    folder = Path("in")
    folder.mkdir(exist_ok=True)
    people = rows("customers", "profile_id customer happened\na a 2024-01-01")
    pq.write_table(people.drop(["superseded_at"]), folder / "customers.parquet")
    visits = rows("visits", "visit_id customer happened kind\n1 a 2024-05-01 repair")
    pq.write_table(visits.drop(["superseded_at"]), folder / "visits.parquet")
    if stated:
        pq.write_table(pa.table(stated), folder / "maturity.parquet")
    return folder


def stated(**until: datetime) -> dict[str, list[object]]:
    return {"source": list(until), "complete_until": list(until.values())}


def run() -> str:
    done = CliRunner().invoke(
        app, ["--from", "in", "--to", "warehouse", "--delivered-at", "2024-07-01T15:30:00"]
    )
    if done.exception:
        raise done.exception
    return done.output


def test_what_is_stated_is_shown_and_kept() -> None:
    delivered(stated(customers=datetime(2024, 6, 30), visits=datetime(2024, 5, 20)))
    assert "2024-05-20 00:00" in run()
    assert connect("warehouse").complete_until == {
        "customers": datetime(2024, 6, 30),
        "visits": datetime(2024, 5, 20),
    }


def test_without_a_statement_the_day_of_the_delivery_is_not_yet_complete() -> None:
    assert ledger(delivered(None), AT) == dict.fromkeys(CANONICAL, datetime(2024, 7, 1))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (stated(customers=AT, vists=AT), "speaks of 'vists', which is no source"),
        (stated(customers=AT), "nobody says until when visits are complete"),
        (
            stated(customers=AT, visits=datetime(2024, 7, 2)),
            "visits are said to be complete until 2024-07-02 00:00, after the delivery",
        ),
        ({"source": ["visits", "visits"], "complete_until": [AT, AT]}, "speaks of visits twice"),
        ({"source": ["visits", "customers"], "complete_until": [None, AT]}, "nobody says until when visits"),
        ({"source": ["visits"], "until": [AT]}, "should be Parquet with the columns source"),
        ({"source": ["visits"], "complete_until": [[1]]}, "should be Parquet with the columns source"),
    ],
)
def test_a_statement_that_cannot_be_true_is_refused(wrong: dict[str, list[object]], said: str) -> None:
    delivered(wrong)
    with pytest.raises(BadData, match=said):
        run()
    assert not Path("warehouse/CURRENT").exists()


def test_a_statement_that_is_no_parquet_is_refused() -> None:
    (delivered(None) / "maturity.parquet").write_bytes(b"soon")
    with pytest.raises(BadData, match="should be Parquet"):
        run()
