"""`python -m worlds.carmaker.oracle DIR`: the oracle, the rules of the trade and two quick models side by side.

The oracle scores with the true probability, so nothing can be better for long. Rules and models see the tables.
Models are fitted on earlier moments of one half of the customers and judged on later moments of the other half.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import lightgbm
import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from worlds.carmaker.peek import peek
from worlds.carmaker.tasks import open_world
from worlds.carmaker.truth import probabilities
from worlds.carmaker.world import World
from worlds.carmaker.write import NotOursError, read_world

__all__ = ["RULES", "Question", "compare"]

SETTLED = 17 + 6  # weeks after a window until the rarest kind of outcome is decided and known


@dataclass(frozen=True)
class Question:
    """One column of the comparison: a task at a horizon, and for competing outcomes the word asked about."""

    task: str
    days: int
    word: str | None = None

    @property
    def name(self) -> str:
        return f"{self.task} {self.days} d" + (f": {self.word}" if self.word else "")


QUESTIONS = (
    Question("purchase_intent", 90),
    Question("purchase_intent", 30),
    Question("churn", 180),
    Question("churn", 90),
    Question("repurchase", 365, "replacement"),
    Question("repurchase", 365, "additional"),
    Question("repurchase", 365, "defection"),
    Question("upgrade", 365),
)


def _quintile(values: pd.Series) -> pd.Series:
    return pd.qcut(values.rank(method="first"), 5, labels=False)


def _rfm(frame: pd.DataFrame) -> pd.Series:
    recency = _quintile(-frame["since_touch"].fillna(10_000))
    return recency + _quintile(frame["touch_365d"]) + _quintile(frame["spent"].fillna(0).astype(float))


# Each rule as a score for "the outcome happens"; for churn the sign is turned.
RULES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "recency": lambda frame: -frame["since_touch"].fillna(10_000),
    "test_drive_30d": lambda frame: (frame["test_drive_30d"] > 0).astype(int),
    "silent_7d": lambda frame: (frame["touch_7d"] > 0).astype(int),
    "age_of_car": lambda frame: frame["age_of_car"].fillna(-1),
    "rfm": _rfm,
}


def compare(folder: Path, questions: tuple[Question, ...] = QUESTIONS) -> Iterator[dict[str, Any]]:
    """One row per question, as they come: moments, base rate, mean truth, AUC of oracle, rules, linear model and LightGBM.

    Looks at the world's first 60,000 customers at most.
    """
    world, base = read_world(folder), open_world(folder, parts=6)
    for question in questions:
        early, late = _moments(world, question.days)
        fit = pd.concat([peek(base, question.task, day, question.days) for day in early], ignore_index=True)
        test = pd.concat([peek(base, question.task, day, question.days) for day in late], ignore_index=True)
        yield _judge(folder, question, fit[_half(fit)], test[~_half(test)].reset_index(drop=True))


def _moments(world: World, days: int) -> tuple[list[date], list[date]]:
    """Two earlier and two later moments, at week starts; windows of the earlier end before the later begin."""
    weeks = -(-days // 7)
    last = world.weeks - weeks - SETTLED
    first = max(last - weeks - 13, 16)
    return [world.start + timedelta(days=7 * w) for w in (first - 4, first)], [
        world.start + timedelta(days=7 * w) for w in (last - 4, last)
    ]


def _half(frame: pd.DataFrame) -> pd.Series:
    return frame["customer_id"].str[-2:].astype(int) % 2 == 0


def _judge(folder: Path, question: Question, fit: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    wanted = question.word or 1
    truth = probabilities(folder, test, question.task, question.days)[question.word or "probability"].fillna(
        0
    )
    y, learnt = (test["outcome"] == wanted).to_numpy(), fit["outcome"] == wanted
    features = [name for name in fit if name not in {"customer_id", "outcome", "as_of"}]
    row: dict[str, Any] = {
        "question": question.name,
        "moments": len(test),
        "rate": y.mean(),
        "mean truth": truth.mean(),
    }
    row["oracle"] = roc_auc_score(y, truth)
    sign = -1 if question.task == "churn" else 1
    row |= {name: roc_auc_score(y, sign * rule(test)) for name, rule in RULES.items()}
    row["linear"] = roc_auc_score(y, _linear(fit[features], learnt, test[features]))
    row["LightGBM"] = roc_auc_score(y, _trees(fit[features], learnt, test[features]))
    return row


def _linear(x: pd.DataFrame, y: pd.Series, new: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    def squeeze(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame.astype(float)
        return values.abs().add(1).transform(np.log).mul(values.transform(np.sign))

    known = x.columns[x.notna().any()]
    model = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=1_000),
    )
    model.fit(squeeze(x[known]).to_numpy(), y)
    return np.asarray(model.predict_proba(squeeze(new[known]).to_numpy())[:, 1])


def _trees(x: pd.DataFrame, y: pd.Series, new: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    settings = {"objective": "binary", "learning_rate": 0.03, "num_leaves": 8, "min_data_in_leaf": 50, "feature_fraction": 0.6,
                "lambda_l2": 5, "seed": 1, "num_threads": 2, "verbose": -1}  # fmt: skip
    data = lightgbm.Dataset(x.astype(float).to_numpy(), y.to_numpy())
    return np.asarray(lightgbm.train(settings, data, 200).predict(new.astype(float).to_numpy()))


def main(folder: Annotated[Path, typer.Argument(help="a carmaker world")]) -> None:
    """Print the comparison for a world on disk."""
    console = Console(width=150)
    table = Table(title="Invented carmaker: ROC AUC out of time (invented data)", title_justify="left")
    try:
        for row in compare(folder):
            if not table.columns:
                for name in row:
                    table.add_column(name, justify="left" if name == "question" else "right")
            table.add_row(
                *(
                    value
                    if isinstance(value, str)
                    else f"{value:,d}"
                    if isinstance(value, int)
                    else f"{value:.3f}"
                    for value in row.values()
                )
            )
            console.print(f"invented carmaker: {row['question']} done", highlight=False)
    except NotOursError as error:
        Console(stderr=True).print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
