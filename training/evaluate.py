"""The evaluation: every scorer on the same rows, with intervals, as the table one would show a sponsor.

Intervals are bootstrap percentiles over customers, so that a customer's several moments stay together. The
calibration error of a resample is larger than that of the sample by the noise it adds; that excess is taken off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.errors import NotTrainable
from training.metrics import OF_PROBABILITIES, OF_RANKS, Metric

__all__ = ["Cell", "Estimate", "Report", "evaluate", "lead", "mean_by_customer", "outlook", "require_figures"]

REPLICATES = 200
REPLICATES_OF_A_CELL = 60
REPLICATES_OF_A_MEAN = 2000
FEWEST_TO_JUDGE = 10
TITLES = {
    "auc": "ROC AUC",
    "average_precision": "avg. precision",
    "brier": "Brier",
    "log_loss": "log loss",
    "ece": "calib. error",
    "lift_10": "lift top 10 %",
}
CELL_METRICS = ("auc", "log_loss", "ece", "lift_10")


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"


@dataclass(frozen=True)
class Cell:
    """One outcome by one horizon: how many had it, and figures by scorer; none where too few had it to judge."""

    outcome: str
    horizon_days: int
    outcomes: int
    promised: float
    scorers: Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True)
class Report:
    """Figures by scorer and metric, and by rule the model's lead over it in ROC AUC, paired."""

    task: str
    rows: int
    outcomes: int
    scorers: Mapping[str, Mapping[str, Estimate]]
    leads: Mapping[str, Estimate]
    cells: tuple[Cell, ...] = ()

    @property
    def beaten(self) -> list[str]:
        """The scorers that the model is ahead of, beyond chance."""
        return [name for name, lead in self.leads.items() if lead.low > 0]

    def values(self, scorer: str) -> dict[str, float]:
        return {metric: estimate.value for metric, estimate in self.scorers[scorer].items()}

    def table(self) -> pd.DataFrame:
        """Scorers by metrics, as text with intervals."""
        cells = {name: {TITLES[m]: str(e) for m, e in row.items()} for name, row in self.scorers.items()}
        return pd.DataFrame(cells).T.reindex(columns=list(TITLES.values())).fillna("-")

    def __str__(self) -> str:
        share = self.outcomes / self.rows
        head = f"{self.task}: {self.rows:,} tested, {self.outcomes:,} with the outcome ({share:.1%})"
        return f"{head}\n{self.table().to_string()}{self._outlook()}"

    def by_cell(self) -> pd.DataFrame:
        """Outcomes by horizons, as text: how often it happened and was promised, and the figures of the probabilities."""
        rows = [
            {
                "outcome": cell.outcome,
                "days": cell.horizon_days,
                "scorer": name,
                "happened": f"{cell.outcomes:,}",
                "promised": f"{cell.promised * self.rows:,.0f}" if name == "model" else "",
                **{TITLES[m]: str(row[m]) for m in CELL_METRICS if m in row},
            }
            for cell in self.cells
            for name, row in (cell.scorers or {"model": {}}).items()
        ]
        return pd.DataFrame(rows).fillna("-")

    def _outlook(self) -> str:
        several = len(self.cells) > 1
        return f"\n\nby outcome and horizon\n{self.by_cell().to_string(index=False)}" if several else ""


def evaluate(
    task: str,
    test: pd.DataFrame,
    probabilities: Mapping[str, np.ndarray],
    ranks: Mapping[str, np.ndarray],
    *,
    replicates: int = REPLICATES,
    seed: int = 7,
) -> Report:
    """Compare scorers on the test rows (customer_id, outcome). `probabilities` and `ranks` hold their scores;
    the one called "model" is compared, pair by pair, with all others."""
    outcome = test["outcome"].to_numpy(dtype=np.float64)
    scores = {**probabilities, **ranks}
    draws = [np.ones(len(test)), *_weights(test["customer_id"], replicates, seed)]
    scorers, aucs = {}, {}
    for name, score in scores.items():
        metrics = {**OF_RANKS, **(OF_PROBABILITIES if name in probabilities else {})}
        figures = {metric: np.array([f(outcome, score, w) for w in draws]) for metric, f in metrics.items()}
        aucs[name] = figures["auc"]
        if "ece" in figures:
            figures["ece"] = _without_excess(figures["ece"])
        scorers[name] = {metric: _estimate(values) for metric, values in figures.items()}
    leads = {name: _estimate(aucs["model"] - aucs[name]) for name in scores if name != "model"}
    return Report(task, len(test), int(outcome.sum()), scorers, leads)


