"""The one place that knows MLflow's model registry, and the door between training and serving.

A registered version is a folder of data files (see `training.artefact`). Serving reads a verified local copy
under `var/models`; when the registry is out of reach, the copies on disk are enough to start.
"""

import logging
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A dead registry must cost less than ten seconds: MLflow's defaults wait more than four minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from features.errors import BadModel, NoChampion, NoRegistry
from features.home import data_folder, tracking_uri, without_secrets
from training.artefact import Loaded, read
from training.card import Card
from training.copies import CHAMPION, Champion, copies, copy_of, models_folder, remember

__all__ = [
    "CHAMPION",
    "Champion",
    "aliased",
    "answering",
    "champion",
    "champion_tasks",
    "champion_version",
    "champions",
    "experiment",
    "fetched",
    "of_project",
    "register",
    "set_champion",
    "tracked",
    "version_of",
]

EXPERIMENT = "car-propensity"
OURS = "propensity-task"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
MODEL_CODE = Path(__file__).with_name("pyfunc.py")

for chatty in ("alembic", "mlflow.store.db.utils"):
    logging.getLogger(chatty).setLevel(logging.WARNING)
# It complains about an unpinned pip in a conda file that we have no use for.
logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)


@contextmanager
def of_project() -> Iterator[None]:
    """Of a process that trains several tasks: its runs become children of the one that `mlflow run` opened for it."""
    if not os.environ.get("MLFLOW_RUN_ID"):
        yield
        return
    _use_tracking_uri()
    with mlflow.start_run():
        yield


@contextmanager
def tracked(run_name: str, study: str = "") -> Iterator[mlflow.ActiveRun]:
    """An MLflow run: a child of the one that is open, the one that `mlflow run` opened for this process, that of a study,
    or a new one in our experiment."""
    _use_tracking_uri()
    if open_ := mlflow.active_run():
        with mlflow.start_run(experiment_id=open_.info.experiment_id, run_name=run_name, nested=True) as run:
            yield run
        return
    if os.environ.get("MLFLOW_RUN_ID"):
        with mlflow.start_run() as run:
            yield run
        return
    mlflow.set_experiment(experiment_id=experiment())
    named = f"tags.study = '{study}'"
    earlier = mlflow.search_runs(filter_string=named, max_results=1, output_format="list") if study else []
    # A run that goes on keeps its name, by which MLflow's Spark study finds it again.
    known = {"run_id": earlier[0].info.run_id} if earlier else {"run_name": run_name}
    with mlflow.start_run(**known) as run:
        yield run


def experiment() -> str:
    """The id of our experiment, which is made if it is not there."""
    _use_tracking_uri()
    if found := mlflow.get_experiment_by_name(EXPERIMENT):
        return str(found.experiment_id)
    embedded = tracking_uri().startswith("sqlite:")
    place = (data_folder() / "mlartifacts").absolute().as_uri() if embedded else None
    return str(mlflow.create_experiment(EXPERIMENT, artifact_location=place))


def register(task: str, folder: Path, card: Card) -> str:
    """Log a model folder to the active run and register it as a new version of the task; returns the version."""
    requirements = [f"{name}=={version}" for name, version in card.packages.items()]
    inputs = Schema([ColSpec("string" if name in card.levels else "double", name) for name in card.features])
    outlook = [f"{kind} {days} d" for kind in card.kinds for days in card.horizons_days]
    outputs = Schema([ColSpec("double", name) for name in ("probability", *outlook)])
    with warnings.catch_warnings():
        # It asks for an example row and for type hints on rows; the signature says all there is to say.
        warnings.simplefilter("ignore", UserWarning)
        logged = mlflow.pyfunc.log_model(
            name=task,
            python_model=str(MODEL_CODE),
            artifacts={"model": str(folder)},
            pip_requirements=requirements,
            signature=ModelSignature(inputs, outputs),
        )
    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(task, tags={OURS: task})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    run = mlflow.active_run()
    version = client.create_model_version(
        task, logged.model_uri, run.info.run_id if run else None, model_id=logged.model_id
    )
    return str(version.version)


def set_champion(task: str, version: str, words: str) -> None:
    """Make a version the champion: the next start of the service and the next batch use it. `words` say on the version
    how it came to be. `training.promote` decides; nobody else calls this."""
    with answering():
        _client().set_model_version_tag(task, version, "promotion", words)
        _client().set_registered_model_alias(task, CHAMPION, version)


