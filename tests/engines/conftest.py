"""Engines for the tests: PostgreSQL from its pip package, and Spark where Java is. Where it is not, the last
lines of the test run say so."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.engines import carmaker, java_found, postgres_server, spark_reading
from features.publish import publish
from features.warehouse import connect

NO_JAVA = "no Java here; Spark 4 needs Java 17 or newer"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if any(NO_JAVA in str(report.longrepr) for report in skipped):
        terminalreporter.section("SPARK NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(f"SPARK NOT TESTED: {NO_JAVA}", red=True, bold=True)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A loaded warehouse folder of 600 invented customers, with all their mess."""
    with tempfile.TemporaryDirectory() as scratch:
        yield carmaker(Path(scratch), customers=600)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of an empty PostgreSQL."""
    with postgres_server() as address:
        yield address


@pytest.fixture(scope="session")
def published(server: str, folder: Path) -> str:
    """The address of a PostgreSQL schema that holds what the folder holds."""
    address = f"{server}&schema=carmaker"
    publish(connect(str(folder)), address)
    return address


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Settings of the small Spark, to be put after a path; its folder for tables of a catalogue is thrown away."""
    if not java_found():
        pytest.skip(NO_JAVA)
    yield spark_reading(Path("FOLDER"))
    shutil.rmtree("spark-warehouse", ignore_errors=True)
