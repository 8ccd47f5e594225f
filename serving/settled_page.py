"""The page of settled forecasts: what runs expected beside what happened, as a picture, by month, and for those who were contacted."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from serving.ledger import ALL, Settled

__all__ = ["by_month", "page", "picture"]

MOST_CELLS = 3


def by_month(lines: Sequence[Settled]) -> list[Settled]:
    """Whole lists by the longest horizon, run by run: calibration by month."""
    longest = {
        task: max(line.horizon_days for line in lines if line.task == task)
        for task in {line.task for line in lines}
    }
    whole = (line for line in lines if line.segment == ALL and line.grade == ALL)
    return sorted(
        (line for line in whole if line.horizon_days == longest[line.task]),
        key=lambda line: (line.task, line.outcome, line.as_of),
    )


def picture(lines: Sequence[Settled]) -> bytes:
    """The 90 % intervals and what happened, by run and by task (SVG)."""
    tasks = sorted({line.task for line in lines})
    figure = Figure(figsize=(5.5 * max(len(tasks), 1), 3.6), layout="constrained")
    for place, task in enumerate(tasks, 1):
        axes = figure.add_subplot(1, len(tasks), place)
        mine = [line for line in lines if line.task == task and line.segment == ALL and line.grade == ALL]
        cells = sorted({(line.outcome, line.horizon_days) for line in mine}, key=lambda cell: -cell[1])
        for outcome, days in cells[:MOST_CELLS]:
            some = sorted(
                (line for line in mine if (line.outcome, line.horizon_days) == (outcome, days)),
                key=lambda line: line.as_of,
            )
            at = np.array([line.as_of for line in some], dtype="datetime64[s]")
            axes.fill_between(at, [line.low for line in some], [line.high for line in some], alpha=0.2)
            axes.plot(at, [line.happened for line in some], "o-", label=f"{outcome}, {days} days: happened")
        axes.set_title(f"{task}: 90 % interval and what happened")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=7)
        axes.tick_params(axis="x", rotation=30)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def page(lines: Sequence[Settled], verdicts: Sequence[object]) -> bytes:
    """One page without links, in English and Chinese, the picture inside. `verdicts` are those of `serving.settle`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    graded = [line for line in lines if line.segment == ALL]
    return environment.get_template("settled_page.html").render(
        verdicts=verdicts,
        months=by_month(lines),
        latest=_latest(graded),
        picture=base64.b64encode(picture(lines)).decode(),
    ).encode()  # fmt: skip


def _latest(graded: Sequence[Settled]) -> list[Settled]:
    """Each task's newest settled run, grade by grade."""
    newest = {
        task: max(line.as_of for line in graded if line.task == task)
        for task in {line.task for line in graded}
    }
    return sorted(
        (line for line in graded if line.as_of == newest[line.task]),
        key=lambda line: (line.task, line.outcome, line.horizon_days, line.grade),
    )
