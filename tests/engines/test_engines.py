"""One address, any engine: the same rows, the same nights, the same models; and plain words where that cannot be."""

import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import ibis
import psycopg
import pyarrow as pa
import pytest

from benchmarks.engines import answers, mismatches, pairs_of
from features import nightly
from features.delivery import Delivery
from features.engines.postgres import publish as fill_postgres
from features.errors import BadData, NoWarehouse
from features.feature_set import at, named
from features.load import load
from features.publish import publish
from features.sources import CANONICAL
from features.warehouse import connect
from tests.features.histories import moments
from tests.shop import END, customers_and_orders
from training.dataset import dataset
from training.plan import plan
from training.tasks import task_named
from training.train import train

pytestmark = pytest.mark.slow

OWN_INSTANTS = (("orders", "happened_at"), ("touchpoints", "known_at"), ("visits", "happened_at"))
OWN_ORDERS = (
    ("visits", "visit_id", "POSIX"), ("visits", "dealer_id", "POSIX"), ("orders", "customer_id", "default"),
    ("customers", "customer_id", "POSIX"), ("contacts", "customer_id", "default"),
)  # fmt: skip


@pytest.fixture(scope="module")
def expected(folder: Path) -> pa.Table:
    """What DuckDB says about 10,000 moments: every feature, every cohort."""
    warehouse = connect(str(folder))
    return answers(warehouse, pairs_of(warehouse))


@pytest.fixture
def shop_folder(tmp_path: Path) -> Path:
    """A small shop's orders, loaded."""
    deliveries = [
        Delivery(CANONICAL[name], f"{name}.parquet", table)
        for name, table in customers_and_orders(600).items()
    ]
    load(deliveries, tmp_path / "shop", complete_until=dict.fromkeys(CANONICAL, END), delivered_at=END)
    return tmp_path / "shop"


def test_duckdb_gives_no_nan(expected: pa.Table) -> None:
    """A NaN differs from itself, so a table equals itself only without."""
    assert mismatches(expected, expected) == {}
    assert expected.num_rows == 10_000


def test_ten_thousand_moments_on_postgres(expected: pa.Table, folder: Path, published: str) -> None:
    assert mismatches(expected, answers(connect(published), pairs_of(connect(str(folder))))) == {}


@pytest.mark.timeout(900)
def test_ten_thousand_moments_on_spark(expected: pa.Table, folder: Path, spark: str) -> None:
    warehouse = connect(spark.replace("FOLDER", str(folder)))
    assert mismatches(expected, answers(warehouse, pairs_of(connect(str(folder))))) == {}


def test_the_ledger_and_the_digest_travel(folder: Path, published: str) -> None:
    ours, theirs = connect(str(folder)), connect(published)
    assert (theirs.complete_until, theirs.digest) == (ours.complete_until, ours.digest)
    assert ours.digest
    assert theirs.tables.keys() == ours.tables.keys()


def test_a_night_and_a_model_from_postgres_are_those_from_the_folder(
    server: str, shop_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly, "ROWS_PER_BATCH", 128)
    address = f"{server}&schema=shop"
    publish(connect(str(shop_folder)), address)
    nights, hashes = [], []
    for where in (str(shop_folder), address):
        monkeypatch.setenv("WAREHOUSE_URL", where)
        warehouse = connect()
        nights.append(nightly.materialise(warehouse, END, Path("nights") / str(len(nights))))
        task = task_named("churn", warehouse)
        trained = train(task, warehouse, plan(task, warehouse))
        hashes.append((trained.card.data_digest, trained.card.hazards, trained.card.figures))
    assert nights[0].table().equals(nights[1].table())
    assert nights[1].find(["C00007"]).num_rows == 1
    assert hashes[0] == hashes[1]


@pytest.mark.timeout(900)
def test_a_night_and_a_training_set_from_a_spark_database(spark: str, shop_folder: Path) -> None:
    address = spark.replace("path=FOLDER", "database=shop")
    ours = connect(str(shop_folder))
    publish(ours, address)
    theirs = connect(address)
    assert (theirs.complete_until, theirs.digest) == (ours.complete_until, ours.digest)
    nights = [nightly.materialise(held, END, Path(held.engine.name)) for held in (ours, theirs)]
    assert nights[0].table().equals(nights[1].table())
    task = task_named("churn", ours)
    dates = plan(task, ours).dates[-2:]
    assert dataset(task, ours, dates).digest == dataset(task, theirs, dates).digest


