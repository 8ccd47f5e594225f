"""What serves does without the libraries of training, though they are installed here."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving.routes import ROUTES
from serving.slim import TRAINING_ONLY
from tests.serving.server import ask, serving


def imported(told: str) -> set[str]:
    """Packages that processes report to have imported (`python -X importtime`): those of which something inside was loaded,
    for an import that fails is reported too, by the package's name."""
    lines = [line.rpartition("|")[2] for line in told.splitlines() if line.startswith("import time:")]
    return {package for package, inside, _ in (name.strip().partition(".") for name in lines) if inside}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=False
    )


def test_a_process_that_does_without_imports_lightgbm_alone() -> None:
    done = python(
        "from serving.slim import do_without; do_without(); do_without(); import lightgbm, pyarrow, sys; pyarrow.array([1]);"
        "assert len([one for one in sys.meta_path if type(one).__name__ == '_NotHere']) == 1"
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert {"lightgbm", "pyarrow"} <= imported(done.stderr)
    assert imported(done.stderr).isdisjoint(TRAINING_ONLY)


def test_what_is_missing_is_named() -> None:
    done = python("from serving.slim import do_without; do_without(); import pandas")
    assert done.returncode
    assert "a serving worker does without 'pandas'" in done.stderr


def test_the_service_is_imported_before_it_is_told_and_brings_none_of_them() -> None:
    done = python("import serving.service")
    assert done.returncode == 0, done.stderr[-2_000:]
    assert imported(done.stderr).isdisjoint({*TRAINING_ONLY, "lightgbm"})


@pytest.mark.slow
def test_no_process_of_the_service_imports_what_only_training_needs(in_shop: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    alone = {"PYTHONPROFILEIMPORTTIME": "1", "PROPENSITY_FOLLOW_S": "0"}
    with serving(in_shop, env=alone, said=said) as port:
        for route in ROUTES:
            if route.method == "POST":
                for body in route.examples.values():
                    while (answer := ask(port, f"/v1{route.path}", body))[0] == 503:
                        time.sleep(1)  # histories are still being copied
                    assert answer[0] == 200, answer[1]
        for path in ("/v1/tasks", "/v1/drift", "/docs", "/openapi.json", "/metrics", "/console"):
            assert ask(port, path)[0] == 200
    told = imported(said.read_text(errors="replace"))
    assert {"lightgbm", "bentoml", "pyarrow"} <= told
    assert told.isdisjoint(TRAINING_ONLY)
