"""What a monitor reads: latency, scores by task and grade, the models' age, refusals by reason, drift of inputs.

Counted by `prometheus_client`, over all workers where BentoML has set up its folder for that. No label holds a customer or
a token; routes are those of the table.
"""

import os
from collections import Counter as Tally
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.registry import REGISTRY

__all__ = ["alarm", "count_answer", "drift", "exposition", "model_serves", "refused", "swap_refused", "took"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LATENCY = Histogram(
    "propensity_request_seconds",
    "From the end of the headers to the answer.",
    ["route", "status"],
    buckets=SECONDS,
)
_SCORES = Counter("propensity_scores", "Scores given, by grade; or why there was none.", ["task", "grade"])
_REFUSED = Counter("propensity_refused", "Requests that were refused, by reason.", ["reason"])
_ALARMS = Counter("propensity_alarms", "Tokens that gather scores or feel a model out.", ["kind"])
_TRAINED = Gauge(
    "propensity_model_trained_through_timestamp_seconds",
    "End of the last outcome window that the serving model learned from.",
    ["task", "version"],
    multiprocess_mode="mostrecent",
)
_SWAPS_REFUSED = Counter(
    "propensity_model_refused", "New champions that did not pass their checks and do not serve.", ["task"]
)
_DRIFT = Gauge(
    "propensity_input_drift_psi",
    "Population stability index of a model's heaviest columns and its scores, today's customers against those it learned from.",
    ["task", "feature"],
    multiprocess_mode="mostrecent",
)


def took(route: str, status: int, seconds: float) -> None:
    _LATENCY.labels(route, str(status)).observe(seconds)


def refused(reason: str) -> None:
    _REFUSED.labels(reason).inc()


def alarm(kind: str) -> None:
    _ALARMS.labels(kind).inc()


def count_answer(answer: Any) -> None:
    """Count the scores an answer holds, by task and grade."""
    scores = getattr(answer, "scores", None)
    for (task, grade), count in Tally((s.task, s.grade or s.status) for s in scores or ()).items():
        _SCORES.labels(task, grade).inc(count)


def model_serves(task: str, version: str, trained_through: datetime, before: str | None = None) -> None:
    """A model begins to serve; what was known of the version before is forgotten."""
    if before is not None and before != version:
        _forget(_TRAINED, task, before)
    _TRAINED.labels(task, version).set(trained_through.timestamp())


def swap_refused(task: str) -> None:
    _SWAPS_REFUSED.labels(task).inc()


def drift(task: str, by_feature: Iterable[tuple[str, float]]) -> None:
    for feature, psi in by_feature:
        _DRIFT.labels(task, feature).set(psi)


def _forget(gauge: Gauge, *labels: str) -> None:
    # With a folder shared by workers nothing can be removed; zero says "serves no more".
    gauge.labels(*labels).set(0)
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        gauge.remove(*labels)


def exposition() -> bytes:
    """All metrics of all workers, in Prometheus' text format."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return bytes(generate_latest(registry))
