"""From a plan to rows to learn from: moments, features, outcomes, and who was contacted meanwhile."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from features import timeline
from features.bulk import table_of
from features.cohorts import eligible
from features.consent import needed_for
from features.errors import NotTrainable
from features.feature import Feature
from features.matrix import Levels, codes
from features.planner import compute
from features.sources import CANONICAL
from features.warehouse import Warehouse
from training.plan import Plan
from training.task import Task

__all__ = [
    "Dataset",
    "Parts",
    "dataset",
    "facts",
    "happened",
    "numbered",
    "outcomes_by_horizon",
    "outcomes_of",
    "require_both_outcomes",
    "split",
    "telling",
]

FEWEST_OUTCOMES = 50
# A category with fewer rows teaches its own noise; rarer ones count as missing, as unseen ones do later. A column with
# many (a dealer) tells persons apart rather than kinds of persons: on the invented carmaker it cost .12 of ROC AUC.
FEWEST_ROWS_OF_LEVEL = 100
MOST_LEVELS = 20
CONTACTS = ("sent", "adviser_call")
CONTACTED_BEFORE_DAYS = 30


@dataclass(frozen=True)
class Dataset:
    """One row per moment: customer_id, as_of, `outcome` (0/1: what is wanted, by the longest horizon), `kind` and
    `interval` (see `training.outcomes`), `contacted_before` and `contacted_during` where contacts are recorded, and
    the features; `excluded` counts who was not asked about, by date and reason; `digest` identifies the content;
    `share` is the part of the customers that was asked about; `without_consents` why nobody's consent was looked at."""

    frame: pd.DataFrame
    features: tuple[Feature, ...]
    excluded: pd.DataFrame
    digest: str
    share: float = 1.0
    without_consents: str = ""

    @property
    def names(self) -> list[str]:
        """The columns of the features, in the order a model reads them."""
        return [feature.name for feature in self.features]


@dataclass(frozen=True)
class Parts:
    """Frames of a dataset; categories are places among `levels`, which the fit part taught."""

    fit: pd.DataFrame
    calibrate: pd.DataFrame
    test: pd.DataFrame
    levels: Levels

    def __iter__(self) -> Iterator[tuple[str, pd.DataFrame]]:
        yield from (("fit", self.fit), ("calibrate", self.calibrate), ("test", self.test))


def dataset(task: Task, warehouse: Warehouse, dates: Sequence[datetime]) -> Dataset:
    """Features and outcomes of everyone in the task's cohort at each date.

    Raises `OpenWindow` for a date whose outcome window is not fully observed, `NoConsents` when nothing says who allows it.
    """
    task.require_closed(dates, warehouse)
    asked = task.asked(warehouse, dates).cache()
    moments = eligible(asked)
    features = tuple(task.features(warehouse))
    outcomes = outcomes_of(task, warehouse, moments).order_by("customer_id", "as_of")
    frame = _framed(
        task, _beside(warehouse.engine.to_pyarrow(outcomes), table_of(moments, warehouse, features))
    )
    turned_away = asked.filter(asked.excluded.notnull()).group_by("as_of", "excluded")
    excluded = turned_away.aggregate(customers=ibis._.count()).order_by("as_of", "excluded")
    turned = warehouse.engine.to_pandas(excluded)
    return Dataset(frame, features, turned, _digest(frame), warehouse.share, warehouse.without_consents)


def _beside(outcomes: pa.Table, known: pa.Table) -> pa.Table:
    """Outcomes and features of the same moments, both ordered by customer and moment, now by moment and customer."""
    for key in ("customer_id", "as_of"):
        if not outcomes[key].equals(known[key].cast(outcomes[key].type)):
            raise AssertionError(f"outcomes and features differ in {key}")
    columns = {name: outcomes[name] for name in outcomes.column_names}
    columns |= {name: known[name] for name in known.column_names[2:]}
    return pa.table(columns).sort_by([("as_of", "ascending"), ("customer_id", "ascending")])


def outcomes_of(task: Task, warehouse: Warehouse, moments: ir.Table) -> ir.Table:
    """(customer_id, as_of, kind, interval) and, where contacts are recorded and may be read, whether the company made contact in the 30
    days before the moment and in the outcome window. The latter two are for judging a figure, never features."""
    found = task.outcome.first(moments, warehouse.tables, task.horizons_days, task.gap_days)
    if "contacts" not in warehouse.tables or CANONICAL["contacts"].purpose not in needed_for(task.purpose):
        return found
    window = partial(timeline.future, horizon_days=task.horizon_days, gap_days=task.gap_days)
    for name, days, rows_of in (("before", CONTACTED_BEFORE_DAYS, timeline.past), ("during", None, window)):
        made = {f"contacted_{name}": partial(_contacted, days)}
        found = found.inner_join(compute(moments, made, warehouse.tables, rows_of), ["customer_id", "as_of"])
    return found.select("customer_id", "as_of", "kind", "interval", "contacted_before", "contacted_during")


def happened(
    task: Task, frame: pd.DataFrame, kinds: Sequence[int] | None = None, horizon: int = -1
) -> np.ndarray:
    """0/1 per row: whether one of the kinds (places among the task's; default: the wanted) came about by a horizon."""
    places = task.wanted_places if kinds is None else kinds
    horizon %= len(task.horizons_days)
    in_time = frame["interval"].to_numpy() <= horizon
    if task.silence:
        return (~in_time).astype("int8")
    return (in_time & frame["kind"].isin([place + 1 for place in places]).to_numpy()).astype("int8")


