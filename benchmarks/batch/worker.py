"""A worker of the batch that tells what its steps took, in a file of the folder given to it."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.batch.steps import Step, timed
from features.nightly import NightlyRows
from features.reasons import Explainer
from serving import parts, workers
from serving.parts import Parts
from serving.runs.tables import Tables
from serving.runs.work import Work
from serving.scorer import Scorer

__all__ = ["STEPS"]

STEPS: list[Step] = [
    ("rows read", NightlyRows, "read"),
    ("rows believed", parts, "believed"),
    ("probabilities", Scorer, "answer"),
    ("contributions", Scorer, "parts_of"),
    ("reasons", Explainer, "speaking"),
    ("sentences", Explainer, "words"),
    ("scores as tables", parts, "score_part"),
    ("parts kept", Work, "keep"),
    ("files written", Tables, "write"),
]


def _main(folder: Path) -> None:
    file = folder / f"{os.getpid()}.json"

    def telling(real: Callable[[Parts, Iterable[int]], Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def asked(makes: Parts, numbers: Iterable[int]) -> Iterator[Any]:
            yield from real(makes, numbers)
            file.write_text(json.dumps(taken))

        return asked

    with (
        timed(STEPS) as taken,
        mock.patch.object(Parts, "scored", telling(Parts.scored)),
        mock.patch.object(Parts, "written", telling(Parts.written)),
    ):
        workers.main()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
