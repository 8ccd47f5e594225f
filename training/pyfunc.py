"""The registered model as MLflow users call it: rows in, calibrated and coherent probabilities out.

MLflow keeps this file as the model's code ("models from code") beside the data files it reads, so nothing is
pickled. It stands alone: LightGBM and NumPy are all it imports. Our own service does not run it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd


class Propensity(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """`predict` takes the feature columns by name and returns `probability`, that of the wanted outcome by the longest
    horizon, and one column per outcome and horizon, such as `order 30 d`."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        """Read the model's own files; MLflow calls this once."""
        folder = Path(context.artifacts["model"])
        manifest = json.loads((folder / "MANIFEST.json").read_text())
        read = {
            name: (folder / name).read_bytes() for name in ("booster.txt", "line.json") if name in manifest
        }
        for name, text in read.items():
            if hashlib.sha256(text).hexdigest() != manifest[name]:
                raise ValueError(f"{name} is not what was registered (SHA-256 differs)")
        card = json.loads((folder / "card.json").read_text())
        self.card, self.names = card, list(card["features"])
        self.booster = lgb.Booster(model_str=read["booster.txt"].decode())
        self.line = json.loads(read["line.json"]) if "line.json" in read else None

    def predict(self, context: object, model_input: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG002
        """Score rows that have the model's columns by name; MLflow and Spark call this."""
        card = self.card
        outlook = self._happened(self._margins(model_input))
        outlook = 1.0 - outlook if card["silence"] else outlook
        wanted = [outlook[:, -1, card["kinds"].index(kind)] for kind in card["wanted"]]
        columns = {"probability": sum(wanted[1:], wanted[0])}
        for m, kind in enumerate(card["kinds"]):
            columns |= {f"{kind} {days} d": outlook[:, k, m] for k, days in enumerate(card["horizons_days"])}
        return pd.DataFrame(columns, index=model_input.index)

    def _margins(self, rows: pd.DataFrame) -> np.ndarray:
        numbers = rows[self.names].copy()
        for name, levels in self.card["levels"].items():
            places = {level: float(place) for place, level in enumerate(levels)}
            numbers[name] = numbers[name].map(places).astype("float64")
        values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
        raw = np.asarray(self.booster.predict(values, raw_score=True), dtype=np.float64)
        trees = raw[:, None] if raw.ndim == 1 else np.asarray(raw[:, 1:] - raw[:, :1])
        if self.line is None:
            return trees
        share = self.line["share"]
        return np.asarray((1.0 - share) * trees + share * self._along(self.line, values))

    def _along(self, line: dict[str, Any], rows: np.ndarray) -> np.ndarray:
        """What `training.line` does, operation by operation."""
        rows = np.ascontiguousarray(rows)
        missing = np.isnan(rows)
        logs = np.clip(np.sign(rows) * np.log1p(np.abs(rows)), line["low"], line["high"])
        held = np.where(missing, 0.0, logs)[:, None, :]
        found = held * np.asarray(line["slopes"]) + np.asarray(line["starts"])
        for place, effects in (
            (int(place), np.asarray(effects)) for place, effects in line["levels"].items()
        ):
            level = np.where(missing[:, place], 0, rows[:, place]).astype(np.int64)
            found[:, :, place] = effects[:, np.clip(level, 0, effects.shape[1] - 1)].T
        effects = np.where(missing[:, None, :], np.asarray(line["absent"]), found)
        return np.asarray(effects.sum(axis=2) + np.asarray(line["bases"]))

    def _happened(self, margins: np.ndarray) -> np.ndarray:
        """What `training.hazards` does, operation by operation, so that the bits are the same."""
        hazards = self.card["hazards"]
        log_odds = np.asarray(hazards["slopes"]) * margins[:, None, :] + np.asarray(hazards["intercepts"])
        odds = np.exp(np.clip(log_odds, -500.0, 500.0))
        nothing = 1.0 / (1.0 + odds.sum(axis=2))
        still = np.cumprod(nothing, axis=1)
        before = np.concatenate([np.ones((len(still), 1)), still[:, :-1]], axis=1)
        return np.asarray(np.cumsum(odds * (nothing * before)[:, :, None], axis=1))


mlflow.models.set_model(Propensity())