def outcomes_by_horizon(task: Task, frame: pd.DataFrame) -> np.ndarray:
    """(rows x horizons x kinds), 0/1: which outcome had come about by which horizon."""
    horizons, kinds = range(len(task.horizons_days)), range(len(task.kinds))
    return np.stack(
        [np.stack([happened(task, frame, [kind], k) for kind in kinds], axis=1) for k in horizons], axis=1
    )


def facts(task: Task, data: Dataset, parts: Parts) -> dict[str, Any]:
    """What a tracking store should remember of the rows: digest, period, who was asked and who was not and why, and,
    per part, outcomes by kind and horizon and how often by contact."""
    frame = data.frame
    by_reason = data.excluded.groupby("excluded")["customers"].sum()
    return {
        "digest": data.digest,
        "moments_from": f"{frame['as_of'].min():%Y-%m-%d}",
        "moments_to": f"{frame['as_of'].max():%Y-%m-%d}",
        "outcomes_settled_by": f"{frame['as_of'].max() + task.window:%Y-%m-%d}",
        "moments_asked": len(frame),
        "customers_asked": int(frame["customer_id"].nunique()),
        "share_of_customers": data.share,
        "moments_not_asked_by_reason": {str(reason): int(count) for reason, count in by_reason.items()},
        "parts": {name: _part_facts(task, rows) for name, rows in parts},
    }


def _part_facts(task: Task, rows: pd.DataFrame) -> dict[str, Any]:
    by_horizon = outcomes_by_horizon(task, rows).sum(axis=0)
    told: dict[str, Any] = {"moments": len(rows), "customers": int(rows["customer_id"].nunique())}
    told["outcomes"] = {
        kind: {f"{days} d": int(by_horizon[k, m]) for k, days in enumerate(task.horizons_days)}
        for m, kind in enumerate(task.kinds)
    }
    for name in ("contacted_before", "contacted_during"):
        if name in rows:
            groups = rows.groupby(rows[name].map({True: "yes", False: "no"}))["outcome"]
            told[name] = {
                str(said): {"moments": len(group), "outcome_rate": round(float(group.mean()), 6)}
                for said, group in groups
            }
    return told


def split(data: Dataset, plan: Plan) -> Parts:
    """Cut a dataset as planned and number its categories. Raises `NotTrainable` when a part lacks outcomes."""
    part = plan.parts(data.frame["customer_id"], data.frame["as_of"])
    fit, calibrate, test = (data.frame[part == name] for name in ("fit", "calibrate", "test"))
    for name, rows in (("fit", fit), ("calibrate", calibrate), ("test", test)):
        require_both_outcomes(name, len(rows), int(rows["outcome"].sum()))
    levels = {f.name: _levels(fit[f.name]) for f in data.features if f.kind == "category"}
    return Parts(numbered(fit, levels), numbered(calibrate, levels), numbered(test, levels), levels)


def telling(features: Sequence[Feature], part: pd.DataFrame) -> tuple[Feature, ...]:
    """The features that tell customers apart at some date of a part.

    A column that is the same for everyone at a date (the season, a source without rows) could only teach a model
    to know its dates again.
    """
    by_date = part.groupby("as_of", observed=True)
    return tuple(f for f in features if (by_date[f.name].nunique(dropna=False) > 1).any())


def require_both_outcomes(name: str, rows: int, outcomes: int) -> None:
    """Raise `NotTrainable` unless a part holds enough rows with the outcome and without it."""
    rarer = min(outcomes, rows - outcomes)
    if rarer < FEWEST_OUTCOMES:
        raise NotTrainable(
            f"the {name} part has {rows:,} rows of which {outcomes:,} with the outcome; at least "
            f"{FEWEST_OUTCOMES} with it and without it are needed: use more customers, more dates or a longer horizon"
        )


def _framed(task: Task, rows: pa.Table) -> pd.DataFrame:
    """The rows with their outcome, column by column, so that at no time they are held twice."""
    came = happened(task, rows.select(["kind", "interval"]).to_pandas())
    whole = rows.add_column(2, "outcome", pa.array(came))
    del rows
    frame: pd.DataFrame = whole.to_pandas(split_blocks=True, self_destruct=True)
    return frame


def _contacted(days: int | None, seen: ir.Table) -> ir.Value:
    return seen.contacts.where(kind=CONTACTS).count(days) > 0


def _levels(column: pd.Series) -> tuple[str, ...]:
    """The categories frequent enough to learn from, in the order of the alphabet; none where they are too many."""
    counts = column.value_counts()
    frequent = sorted(counts[counts >= FEWEST_ROWS_OF_LEVEL].index)
    return tuple(frequent) if len(frequent) <= MOST_LEVELS else ()


def numbered(rows: pd.DataFrame, levels: Levels) -> pd.DataFrame:
    """Rows whose categories are places among `levels`."""
    numbers = {name: codes(pa.array(rows[name], pa.string()), known) for name, known in levels.items()}
    return rows.assign(**numbers)


def _digest(frame: pd.DataFrame) -> str:
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    names = "\n".join(frame.columns).encode()
    return hashlib.sha256(names + np.ascontiguousarray(hashes).tobytes()).hexdigest()[:16]
