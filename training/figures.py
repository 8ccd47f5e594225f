"""Figures of a report: ROC, gains and reliability, each with every scorer on one picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["draw"]

mpl.use("Agg")
COLOURS = {"model": "#0b5fa5", "linear": "#d1731a", "oracle": "#2a8f4e"}
GREYS = ("#555555", "#8a8a8a", "#b0b0b0", "#c8c8c8")


def draw(
    folder: Path,
    outcome: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    ranks: Mapping[str, np.ndarray],
) -> dict[str, Path]:
    """Write `roc.png`, `gains.png` and `reliability.png` into a folder; returns them by name."""
    folder.mkdir(parents=True, exist_ok=True)
    scores = {**probabilities, **ranks}
    made = {}
    for name, picture, shown in (
        ("roc", _roc, scores),
        ("gains", _gains, scores),
        ("reliability", _reliability, probabilities),
    ):
        figure = Figure(figsize=(5.2, 4.4), layout="constrained")
        picture(figure.subplots(), outcome, shown)
        made[name] = folder / f"{name}.png"
        figure.savefig(made[name], dpi=130)
    return made


def _roc(axes: Axes, outcome: np.ndarray, scores: Mapping[str, np.ndarray]) -> None:
    axes.plot([0, 1], [0, 1], color="#dddddd", linewidth=1)
    for name, score in scores.items():
        with_it, without = _cumulative(outcome, score)
        axes.plot(without / without[-1], with_it / with_it[-1], **_style(name, list(scores)))
    axes.set(
        xlabel="share of those without the outcome",
        ylabel="share of those with it",
        title="ROC: who is ranked above whom",
    )
    axes.legend(frameon=False)


def _gains(axes: Axes, outcome: np.ndarray, scores: Mapping[str, np.ndarray]) -> None:
    axes.plot([0, 100], [0, 100], color="#dddddd", linewidth=1)
    for name, score in scores.items():
        with_it, without = _cumulative(outcome, score)
        listed = (with_it + without) / len(outcome)
        axes.plot(100 * listed, 100 * with_it / with_it[-1], **_style(name, list(scores)))
    axes.set(
        xlabel="top of the list, % of customers",
        ylabel="outcomes found, %",
        title="Gains: what a list of that size finds",
    )
    axes.legend(frameon=False, loc="lower right")


def _reliability(axes: Axes, outcome: np.ndarray, probabilities: Mapping[str, np.ndarray]) -> None:
    highest = 0.0
    for name, probability in probabilities.items():
        bins = np.array_split(np.argsort(probability, kind="stable"), 10)
        promised = [float(probability[rows].mean()) for rows in bins]
        happened = [float(outcome[rows].mean()) for rows in bins]
        spread = [1.96 * (h * (1 - h) / len(rows)) ** 0.5 for h, rows in zip(happened, bins, strict=True)]
        axes.errorbar(
            promised,
            happened,
            yerr=spread,
            marker="o",
            markersize=3,
            capsize=2,
            **_style(name, list(probabilities)),
        )
        highest = max(highest, *promised, *happened)
    axes.plot([0, highest], [0, highest], color="#dddddd", linewidth=1, zorder=0)
    axes.set(
        xlabel="promised probability",
        ylabel="share with the outcome",
        title="Reliability: promised and happened, in tenths",
    )
    axes.legend(frameon=False, loc="upper left")


def _cumulative(outcome: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Running counts with and without the outcome from the highest score down, one point per distinct score."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.r_[score[order][1:] != score[order][:-1], True])
    with_it = np.r_[0, np.cumsum(outcome[order])[ends]]
    return with_it, np.r_[0, ends + 1] - with_it


def _style(name: str, names: list[str]) -> dict[str, Any]:
    greys = [other for other in names if other not in COLOURS]
    colour = COLOURS.get(name) or GREYS[greys.index(name) % len(GREYS)]
    return {"label": name, "color": colour, "linewidth": 2 if name == "model" else 1.2}
