"""The faults of the batch in small numbers; `make faults` plants them in full."""

from pathlib import Path

from tests.faults.runs import polled


def test_readers_that_never_stop_looking(tmp_path: Path) -> None:
    assert set(polled(tmp_path, 8)) == {"DuckDB", "PyArrow", "ours"}
