"""Rows as LightGBM reads them: columns without a copy, put into bins once, whatever is grown on them afterwards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa

__all__ = ["FOR_ALL_SETTINGS", "Bins", "binned", "bins", "columns"]

# A table that is put into bins once must keep columns that only some settings would leave out.
FOR_ALL_SETTINGS = {"feature_pre_filter": False}


@dataclass(frozen=True)
class Bins:
    """Rows to learn from and rows to stop by, in the same bins; one table serves all settings of a study."""

    learn: lgb.Dataset
    stop: lgb.Dataset


def columns(rows: pd.DataFrame, names: Sequence[str]) -> pa.Table:
    """The named columns as Arrow, sharing memory with the frame where they are numbers; missing is NaN."""
    return pa.table([_column(rows[name]) for name in names], names=list(names))


def binned(
    rows: pd.DataFrame,
    names: Sequence[str],
    categories: Collection[str],
    reference: lgb.Dataset | None = None,
    **parameters: object,
) -> lgb.Dataset:
    """The rows with what happened to them (`kind`), to be put into bins of their own or into those of `reference`."""
    return lgb.Dataset(
        columns(rows, names),
        rows["kind"].to_numpy(),
        reference=reference,
        feature_name=list(names),
        categorical_feature=[name for name in names if name in set(categories)],
        params={"verbosity": -1, **parameters},
    )


def bins(learn: pd.DataFrame, stop: pd.DataFrame, names: Sequence[str], categories: Collection[str]) -> Bins:
    """Both parts put into the bins of the first. What is fitted with them needs `FOR_ALL_SETTINGS`."""
    table = binned(learn, names, categories, **FOR_ALL_SETTINGS).construct()
    return Bins(table, binned(stop, names, categories, table, **FOR_ALL_SETTINGS).construct())


def _column(column: pd.Series) -> pa.Array:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":
        return pa.array(column.to_numpy())
    return pa.array(column.to_numpy(dtype=np.float64, na_value=np.nan))
