"""A model as files: text and JSON, hashed, never pickled.

    booster.txt      LightGBM's text format
    line.json        the line beside the trees, and its share of the margins
    card.json        the card, with the calibration
    golden.json      artificial rows with the probabilities they must get by outcome and horizon, bit for bit
    baseline.json    how the learned customers were spread, for `training.drift` to compare others with
    MANIFEST.json    SHA-256 of the others

The hashes are checked before the native loader sees a byte: a truncated text model crashes the process, and a
changed digit would score wrongly without a word.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from features.digest import sha256_of
from features.errors import BadModel
from training.baseline import Baseline
from training.card import Card
from training.line import Line
from training.model import Model

__all__ = ["MANIFEST", "Loaded", "golden_rows", "read", "write"]

FILES = ("booster.txt", "card.json", "golden.json")
LINE = "line.json"
BASELINE = "baseline.json"
AT_WILL = (LINE, BASELINE)  # of trees alone there is no line; a model without a baseline cannot be watched
MANIFEST = "MANIFEST.json"
Form = TypeVar("Form")


@dataclass(frozen=True)
class Loaded:
    """A model that has passed its checks, with its card, its content hash, and the folder it was read from."""

    model: Model
    card: Card
    digest: str
    golden: np.ndarray
    expected: np.ndarray
    baseline: Baseline | None = None
    folder: Path = Path()

    def self_test(self) -> None:
        """Score the golden rows again. Raises `BadModel` when a single bit differs."""
        scored = self.model.outlook(self.golden)
        if not np.array_equal(scored, self.expected):
            raise BadModel(
                f"the {self.card.task} model does not give its golden predictions on this machine; train it again here"
            )


def golden_rows(rows: np.ndarray) -> np.ndarray:
    """Rows made of column quantiles, and one of nothing at all: realistic, and nobody's.

    A column in which nobody has a value, as where a delivery leaves it out, counts as zero.
    """
    rows = np.where(np.isnan(rows).all(axis=0), 0.0, rows)
    quantiles = [np.nanquantile(rows, q, axis=0, method="nearest") for q in (0.05, 0.25, 0.5, 0.75, 0.95)]
    return np.vstack([*quantiles, np.full(rows.shape[1], np.nan)])


def write(
    model: Model, card: Card, golden: np.ndarray, folder: Path, baseline: Baseline | None = None
) -> Path:
    """Write the files into a new folder and return it; a model without a baseline cannot be watched."""
    folder.mkdir(parents=True)
    (folder / "booster.txt").write_text(model.booster.model_to_string(num_iteration=-1))
    (folder / "card.json").write_bytes(card.to_json())
    expected = model.outlook(golden)
    cases = {
        "rows": [[None if np.isnan(v) else v for v in row] for row in golden.tolist()],
        "probabilities": expected.tolist(),
    }
    (folder / "golden.json").write_text(json.dumps(cases))
    for name, kept in ((LINE, model.line), (BASELINE, baseline)):
        if kept is not None:
            (folder / name).write_bytes(msgspec.json.encode(kept))
    written = [*FILES, *(name for name in AT_WILL if (folder / name).exists())]
    hashes = {name: sha256_of(folder / name) for name in written}
    (folder / MANIFEST).write_text(json.dumps(hashes, indent=1))
    return folder


def read(folder: Path) -> Loaded:
    """Load a model folder after checking every hash, then its golden predictions.

    Raises `BadModel`, naming the file, when something is missing, altered or of another form.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError) as error:
        raise BadModel(f"{folder} holds no readable {MANIFEST}: it is not a model of ours") from error
    for name in (*FILES, *(name for name in AT_WILL if name in manifest)):
        if not (folder / name).is_file():
            raise BadModel(f"{folder / name} is missing; fetch the model again")
        if manifest.get(name) != sha256_of(folder / name):
            raise BadModel(
                f"{folder / name} is not what was registered (SHA-256 differs); fetch the model again"
            )
    try:
        card = Card.from_json((folder / "card.json").read_bytes())
        line, baseline = _read(folder, LINE, manifest, Line), _read(folder, BASELINE, manifest, Baseline)
    except msgspec.ValidationError as error:
        raise BadModel(f"{folder} has files of another form than this version reads: {error}") from error
    import lightgbm as lgb  # noqa: PLC0415  the native loader comes after the checks

    booster = lgb.Booster(model_str=(folder / "booster.txt").read_text())
    model = Model(booster, tuple(card.features), card.answers, card.hazards, line)
    cases = json.loads((folder / "golden.json").read_text())
    golden = np.array([[np.nan if v is None else v for v in row] for row in cases["rows"]], dtype=np.float64)
    expected = np.array(cases["probabilities"])
    loaded = Loaded(model, card, sha256_of(folder / MANIFEST), golden, expected, baseline, folder)
    loaded.self_test()
    return loaded


def _read(folder: Path, name: str, manifest: dict[str, str], form: type[Form]) -> Form | None:
    return msgspec.json.decode((folder / name).read_bytes(), type=form) if name in manifest else None
