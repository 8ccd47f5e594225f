"""The proof of the bento: built, installed in an environment of its own, started there, and asked (`make bento-proof`).

    python -m tests.serving.bento_proof FOLDER

Docker is not needed: what the image would install is installed into `FOLDER/environment`, and what its entry point would
start is started there, over the small invented shop. Ready means that every model gives its golden predictions to the bit.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from serving.slim import TRAINING_ONLY
from tests.serving.server import ask, free_port, wait_until_ready
from tests.shop import open_shop

__all__ = ["main"]

ROOT = Path(__file__).parents[2]
QUESTIONS = (
    ("/v1/scores", {"customer_ids": ["C00001", "C00002", "nobody"]}),
    ("/v1/scores/events", {"customer_id": "C00001", "as_of": "2024-06-19T12:00:00Z", "events": {}}),
    ("/v1/lists", {"task": "churn", "capacity": 100, "show": 5}),
)


def build(home: Path) -> Path:
    """The bento's folder."""
    told = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag"],
        cwd=ROOT,
        env=os.environ | {"BENTOML_HOME": str(home)},
        check=True,
        capture_output=True,
        text=True,
    )
    name, _, version = told.stdout.rpartition("__tag__:")[2].strip().partition(":")
    return home / "bentos" / name / version


def environment(bento: Path, folder: Path) -> Path:
    """An interpreter that has what the image would have, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    wanted = folder / "requirements.txt"
    locked = (bento / "env/python/requirements.txt").read_text().splitlines()
    # Options of the lock say where the packages were found when it was made; here they may be elsewhere.
    wanted.write_text("\n".join(line for line in locked if not line.startswith("--")))
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", wanted], check=True)
    return python


def installed(python: Path) -> set[str]:
    told = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True, text=True
    )
    return {one["name"].lower() for one in json.loads(told.stdout)}


def answers(python: Path | str, service: Path | str, folder: Path) -> list[object]:
    """What a service over the shop in `folder` says, without what differs from call to call."""
    port = free_port()
    command = [python, "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]
    given = {"PROPENSITY_VAR": str(folder / "var"), "PROPENSITY_FOLLOW_S": "0", "PROPENSITY_DRAIN_S": "0"}
    with subprocess.Popen(command, cwd=folder, env=os.environ | given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:  # fmt: skip
        try:
            wait_until_ready(port, 240)
            told = [json.loads(ask(port, path, body)[1]) for path, body in QUESTIONS]
        finally:
            server.terminate()
            server.wait(timeout=60)
    for answer in told:
        for score in answer.get("scores", []):
            score.pop("score_id", None)
    return told


def main(folder: Path) -> None:
    bento = build(folder / "bentoml")
    dockerfile = (bento / "env/docker/Dockerfile").read_text()
    assert "USER bentoml" in dockerfile
    assert "env/python/requirements.txt" in dockerfile
    print(f"built        {bento}")
    python = environment(bento, folder / "environment")
    found = installed(python)
    assert found.isdisjoint({*TRAINING_ONLY, "scikit-learn"}), found
    print(f"installed    {len(found)} packages, none of {', '.join(TRAINING_ONLY)}")
    (folder / "shop").mkdir()
    shop = open_shop(folder / "shop")
    slim, whole = answers(python, bento, shop), answers(sys.executable, "serving.service:Propensity", shop)
    assert slim == whole
    print(f"answered     {len(QUESTIONS)} questions as the whole environment does, to the bit")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
