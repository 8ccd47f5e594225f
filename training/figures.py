"""Pictures of a report: few, calm, the model in one colour everywhere.

scores        how promises are spread, with the outcome and without
reliability   promised and happened, by tenth, with intervals and counts
lists         share of the outcomes that a list of each size finds
gains         what that is worth: yuan, or outcomes where no sums are declared
months        ROC AUC month by month
concepts      what the model goes by
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from training.findings import Report
from training.metrics import BINS, bins_of
from training.resampling import draws_of

__all__ = ["draw"]

mpl.use("Agg")
OURS, PALE = "#0b5fa5", "#c9d3de"
COLOURS = {"model": OURS, "linear": "#d1731a", "fixed": "#8a5fb0", "oracle": "#2a8f4e"}
GREYS = ("#444444", "#8a8a8a", "#b0b0b0", "#c8c8c8")
MOST_CONCEPTS = 10
THOUSANDS = FuncFormatter(lambda number, _: f"{number:,.0f}")
PERCENT = PercentFormatter(1.0, decimals=0, symbol=" %")


def draw(
    folder: Path,
    report: Report,
    tested: pd.DataFrame,
    probability: np.ndarray,
    concepts: Mapping[str, float],
) -> dict[str, Path]:
    """Write the pictures into a folder as PNG; returns them by name. `tested` holds customer_id and outcome of the moments
    that the model gives `probability`. A picture of which there is nothing to show is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    outcome = tested["outcome"].to_numpy(dtype=np.float64)
    pictures: dict[str, Callable[[Axes], object]] = {
        "gains": lambda axes: _gains(axes, report),
        "lists": lambda axes: _lists(axes, report),
        "reliability": lambda axes: _reliability(axes, outcome, probability, tested["customer_id"]),
        "scores": lambda axes: _scores(axes, outcome, probability),
    }
    if len([month for month in report.months if month.scorers]) > 1:
        pictures["months"] = lambda axes: _months(axes, report)
    pictures["concepts"] = lambda axes: _concepts(axes, concepts)
    made = {}
    for name, picture in pictures.items():
        figure = Figure(figsize=(5.2, 3.9), layout="constrained")
        axes = figure.subplots()
        picture(axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(11)
        made[name] = folder / f"{name}.png"
        figure.savefig(made[name], dpi=150)
    return made


def _gains(axes: Axes, report: Report) -> None:
    """Yuan by size of list, where sums are declared; otherwise outcomes found."""
    campaign, best = report.campaign, report.best_rule
    if (gains := report.gains) is not None:
        curves, unit = dict(gains.curves), "yuan"
        mark = (gains.best.value, float(curves["model"][0].max()))
        axes.plot(*mark, "o", color=OURS, markersize=6, zorder=4)
        axes.annotate(f"best: {100 * gains.best.value:.0f} %", mark, (0, 7), textcoords="offset points", ha="center", color=OURS)  # fmt: skip
        axes.axhline(0, color="#dddddd", linewidth=1, zorder=0)
    else:
        each = campaign.asked * report.outcomes / report.rows
        curves, unit = {name: each * curve for name, curve in (report.lists or {}).items()}, "outcomes found"
    for name in ("model", *([best] if best else [])):
        _curve(axes, campaign.shares, curves[name], name, list(report.scorers), band=name == "model")
    at_random = curves["model"][0][-1] * campaign.shares
    axes.plot(campaign.shares, at_random, color=PALE, linewidth=1.2, label="random")
    axes.axvline(campaign.share, color="#999999", linewidth=1, linestyle=":")
    axes.text(campaign.share, 0.02, " capacity", transform=axes.get_xaxis_transform(), color="#777777", fontsize=8)  # fmt: skip
    axes.set(xlabel="customers called, best first", ylabel=f"{unit}, per date", title="What a list of that size brings")  # fmt: skip
    axes.xaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_major_formatter(THOUSANDS)
    axes.margins(y=0.12)
    axes.legend(frameon=False, loc="lower right", fontsize=9)


def _lists(axes: Axes, report: Report) -> None:
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=1.2)
    for name, curve in (report.lists or {}).items():
        _curve(axes, report.campaign.shares, curve, name, list(report.scorers), band=name == "model")
    axes.set(xlabel="top of the list", ylabel="share of all outcomes in it", title="What a list of that size finds", xlim=(0, 1), ylim=(0, 1.02))  # fmt: skip
    axes.xaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.legend(frameon=False, loc="lower right", fontsize=9)


