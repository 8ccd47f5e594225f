"""The examples of scheduling in the documentation do what they say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = (Path(__file__).parents[2] / "docs" / "runs-of-scores.md").read_text()

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def place(shop: Path, tmp_path: Path) -> Path:
    """A copy of the shop, so that what a night writes stays here."""
    shutil.copytree(shop / "var", tmp_path / "var", symlinks=True)
    return tmp_path


def shell(command: list[str], place: Path) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(command, cwd=place, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)  # fmt: skip


def test_the_script_for_cron(place: Path) -> None:
    (script,) = re.findall(r"```sh\n(.*?)```", DOCUMENT, flags=re.S)
    (place / "nightly.sh").write_text(script)
    done = shell(["sh", "nightly.sh"], place)
    assert done.returncode == 0, done.stderr
    assert "published var/scores/run-000002-" in done.stdout
    assert "no run has a closed window yet" in done.stdout
    assert (place / "var/scores.csv").read_bytes().startswith(b"\xef\xbb\xbfcustomer_id,")
    for line in (place / "var/wecom.jsonl").read_text().splitlines():
        assert set(json.loads(line)) == {"customer_id", "add_tag", "remove_tag", "expires_at", "key"}
    advice = place / "var/advice.txt"
    assert ("customers have moved" in (advice.read_text() if advice.exists() else "")) == (
        "retrain: " in done.stdout
    )


def test_the_commands_for_airflow(place: Path) -> None:
    (dag,) = re.findall(r"```python\n(from airflow.*?)```", DOCUMENT, flags=re.S)
    compile(dag, "dag", "exec")
    commands = re.findall(r'bash_command="(.*?)"', dag)
    assert len(commands) == 4
    for command in commands:
        done = shell(["sh", "-c", command.replace("{{ ds }}", "2024-06-19")], place)
        assert done.returncode in (
            (0, 3) if "skip_on_exit_code" in dag.split(command)[1].split("\n")[0] else (0,)
        ), (command, done.stderr)