def outlook(
    test: pd.DataFrame,
    kinds: Sequence[str],
    horizons_days: Sequence[int],
    outcomes: np.ndarray,
    promised: Mapping[str, np.ndarray],
) -> tuple[Cell, ...]:
    """Every outcome by every horizon. `outcomes` (0/1) and each scorer's promises are (rows x horizons x kinds)."""
    cells = []
    for m, kind in enumerate(kinds):
        for k, days in enumerate(horizons_days):
            came = outcomes[:, k, m]
            had, chances = int(came.sum()), {name: p[:, k, m] for name, p in promised.items()}
            judged: Mapping[str, Mapping[str, Estimate]] = {}
            if min(had, len(came) - had) >= FEWEST_TO_JUDGE:
                rows = test[["customer_id"]].assign(outcome=came)
                judged = evaluate(kind, rows, chances, {}, replicates=REPLICATES_OF_A_CELL).scorers
            cells.append(Cell(kind, days, had, float(chances["model"].mean()), judged))
    return tuple(cells)


def mean_by_customer(
    values: np.ndarray, customer_ids: pd.Series, *, replicates: int = REPLICATES_OF_A_MEAN, seed: int = 7
) -> Estimate:
    """The mean of a value per row, such as a difference of two scorers, customers drawn again."""
    customers, count = pd.factorize(customer_ids)[0], customer_ids.nunique()
    sums, rows = np.bincount(customers, values, count), np.bincount(customers, minlength=count)
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(0, count, count) for _ in range(replicates))
    means = [sums[who].sum() / rows[who].sum() for who in drawn]
    return _estimate(np.r_[values.mean(), means])


def lead(
    metric: Metric,
    test: pd.DataFrame,
    score: np.ndarray,
    other: np.ndarray | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = 7,
) -> Estimate:
    """A metric of `score` on the test rows (customer_id, outcome), less that of `other` on the same redrawn customers."""
    outcome = test["outcome"].to_numpy(dtype=np.float64)
    draws = [np.ones(len(test)), *_weights(test["customer_id"], replicates, seed)]
    less = [metric(outcome, other, w) for w in draws] if other is not None else [0.0] * len(draws)
    return _estimate(np.array([metric(outcome, score, w) for w in draws]) - np.array(less))


def require_figures(report: Report) -> None:
    """Raise `NotTrainable` when a figure of the model is not a number: such a model is never registered."""
    bad = [
        name for name, e in report.scorers["model"].items() if not np.isfinite([e.value, e.low, e.high]).all()
    ]
    if bad:
        raise NotTrainable(
            f"{report.task}: {', '.join(bad)} of the model cannot be computed on {report.rows:,} tested moments of which "
            f"{report.outcomes:,} had the outcome; test on more customers or dates"
        )


def _weights(customer_ids: pd.Series, replicates: int, seed: int) -> np.ndarray:
    """How often each row is drawn when customers are drawn with replacement."""
    customers, count = pd.factorize(customer_ids)[0], customer_ids.nunique()
    generator = np.random.default_rng(seed)
    drawn = [np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(replicates)]
    return np.array(drawn, dtype=np.float64).reshape(replicates, count)[:, customers]


def _without_excess(values: np.ndarray) -> np.ndarray:
    """Resampled values moved so that their mean is the estimate, never below nought."""
    if len(values) < 2:
        return values
    return np.asarray(np.r_[values[0], np.maximum(values[1:] - (values[1:].mean() - values[0]), 0)])


def _estimate(values: np.ndarray) -> Estimate:
    """The first value with the 2.5 and 97.5 percentiles of the others."""
    if len(values) < 2:
        return Estimate(float(values[0]), float("nan"), float("nan"))
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return Estimate(float(values[0]), float(low), float(high))
