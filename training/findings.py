"""What a comparison found: figures with intervals, and the tables one would show a sponsor, first of all in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.campaign import Campaign, Gains
from training.resampling import Estimate
from training.words import Words

__all__ = ["LIFTS", "Cell", "Figures", "Group", "Report", "best_rule", "said"]

Figures = Mapping[str, Estimate]
LIFTS = {"lift_1": 0.01, "lift_5": 0.05, "lift_10": 0.10, "lift_20": 0.20}
TITLES = {
    "auc": "ROC AUC",
    "average_precision": "avg. precision",
    "brier": "Brier",
    "log_loss": "log loss",
    "ece": "calib. error",
    **{name: f"lift top {share:.0%}".replace("%", " %") for name, share in LIFTS.items()},
    "precision_at_capacity": "precision",
    "gain_yuan": "gain, yuan",
}
OF_SCORERS = ("auc", "average_precision", "brier", "log_loss", "ece")
OF_LISTS = (*LIFTS, "precision_at_capacity", "gain_yuan")
OF_CELLS = ("auc", "log_loss", "ece", "lift_10")
OF_GROUPS = ("auc", "brier", "ece", "lift_10")
TOO_FEW = "too few to judge"


@dataclass(frozen=True)
class Cell:
    """One outcome by one horizon: how many had it, and figures by scorer; none where too few had it to judge."""

    outcome: str
    horizon_days: int
    outcomes: int
    promised: float
    scorers: Mapping[str, Figures]


@dataclass(frozen=True)
class Group:
    """One group of a segment, or a month: the mean promise, which shares of its moments, and of those with the outcome, the model's top
    tenth of all holds, the figures by scorer (the model and the best rule); none where rows or outcomes are too few to judge."""

    segment: str
    value: str
    rows: int
    outcomes: int
    promised: float
    listed: float
    found: float
    scorers: Mapping[str, Figures]


@dataclass(frozen=True)
class Report:
    """Figures by scorer and metric. `leads` is the model's lead over each other scorer in ROC AUC, `multiples` how many
    times the outcomes of that scorer's list the model's holds, at the campaign's size; both paired. `lists` (by scorer:
    value, low, high x shares) are the shares of all outcomes that lists of the campaign's sizes find; `words` the finding as
    one would say it."""

    task: str
    rows: int
    outcomes: int
    scorers: Mapping[str, Figures]
    leads: Figures
    campaign: Campaign
    rules: tuple[str, ...] = ()
    multiples: Mapping[str, Estimate] | None = None
    lists: Mapping[str, np.ndarray] | None = None
    gains: Gains | None = None
    cells: tuple[Cell, ...] = ()
    segments: tuple[Group, ...] = ()
    months: tuple[Group, ...] = ()
    words: Words | None = None

    @property
    def beaten(self) -> list[str]:
        """The scorers that the model is ahead of, beyond chance."""
        return [name for name, lead in self.leads.items() if lead.low > 0]

    @property
    def best_rule(self) -> str | None:
        """The rule that finds most on a list of the campaign's size."""
        return best_rule(self.rules, self.scorers)

    def values(self, scorer: str) -> dict[str, float]:
        """A scorer's figures without their intervals, by metric."""
        return {metric: e.value for metric, e in self.scorers[scorer].items()}

    def table(self) -> pd.DataFrame:
        """Scorers by metrics, as text with intervals: how well each ranks, and how true its probabilities are."""
        return _text({name: _titled(row, OF_SCORERS) for name, row in self.scorers.items()})

    def of_lists(self) -> pd.DataFrame:
        """Scorers by lists, as text: the lift of several sizes, and what a list of the campaign's size holds."""
        multiples = self.multiples or {}
        return _text(
            {
                name: _titled(row, OF_LISTS)
                | ({"model finds": _times(multiples[name])} if name in multiples else {})
                for name, row in self.scorers.items()
            }
        )

    def by_cell(self) -> pd.DataFrame:
        """Outcomes by horizons, as text: how often it happened and was promised, and the figures of the probabilities."""
        rows = [
            {
                "outcome": cell.outcome,
                "days": cell.horizon_days,
                "scorer": name,
                "happened": f"{cell.outcomes:,}",
                "promised": f"{cell.promised * self.rows:,.0f}" if name == "model" else "",
                **_titled(row, OF_CELLS),
            }
            for cell in self.cells
            for name, row in (cell.scorers or {"model": {}}).items()
        ]
        return pd.DataFrame(rows).fillna("-")

    def by_group(self) -> pd.DataFrame:
        """Months and segments, as text; one that is too small is named and not judged."""
        return pd.DataFrame([self._told(group) for group in (*self.months, *self.segments)]).fillna("")

    def __str__(self) -> str:
        share = self.outcomes / self.rows
        head = f"{self.task}: {self.rows:,} tested, {self.outcomes:,} with the outcome ({share:.1%})"
        parts = [f"{self.words.en}\n{self.words.zh}\n"] if self.words else []
        parts += [f"{head}\n{self.table().to_string()}"]
        parts += [f"\nlists: the top of the ranking; precision of the first {self.campaign.share:.1%}\n{self.of_lists().to_string()}"]  # fmt: skip
        if len(self.cells) > 1:
            parts += [f"\nby outcome and horizon\n{self.by_cell().to_string(index=False)}"]
        if self.months or self.segments:
            parts += [f"\nby month and segment\n{self.by_group().to_string(index=False)}"]
        return "\n".join(parts)

    def _told(self, group: Group) -> dict[str, str]:
        told = {"segment": group.segment.replace("_", " "), "value": group.value, "rows": f"{group.rows:,}"}
        if not group.scorers:
            return told | {"happened": TOO_FEW}
        shares = {"happened": group.outcomes / group.rows, "promised": group.promised}
        shares |= {"listed": group.listed, "found": group.found}
        told |= {
            "outcomes": f"{group.outcomes:,}",
            **{name: f"{share:.1%}" for name, share in shares.items()},
        }
        told |= _titled(group.scorers["model"], OF_GROUPS)
        if self.best_rule and self.best_rule in group.scorers:
            rule = group.scorers[self.best_rule]
            told[f"lift of {self.best_rule}"] = said("lift_10", rule["lift_10"])
        return told


def best_rule(rules: Sequence[str], scorers: Mapping[str, Figures]) -> str | None:
    """The rule whose list of the campaign's size holds most outcomes."""
    return max(rules, key=lambda name: scorers[name]["precision_at_capacity"].value, default=None)


def said(metric: str, e: Estimate) -> str:
    """A figure with its interval, with as many digits as it deserves."""
    form = {"gain_yuan": "{:,.0f}", "precision_at_capacity": "{:.1%}"}.get(metric, "{:.3f}")
    form = "{:.2f}" if metric.startswith("lift") else form
    value, low, high = (form.format(number) for number in (e.value, e.low, e.high))
    return f"{value} ({low} to {high})" if metric == "gain_yuan" else f"{value} ({low}-{high})"


def _titled(figures: Figures, metrics: Iterable[str]) -> dict[str, str]:
    return {TITLES[metric]: said(metric, figures[metric]) for metric in metrics if metric in figures}


def _times(e: Estimate) -> str:
    return f"{e.value:.2f} x ({e.low:.2f}-{e.high:.2f})"


def _text(rows: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows).T.fillna("-")
