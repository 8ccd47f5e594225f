"""The registered model as MLflow users call it: rows in, calibrated probabilities out.

MLflow keeps this file as the model's code ("models from code") beside the data files it reads, so nothing is
pickled. It stands alone: LightGBM and NumPy are all it imports. Our own service does not run it.
"""

import hashlib
import json
from pathlib import Path

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd


class Propensity(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """`predict` takes the feature columns by name and returns a probability per row."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        folder = Path(context.artifacts["model"])
        manifest = json.loads((folder / "MANIFEST.json").read_text())
        text = (folder / "booster.txt").read_bytes()
        if hashlib.sha256(text).hexdigest() != manifest["booster.txt"]:
            raise ValueError("booster.txt is not what was registered (SHA-256 differs)")
        card = json.loads((folder / "card.json").read_text())
        self.names = list(card["features"])
        self.slope, self.intercept = card["slope"], card["intercept"]
        self.booster = lgb.Booster(model_str=text.decode())

    def predict(self, context: object, model_input: pd.DataFrame) -> np.ndarray:  # noqa: ARG002
        rows = model_input[self.names].to_numpy(dtype=np.float64, na_value=np.nan)
        margins = np.asarray(self.booster.predict(rows, raw_score=True), dtype=np.float64)
        return np.asarray(1.0 / (1.0 + np.exp(-(self.slope * margins + self.intercept))))


mlflow.models.set_model(Propensity())