def test_tables_of_ones_own(server: str, folder: Path) -> None:
    """Tables that keep instants with a zone on a server in Shanghai, and strings in several orders: same answers."""
    with psycopg.connect(server, autocommit=True) as session:
        session.execute("CREATE DATABASE own")
        session.execute("ALTER DATABASE own SET timezone TO 'Asia/Shanghai'")
    own = server.replace("/postgres?", "/own?")
    publish(connect(str(folder)), own)
    with psycopg.connect(own, autocommit=True) as session:
        for table, column in OWN_INSTANTS:
            session.execute(
                f"ALTER TABLE {table} ALTER {column} TYPE timestamptz USING {column} AT TIME ZONE 'UTC'"
            )
        for table, column, order in OWN_ORDERS:
            session.execute(f'ALTER TABLE {table} ALTER {column} TYPE varchar(40) COLLATE "{order}"')
    warehouse, asked = connect(own), pairs_of(connect(str(folder)), 500)
    assert mismatches(answers(connect(str(folder)), asked), answers(warehouse, asked)) == {}
    every_string = ibis.to_sql(warehouse.tables["orders"], dialect="postgres")
    strings = [column for column in CANONICAL["orders"].columns if column.type == "string"]
    assert every_string.count('COLLATE "C"') == len(strings)


def test_a_publication_that_fails_changes_nothing(server: str, folder: Path) -> None:
    address = f"{server}&schema=careful"
    publish(connect(str(folder)), address)
    before = connect(address)
    customers = before.engine.to_pyarrow(before.tables["customers"].count())
    orders = [("orders", pa.table({"quantity": ["secret"]}).to_reader())]
    with pytest.raises(BadData, match="nothing was changed") as refused:
        fill_postgres(address, orders, {"orders": END}, "d")
    assert "secret" not in str(refused.value)
    after = connect(address)
    assert after.engine.to_pyarrow(after.tables["customers"].count()) == customers
    assert after.tables.keys() == before.tables.keys()
    assert after.digest == before.digest


def test_a_second_publication_replaces_the_first_and_drops_what_is_gone(
    server: str, shop_folder: Path, folder: Path
) -> None:
    address = f"{server}&schema=twice"
    publish(connect(str(folder)), address)
    publish(connect(str(shop_folder)), address)
    assert set(connect(address).tables) == {"customers", "consents", "orders"}
    assert connect(address).digest == connect(str(shop_folder)).digest


def test_an_empty_schema_and_a_missing_column_are_named(server: str, published: str) -> None:
    with pytest.raises(NoWarehouse, match=r"schema 'nowhere' .* has no tables"):
        connect(f"{server}&schema=nowhere")
    with psycopg.connect(server, autocommit=True) as session:
        session.execute("CREATE SCHEMA half; CREATE TABLE half.customers (profile_id text)")
    with pytest.raises(NoWarehouse, match="column 'customer_id' of customers is missing"):
        connect(f"{server}&schema=half")


def test_a_publication_under_way_on_spark_is_told(spark: str, shop_folder: Path) -> None:
    address = spark.replace("path=FOLDER", "database=halfway")
    publish(connect(str(shop_folder)), address)
    warehouse = connect(address)
    warehouse.engine.raw_sql("TRUNCATE TABLE halfway.load_ledger")
    with pytest.raises(NoWarehouse, match="is under way or was cut off"):
        connect(address)
    with pytest.raises(NoWarehouse, match="has no database 'nowhere'"):
        connect(spark.replace("path=FOLDER", "database=nowhere"))
    with pytest.raises(NoWarehouse, match="holds no customers table"):
        connect(spark.replace("FOLDER", "nowhere"))
    shutil.rmtree("spark-warehouse", ignore_errors=True)


def test_moments_are_utc_whatever_the_machine_thinks(
    spark: str, shop_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = connect(spark.replace("FOLDER", str(shop_folder)))
    asked = moments([("C00007", datetime(2024, 3, 1, 0, 30))])
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        found = warehouse.engine.to_pyarrow(at(asked, warehouse, named(["month"]))).to_pylist()
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert found == [{"customer_id": "C00007", "as_of": datetime(2024, 3, 1, 0, 30), "month": 3}]


def test_without_java_spark_says_so() -> None:
    Path("bin").mkdir()  # what Spark's start script calls, and no java
    for tool in ("bash", "dirname", "env", "ps"):
        if found := shutil.which(tool):
            (Path("bin") / tool).symlink_to(found)
    environment = {
        "PATH": str(Path("bin").absolute()),
        "PYTHONPATH": str(Path(nightly.__file__).parent.parent),
        "WAREHOUSE_URL": "spark:local?path=var/warehouse",
    }
    done = subprocess.run(
        [sys.executable, "-m", "features.nightly"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Spark 4 needs Java 17 or newer" in done.stderr
    assert "Traceback" not in done.stderr
