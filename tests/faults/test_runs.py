"""The faults of the batch in small numbers, in a process of their own; `make faults` plants them in full."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.runs import polled

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_starved_and_corrupted(shop: Path) -> None:
    few = ["--kills=6", "--flips=10", "--step=9", "--publishes=4", "--seed=20240619", f"--shop={shop}"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.runs", *few],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "seed 20240619" in done.stdout
    assert "flips: {'found': 10}" in done.stdout
    for call in ("fsync", "replace", "write", "open"):
        assert f"'{call}'" in done.stdout


def test_readers_that_never_stop_looking(tmp_path: Path) -> None:
    assert set(polled(tmp_path, 8)) == {"DuckDB", "PyArrow", "ours"}
