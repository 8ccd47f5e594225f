"""A finished result outlives a store that does not answer: it lies in a folder until it is registered.

    python -m training.promote --task churn --kept var/kept/churn-1f0c9a2e

The folder goes once the registry has the model. One that a killed process left may have been registered already: then
registering it again makes one more version of the same content, and nothing else.
"""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from features.errors import NoRegistry
from features.home import data_folder, tracking_uri, without_secrets
from training import artefact, registry

__all__ = ["CERTIFICATE", "MODEL", "REPORT", "kept", "register_kept"]

MODEL, CERTIFICATE, REPORT = "model", "certificate.json", "report"


@contextmanager
def kept(task: str) -> Iterator[Path]:
    """A folder to write a result into before any store is asked; it goes when the block succeeds.

    Raises `NoRegistry`, naming the folder and what to do, when a store fails the block after the model was written.
    """
    place = data_folder() / "kept" / f"{task}-{uuid.uuid4().hex[:8]}"
    place.mkdir(parents=True)
    try:
        yield place
    except (MlflowException, NoRegistry, OSError) as error:
        if not (place / MODEL / artefact.MANIFEST).is_file():
            shutil.rmtree(place)
            raise
        raise NoRegistry(
            f"the store at {without_secrets(tracking_uri())} does not answer ({type(error).__name__}); the trained model is "
            f"kept: register it later with `python -m training.promote --task {task} --kept {place}`"
        ) from error
    except Exception:
        shutil.rmtree(place)
        raise
    shutil.rmtree(place)


def register_kept(task: str, place: Path) -> str:
    """Register a kept result with its card, figures, report and certificate; returns the version.

    Raises `BadModel` when it is not whole, and `NoRegistry` when the store still does not answer.
    """
    card = artefact.read(place / MODEL).card
    try:
        with registry.tracked(f"train {task}"):
            mlflow.set_tags(
                {"task": task, "code_revision": card.code_revision, "data_digest": card.data_digest}
            )
            mlflow.log_text(card.to_json().decode(), "card.json")
            mlflow.log_metrics({f"{scorer}.{name}{end}": value
                                for scorer, row in card.figures.items() for name, three in row.items()
                                for end, value in zip(("", ".low", ".high"), three, strict=True)})  # fmt: skip
            mlflow.log_artifact(str(place / CERTIFICATE))
            mlflow.log_artifacts(str(place / REPORT), REPORT)
            version = registry.register(task, place / MODEL, card)
            mlflow.set_tags({"version": version, "kept": "true"})
    except MlflowException as error:
        raise NoRegistry(
            f"the store at {without_secrets(tracking_uri())} still does not answer; {place} stays"
        ) from error
    shutil.rmtree(place)
    return version
