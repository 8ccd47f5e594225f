"""A person forgotten in a PostgreSQL: all their rows under all their ids and nobody else's, or nothing where it is not ours."""

from pathlib import Path

import psycopg
import pytest

from features.engines import postgres
from features.errors import NoWarehouse
from features.forget import forget_in_warehouse, identities_of
from features.publish import publish
from features.sources import CANONICAL
from features.warehouse import connect
from serving.privacy.erasure import NOT_OURS, erase

pytestmark = pytest.mark.slow


def naming(address: str, ids: set[str]) -> dict[str, tuple[int, int, int]]:
    """Per table: how many rows there are, how many are of one of these ids, and how many name one anywhere."""
    warehouse, found = connect(address), {}
    for name, table in warehouse.tables.items():
        rows = table.to_pyarrow()
        columns = [rows[column].to_pylist() for column in CANONICAL[name].naming_customers]
        theirs = sum(one in ids for one in columns[0])
        found[name] = len(rows), theirs, sum(bool(ids & set(row)) for row in zip(*columns, strict=True))
    return found


@pytest.fixture
def crm(server: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """A schema of its own, to be deleted from."""
    address = f"{server}&schema=erasing_{request.node.name.split('[')[0][-20:]}"
    publish(connect(str(folder)), address)
    return address


@pytest.fixture
def merged(folder: Path) -> str:
    """Somebody whom the warehouse knows under two ids at least."""
    customers = connect(str(folder)).tables["customers"].to_pyarrow()
    return next(one for one in customers["merged_into"].to_pylist() if one)


def test_a_database_knows_the_same_ids_as_a_folder(crm: str, folder: Path, merged: str) -> None:
    ids = identities_of(merged, crm)
    assert ids == identities_of(merged, str(folder))
    assert len(ids) > 1
    assert all(identities_of(one, crm) == ids for one in ids)
    assert identities_of("nobody'; DROP TABLE customers", crm) == {"nobody'; DROP TABLE customers"}


def test_all_their_rows_go_and_nobody_elses(
    crm: str, merged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAREHOUSE_URL", crm)
    ids, digest = identities_of(merged, crm), connect(crm).digest
    before = naming(crm, ids)
    receipt = erase(merged)
    after = naming(crm, ids)
    assert after == {name: (rows - theirs, 0, 0) for name, (rows, theirs, _) in before.items()}
    assert receipt.gone["rows of the warehouse"] == sum(theirs for _, theirs, _ in before.values()) > 2
    assert NOT_OURS not in receipt.outside
    assert connect(crm).digest != digest, "what was made of these rows is made anew"
    assert postgres.forget(ids, crm) == 0


def test_what_is_not_ours_stays_and_the_receipt_says_so(
    crm: str, merged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = crm.partition("schema=")[2]
    with psycopg.connect(crm.partition("&schema=")[0]) as owner:
        owner.execute("CREATE ROLE reader LOGIN")
        owner.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO reader')
        owner.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO reader')
    reading = crm.replace("://postgres:", "://reader:")
    assert reading != crm
    before = naming(crm, {merged})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAREHOUSE_URL", reading)
    receipt = erase(merged)
    assert receipt.gone["rows of the warehouse"] == 0
    assert receipt.outside[0] == NOT_OURS
    assert naming(crm, {merged}) == before


def test_a_refusal_names_no_value(crm: str) -> None:
    with psycopg.connect(crm.partition("&schema=")[0]) as owner:
        owner.execute(f'ALTER TABLE "{crm.partition("schema=")[2]}".customers RENAME COLUMN customer_id TO x')
    with pytest.raises(
        NoWarehouse, match=r"refused to delete in schema .*: UndefinedColumn \(42703\)"
    ) as told:
        forget_in_warehouse({"C-very-secret"}, crm)
    assert "secret" not in str(told.value)
