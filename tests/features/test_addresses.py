"""Warehouse addresses: what each opens, what a wrong one is told, and that none shows a secret."""

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import features.load
import features.publish
from features.engines.spark import address_of
from features.errors import BadData, NoWarehouse
from features.home import without_secrets
from features.warehouse import connect, in_memory
from tests.shop import END, customers_and_orders


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://crm:s3cret@db:5432/events?schema=crm", "postgresql://crm:***@db:5432/events?schema=crm"),
        ("postgresql://crm:a/b:c@db/events", "postgresql://crm:***@db/events"),
        ("postgresql://db/events?user=crm&password=s3cret&sslmode=require", "postgresql://db/events?user=crm&password=***&sslmode=require"),
        ("sc://host:443/;token=abc;use_ssl=true?database=crm", "sc://host:443/;token=***;use_ssl=true?database=crm"),
        ("postgresql://crm@db/events", "postgresql://crm@db/events"),
        ("spark:local[2]?path=/data&spark.hadoop.fs.s3a.secret.key=abc", "spark:local[2]?path=/data&spark.hadoop.fs.s3a.secret.key=***"),
        ("var/warehouse", "var/warehouse"),
    ],
)  # fmt: skip
def test_secrets_are_not_shown(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


@pytest.mark.parametrize(
    ("address", "master", "path", "database"),
    [
        ("spark:local[2]?path=var/warehouse", "local[2]", "var/warehouse", ""),
        ("spark:yarn?database=crm", "yarn", "", "crm"),
        ("spark:?database=lake.crm", "", "", "lake.crm"),
        ("spark://host:7077?path=s3a://crm/events", "spark://host:7077", "s3a://crm/events", ""),
        ("sc://host:15002/;token=abc?database=crm", "sc://host:15002/;token=abc", "", "crm"),
    ],
)
def test_where_spark_runs_and_what_it_reads(address: str, master: str, path: str, database: str) -> None:
    asked = address_of(f"{address}&spark.sql.shuffle.partitions=8")
    assert asked == (master, path, database, {"spark.sql.shuffle.partitions": "8"})


@pytest.mark.parametrize("query", ["", "?path=a&database=b", "?path="])
def test_an_address_that_names_nothing_to_read_is_refused(query: str) -> None:
    with pytest.raises(NoWarehouse, match="must say what Spark reads"):
        address_of(f"spark:local{query}")


def test_a_setting_that_spark_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(NoWarehouse, match=r"Spark takes .* and no folder"):
        address_of("spark:local?folder=a")


def test_an_unknown_engine_is_told_which_there_are() -> None:
    with pytest.raises(
        NoWarehouse, match=r"oracle:// is no warehouse .* folder, postgresql:, postgres:, spark:, sc:"
    ):
        connect("oracle://db")


@pytest.mark.parametrize(("address", "engine", "package"), [
    ("postgresql://db/events", "postgres", "psycopg"), ("spark:local?path=a", "spark", "pyspark"),
])  # fmt: skip
def test_a_missing_extra_is_named(
    address: str, engine: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return known(name, *rest, **more)

    monkeypatch.delitem(sys.modules, f"features.engines.{engine}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NoWarehouse, match=rf"pip install 'car-propensity\[{engine}\]'"):
        connect(address)


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(NoWarehouse, match="cannot be opened") as refused:
        connect("postgresql://crm:s3cret@127.0.0.1:1/events?connect_timeout=2")
    assert "s3cret" not in str(refused.value)
    assert "127.0.0.1" in str(refused.value)


def test_a_load_goes_to_a_folder_and_says_how_an_engine_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://crm@db/events")
    Path("incoming").mkdir()
    refused = CliRunner().invoke(features.load.app, ["--from", "incoming"]).exception
    assert isinstance(refused, BadData)
    assert "features.publish" in str(refused)
    assert not Path("postgresql:").exists()


def test_only_what_states_its_maturity_is_published_and_only_into_an_engine() -> None:
    rows = customers_and_orders(5)
    with pytest.raises(BadData, match="complete"):
        features.publish.publish(in_memory(rows), "postgresql://db/events")
    with pytest.raises(BadData, match="is a folder"):
        features.publish.publish(in_memory(rows, dict.fromkeys(rows, END)), "var/warehouse")
    with pytest.raises(BadData, match="copy the folder"):
        features.publish.publish(in_memory(rows, dict.fromkeys(rows, END)), "spark:local?path=var/warehouse")