def _reliability(axes: Axes, outcome: np.ndarray, probability: np.ndarray, customers: pd.Series) -> None:
    """Tenths of the moments by promise; the bars are 95 % intervals, customers drawn again."""
    tenths = (bins_of(probability)[:, None] == np.arange(BINS)).astype(np.float64)
    kept = tenths.any(axis=0)
    tenths = tenths[:, kept]
    sums = draws_of(customers).sums(np.c_[tenths, tenths * outcome[:, None]])
    rows, with_it = np.hsplit(sums, 2)
    happened = with_it / np.maximum(rows, 1)
    promised = probability @ tenths / rows[0]
    low, high = np.percentile(happened[1:], [2.5, 97.5], axis=0)
    top = 1.08 * max(promised.max(), high.max())
    axes.plot([0, top], [0, top], color=PALE, linewidth=1.2, zorder=0)
    spread = np.clip([happened[0] - low, high - happened[0]], 0, None)
    axes.errorbar(promised, happened[0], spread, color=OURS, marker="o", markersize=4, capsize=2, linewidth=1)
    counts = (
        f"{rows[0].min():,.0f}" if np.ptp(rows[0]) < 1 else f"{rows[0].min():,.0f} to {rows[0].max():,.0f}"
    )
    axes.text(0.98, 0.03, f"{counts} moments a point,\n{with_it[0].min():,.0f} to {with_it[0].max():,.0f} outcomes", transform=axes.transAxes, ha="right", fontsize=8, color="#555555")  # fmt: skip
    axes.set(xlabel="promised", ylabel="happened", title="Do the probabilities hold?", xlim=(0, top), ylim=(0, top))  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0 if top > 0.1 else 1, symbol=" %"))


def _scores(axes: Axes, outcome: np.ndarray, probability: np.ndarray) -> None:
    edges = np.linspace(0, probability.max() * 1.001, 41).tolist()
    for has, colour, label in ((0, PALE, "without the outcome"), (1, OURS, "with the outcome")):
        scores = probability[outcome == has]
        share = np.full(len(scores), 1 / max(len(scores), 1))
        kind = {"histtype": "stepfilled"} if not has else {"histtype": "step", "linewidth": 1.8}
        axes.hist(scores, edges, weights=share, color=colour, label=f"{label} ({len(scores):,})", **kind)
    axes.set(xlabel="promised", ylabel="share of each group", title="How the promises are spread")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None, symbol=" %"))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.legend(frameon=False, fontsize=9)


def _months(axes: Axes, report: Report) -> None:
    judged = [month for month in report.months if month.scorers]
    places = np.arange(len(judged))
    names = [name for name in ("model", report.best_rule) if name and name in judged[0].scorers]
    for n, name in enumerate(names):
        found = [month.scorers[name]["auc"] for month in judged]
        values = np.array([e.value for e in found])
        spread = np.clip([[e.value - e.low for e in found], [e.high - e.value for e in found]], 0, None)
        style = _style(name, list(report.scorers))
        axes.errorbar(places + 0.12 * n, values, spread, marker="o", markersize=5, capsize=3, **style)
    axes.axhline(0.5, color=PALE, linewidth=1.2)
    axes.set_xticks(
        places, [f"{month.value}\n{month.outcomes:,} of {month.rows:,}" for month in judged], fontsize=8
    )
    axes.set(ylabel="ROC AUC", title="Month by month (outcomes of moments)", xlim=(-0.6, len(judged) - 0.4))
    axes.legend(frameon=False, fontsize=9)


def _concepts(axes: Axes, concepts: Mapping[str, float]) -> None:
    shown = list(concepts.items())[:MOST_CONCEPTS][::-1]
    axes.barh([name for name, _ in shown], [share for _, share in shown], color=OURS, height=0.65)
    axes.set(title="What the model goes by", xlabel="share of the mean contribution")
    axes.xaxis.set_major_formatter(PERCENT)
    axes.tick_params(axis="y", length=0, labelsize=9)


def _curve(
    axes: Axes, shares: np.ndarray, curve: np.ndarray, name: str, names: list[str], *, band: bool
) -> None:
    """A line, value over shares, with its interval as a band where wished."""
    value, low, high = curve
    style = _style(name, names)
    axes.plot(shares, value, **style)
    if band:
        axes.fill_between(shares, low, high, color=style["color"], alpha=0.15, linewidth=0)


def _style(name: str, names: list[str]) -> dict[str, Any]:
    greys = [other for other in names if other not in COLOURS]
    colour = COLOURS.get(name) or GREYS[greys.index(name) % len(GREYS)]
    return {
        "label": name,
        "color": colour,
        "linewidth": 2 if name == "model" else 1.2,
        "zorder": 3 if name == "model" else 2,
    }
