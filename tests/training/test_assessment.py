"""What a score may be used for, on what it rests and which columns it reads: declared, and judged at the gate."""

from dataclasses import replace

import msgspec
import pytest

from features.consent import needed_for
from features.feature_set import FEATURES
from features.lawful import columns_read, undeclared
from features.sources import CANONICAL
from features.warehouse import Warehouse, in_memory
from training.card import Card
from training.gates import lawful
from training.task import Task
from training.tasks import TASKS

EMPTY = {name: source.empty() for name, source in CANONICAL.items()}
ALWAYS = {"customer_id", "happened_at", "known_at", "superseded_at"}


@pytest.fixture(scope="module")
def everything() -> Warehouse:
    return in_memory(EMPTY)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name} of {task.cohort.name}")
def test_a_task_reads_what_its_purpose_covers_and_nothing_sensitive(
    task: Task, everything: Warehouse
) -> None:
    read = task.features(everything)
    assert read
    assert not undeclared(read, task.purpose, {})
    assert {purpose for feature in read for purpose in feature.purposes} <= set(needed_for(task.purpose))
    assert task.assessment is not None
    assert task.assessment.retention_days > 0


def test_a_task_for_service_does_not_read_what_was_collected_for_marketing(everything: Warehouse) -> None:
    (service,) = [task for task in TASKS if task.purpose == "service"]
    assert not any("contacts" in feature.sources for feature in service.features(everything))
    other = next(task for task in TASKS if task.purpose == "marketing")
    assert any("contacts" in feature.sources for feature in other.features(everything))


def test_a_sensitive_column_is_read_by_a_task_that_says_why_and_by_no_other(everything: Warehouse) -> None:
    task = TASKS[2]
    assert not any(feature.sensitive for feature in task.features(everything))
    saying = replace(task, sensitive={"customers.sex": "to see whether the list is fair"})
    assert [f.name for f in saying.features(everything) if f.sensitive] == ["sex"]


def verdict(card: Card) -> str:
    evidence = msgspec.defstruct("E", [("card", Card)])(card)
    (finding,) = lawful(evidence)  # type: ignore[arg-type]
    return f"{finding.verdict}: {finding.words}"


def test_no_model_is_promoted_that_does_not_say_why_it_may() -> None:
    read = ["days_since_touchpoint", "visits_365d"]
    features = {name: FEATURES[name].fingerprint for name in read if name in FEATURES}
    assert features
    columns = columns_read(FEATURES[name] for name in features)
    whole = _card(
        features=features, columns=columns, legal_basis="consent", retention_days=365, risk="a call in vain"
    )
    assert verdict(whole).startswith("passed")
    for name, nothing in (("legal_basis", ""), ("retention_days", 0), ("risk", ""), ("columns", [])):
        assert verdict(msgspec.structs.replace(whole, **{name: nothing})).startswith(
            f"refused: the card does not say: {name}"
        )
    with_sex = {**features, "sex": FEATURES["sex"].fingerprint}
    silent = msgspec.structs.replace(
        whole, features=with_sex, columns=[*columns, *columns_read([FEATURES["sex"]])]
    )
    assert "customers.sex" in verdict(silent)
    assert verdict(silent).startswith("refused")
    assert verdict(msgspec.structs.replace(silent, sensitive={"customers.sex": "why"})).startswith("passed")
    contacts = next(f for f in FEATURES.values() if f.sources == {"contacts"})
    foreign = msgspec.structs.replace(
        whole,
        purpose="service",
        features={contacts.name: contacts.fingerprint},
        columns=columns_read([contacts]),
    )
    assert verdict(foreign).startswith("refused: it reads what its purpose does not cover: contacts.")


def _card(**given: object) -> Card:
    empty = dict.fromkeys(Card.__struct_fields__)
    return Card(**{**empty, "purpose": "marketing", "sensitive": {}, **given})  # type: ignore[arg-type]