def champion_version(task: str) -> str | None:
    """The version that serves; None where nothing was promoted."""
    return _version_at(task, CHAMPION)


def aliased(task: str, alias: str) -> str:
    """The version an alias names. Raises `NoChampion` when it names none."""
    found = _version_at(task, alias)
    if found is None:
        raise NoChampion(f"no version of {task!r} is called {alias!r}; name one with --version")
    return found


def _version_at(task: str, alias: str) -> str | None:
    with answering():
        try:
            return str(_client().get_model_version_by_alias(task, alias).version)
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise


def version_of(task: str, run_id: str = "") -> str:
    """The latest version of a task, or the one that a run made. Raises `BadModel` when there is none."""
    with answering():
        found = [
            int(version.version)
            for version in _client().search_model_versions(f"name = '{task}'")
            if run_id in ("", version.run_id)
        ]
    if not found:
        of_run = f" of run {run_id}" if run_id else ""
        raise BadModel(f"no version of {task!r}{of_run} is registered at {without_secrets(tracking_uri())}")
    return str(max(found))


def fetched(task: str, version: str) -> Loaded:
    """A version's verified local copy. Raises `BadModel` when it does not exist or is not as registered."""
    with answering():
        try:
            return _fetch(task, _client().get_model_version(task, version).source)
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            raise BadModel(
                f"{task} has no version {version!r}; `--history` lists those that served"
            ) from error


def champion(task: str) -> Champion:
    """The champion of a task, fetched and verified. Raises `NoChampion` when none was promoted.

    With the registry out of reach, the copy that served last is taken.
    """
    try:
        found = _client().get_model_version_by_alias(task, CHAMPION)
    except MlflowException as error:
        if error.error_code in ABSENT:
            raise NoChampion(
                f"no model has been promoted for {task!r}: train one with `python -m training.train --task {task}`"
            ) from error
        return _last_served(task)
    chosen = Champion(task, str(found.version), _fetch(task, found.source))
    remember(chosen.version, _place(task, found.source))
    return chosen


def champion_tasks() -> list[str]:
    """The tasks for which one was promoted. Raises `NoRegistry` when it does not answer."""
    with answering():
        models = _client().search_registered_models(max_results=1000)
    return sorted(
        model.name for model in models if model.tags.get(OURS) == model.name and CHAMPION in model.aliases
    )


def champions() -> list[Champion]:
    """Every task's champion."""
    try:
        tasks = champion_tasks()
    except NoRegistry:
        tasks = [copy.task for copy in copies()]
    return [champion(task) for task in tasks]


def _fetch(task: str, source: str) -> Loaded:
    """The verified local copy of a logged model, downloaded if it is not there or no longer sound."""
    place = _place(task, source)
    if place.is_dir():
        try:
            return read(place)
        except BadModel:
            shutil.rmtree(place)
    beside = place.with_name(f".{place.name}-{uuid.uuid4().hex[:8]}")
    beside.mkdir(parents=True)
    try:
        got = Path(mlflow.artifacts.download_artifacts(source, dst_path=str(beside)))
        manifests = list(got.rglob("MANIFEST.json"))
        if len(manifests) != 1:
            raise BadModel(
                f"the registered {task} model at {source} is not one of ours; promote another version"
            )
        read(manifests[0].parent)
        manifests[0].parent.rename(place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return read(place)


def _place(task: str, source: str) -> Path:
    """Where a copy lies: under the logged model's own id, since version numbers start anew in each registry."""
    return models_folder() / task / source.rstrip("/").rsplit("/", 1)[-1]


def _last_served(task: str) -> Champion:
    try:
        return copy_of(task).read()
    except NoChampion as error:
        raise NoChampion(f"the registry at {tracking_uri()} cannot be reached and {error}") from error


BEGUN = "nothing was changed that is not in the history, and what was begun there is completed by the next promotion"


@contextmanager
def answering(what_now: str = BEGUN) -> Iterator[None]:
    """Turn whatever a dead store says into `NoRegistry`, with what has become of the work."""
    try:
        yield
    except MlflowException as error:
        address = without_secrets(tracking_uri())
        raise NoRegistry(
            f"the registry at {address} does not answer ({error.error_code}); {what_now}"
        ) from error


def _client() -> mlflow.MlflowClient:
    _use_tracking_uri()
    return mlflow.MlflowClient()


def _use_tracking_uri() -> None:
    """Point MLflow at our store. It would also write the address into the environment, where the next world's
    run, and every child process, would take it for the user's wish."""
    wished = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri())
    if wished is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
