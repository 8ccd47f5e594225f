"""Where things lie: addresses read from the environment, each with a default under one data folder.

    WAREHOUSE_URL         the event tables             var/warehouse
    MLFLOW_TRACKING_URI   runs and registered models   sqlite:///var/mlflow.db
    SCORES_URL            published scores             var/scores
    AUDIT_URL             who asked for what           var/audit
    AUDIT_ANCHORS_URL     how far that had come        var/anchors
    LEDGERS_URL           what customers told since    var/ledgers

`var` is the folder in which a command runs, or `PROPENSITY_VAR`. Trying a world puts them all under `var/<world>` and points the link `var/current` there; the defaults
then follow the link, so that what was tried last is what the commands speak about.
"""

import os
import re
from pathlib import Path

__all__ = [
    "anchors_folder",
    "audit_folder",
    "data_folder",
    "ledgers_folder",
    "scores_folder",
    "tracking_uri",
    "var",
    "warehouse_address",
    "without_secrets",
]

SECRETS = re.compile(
    r"(?<=://)([^:/@?]*):[^@?]+@|([\w.]*(?:password|passwd|token|secret)[\w.]*)=[^&;?]*", re.IGNORECASE
)


def var() -> Path:
    """The folder of everything that the product writes."""
    return Path(os.environ.get("PROPENSITY_VAR") or "var")


def data_folder() -> Path:
    """`var/<world>` where a world has been tried, `var` otherwise. It need not exist yet."""
    current = var() / "current"
    return var() / current.readlink() if current.is_symlink() else var()


def warehouse_address() -> str:
    return os.environ.get("WAREHOUSE_URL") or str(data_folder() / "warehouse")


def without_secrets(address: str) -> str:
    """An address as errors and records may show it: passwords and tokens replaced by `***`."""
    return SECRETS.sub(lambda found: f"{found[2]}=***" if found[2] else f"{found[1]}:***@", address)


def tracking_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(data_folder() / 'mlflow.db').absolute()}"


def scores_folder() -> Path:
    return Path(os.environ.get("SCORES_URL") or data_folder() / "scores")


def audit_folder() -> Path:
    return Path(os.environ.get("AUDIT_URL") or data_folder() / "audit")


def anchors_folder() -> Path:
    """Best on a store where whoever may write the audit trail cannot change what is written."""
    return Path(os.environ.get("AUDIT_ANCHORS_URL") or data_folder() / "anchors")


def ledgers_folder() -> Path:
    """Shared by every replica of the service and by the batch: what one is told, all mind."""
    return Path(os.environ.get("LEDGERS_URL") or data_folder() / "ledgers")
