"""Erasures killed at random moments: called again they finish, and not a byte of the person is left.

python -m tests.faults.erasures --kills 50        (make faults)
"""

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from serving.privacy import erase, finish
from serving.privacy.erasure import unfinished
from serving.runs import runs, verify
from tests.serving.canaries import CANARIES, lived_in_elsewhere, traces, words_of
from tests.shop import given_or_new

__all__ = ["killed"]


def killed(here: Path, template: Path, count: int, seed: int) -> dict[str, int]:
    """Kill `count` erasures at moments drawn over their course, each in a copy of `template`; then finish it."""
    dice, seen = random.Random(seed), Counter[str]()
    lasts_s = 0.0
    for number in range(-1, count):
        shutil.rmtree(here / "var", ignore_errors=True)
        shutil.copytree(template / "var", here / "var", symlinks=True)
        canary = dice.choice(CANARIES)
        began = time.monotonic()
        child = _started(canary)
        if number >= 0:
            time.sleep(dice.uniform(0, 1.1 * lasts_s))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if number < 0:
            lasts_s = time.monotonic() - began
        seen["killed" if os.WIFSIGNALED(status) else "done"] += 1
        if os.WIFSIGNALED(status) and not unfinished() and traces(here / "var", words_of(canary)):
            _in_a_process(canary)  # it was killed before it had begun: nobody was told that it had
            seen["asked again"] += 1
        _in_a_process("")
        left = traces(here / "var", words_of(canary))
        assert not left, f"seed {seed}, kill {number}: {left[:3]}"
        assert not unfinished(), f"seed {seed}, kill {number}"
        for run in runs(here / "var/scores"):
            verify(run)
    return dict(seen)


def _started(canary: str) -> int:
    if child := os.fork():
        return child
    status = 1
    try:
        if canary:
            erase(canary)
        else:
            finish()
        status = 0
    finally:
        os._exit(status)


def _in_a_process(canary: str) -> None:
    _, status = os.waitpid(_started(canary), 0)
    assert status == 0, f"it ended with {status}"


app = typer.Typer(add_completion=False)


@app.command()
def main(
    kills: Annotated[int, typer.Option()] = 50,
    seed: Annotated[int, typer.Option(help="0: drawn")] = 0,
    shop: Annotated[Path | None, typer.Option(help="a shop that is there already")] = None,
) -> None:
    """Kill erasures and print what was counted."""
    seed = seed or random.SystemRandom().randrange(1, 10**6)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        template, here = scratch / "template", scratch / "here"
        lived_in_elsewhere(given_or_new(shop, scratch), template, scratch / "nights.txt")
        here.mkdir()
        os.chdir(here)
        print(f"{kills} erasures: {killed(here, template, kills, seed)}, 0 traces after each")


if __name__ == "__main__":
    app()
