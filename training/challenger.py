"""The linear challenger: what logistic regression makes of the same columns.

A model that does not beat it has no need of trees. It is fitted for every run and never served.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from training.grow import numbers
from training.line import STRENGTHS, Line, signed_log

__all__ = ["fit_linear", "linear_probabilities"]


def fit_linear(
    fitted_on: pd.DataFrame,
    names: Sequence[str],
    categories: Collection[str] = (),
    beside: Line | None = None,
) -> Pipeline:
    """Median-filled, log-scaled, standardised columns with a flag where a value was missing; a flag per category.
    It is shrunk as the line `beside` it, the model's own, which found on unseen customers how strongly."""
    strength = beside.strength if beside else STRENGTHS[-1]
    measured = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        FunctionTransformer(signed_log),
        StandardScaler(),
    )
    named = [place for place, name in enumerate(names) if name in categories]
    others = [place for place, name in enumerate(names) if name not in categories]
    columns = ColumnTransformer(
        [("measured", measured, others), ("named", OneHotEncoder(handle_unknown="ignore"), named)]
    )
    pipeline = make_pipeline(columns, LogisticRegression(C=strength, max_iter=2000))
    return pipeline.fit(numbers(fitted_on, names), fitted_on["outcome"])


def linear_probabilities(pipeline: Pipeline, rows: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Its probability per row that a wanted outcome comes by the longest horizon; not calibrated further."""
    return np.asarray(pipeline.predict_proba(numbers(rows, names))[:, 1], dtype=np.float64)
