"""A task reads no column that its purpose does not cover: with all others changed it learns from the same rows, to the bit."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from features.consent import PURPOSES, needed_for
from features.feature_set import FEATURES
from features.lawful import columns_read
from features.rows import needs_of
from features.sources import CANONICAL
from features.warehouse import Warehouse, in_memory
from tests.features.histories import World, arrow, random_world
from training.dataset import dataset
from training.task import Task
from training.tasks import task_named

PEOPLE = 40
AT = datetime(2025, 7, 1)
FRAME = {"customer_id", "happened_at", "known_at", "superseded_at", "initiated_by"}
NAMES = ("service_return", "churn", "repurchase")


def world() -> World:
    """Everybody allows everything and has held a car; the rest is as it comes."""
    made = random_world(5, PEOPLE)
    since = datetime(2015, 1, 1)
    for n in range(PEOPLE):
        who = {"customer_id": f"c{n:05d}", "happened_at": since, "known_at": since}
        for source, more in (
            ("customers", {"profile_id": f"first {n}", "birth_year": 1980, "sex": "female"}),
            ("vehicles", {"vehicle_event_id": f"first {n}", "vehicle_id": f"car {n}", "kind": "delivery"}),
            *(
                ("consents", {"consent_id": f"first {n} {p}", "purpose": p, "state": "granted"})
                for p in PURPOSES
            ),
        ):
            made[source].append(dict.fromkeys(CANONICAL[source].column_names) | who | more)
    made["consents"] = [row for row in made["consents"] if row["happened_at"] == since]
    for row in made["customers"]:
        row["birth_year"] = 1980
    return made


def may_read(task: Task, warehouse: Warehouse) -> set[str]:
    """Columns its features, its cohort, its rules and what it asks about consent read, and all of the sources that its outcome is
    told by, but the sensitive ones."""
    features = [*task.features(warehouse), *(FEATURES[name] for rule in task.rules for name in rule.reads)]
    conditions = task.population(warehouse).conditions
    found = set(columns_read(features)) | {
        f"{need.source}.{column}"
        for condition in conditions
        for need in needs_of(condition.holds)[1]
        for column in need.columns
    }
    for source in task.outcome.sources:
        found |= {f"{source}.{column.name}" for column in CANONICAL[source].columns if not column.sensitive}
    if CANONICAL["contacts"].purpose in needed_for(task.purpose):
        found.add("contacts.kind")  # whether the company made contact, which figures are split by
    return found


def poisoned(clean: World, may: set[str]) -> tuple[World, set[str]]:
    """The same world with another value in every column that may not be read; and which these are."""
    luck, touched = random.Random(9), set[str]()
    changed: World = {}
    for name, rows in clean.items():
        source = CANONICAL[name]
        forbidden = [
            column
            for column in source.columns
            if column.name not in FRAME | {source.key} and f"{name}.{column.name}" not in may
        ]
        touched |= {f"{name}.{column.name}" for column in forbidden}
        changed[name] = [row | {c.name: _other(luck, row[c.name], c.type) for c in forbidden} for row in rows]
    return changed, touched


def _other(luck: random.Random, value: Any, kind: str) -> Any:
    match kind:
        case "timestamp":
            return AT + timedelta(days=luck.randint(-900, 900))
        case "string":
            return f"poison {luck.random()}"
        case _:
            return (value or 0) + luck.randint(1, 40)


def held(rows: World) -> Warehouse:
    tables = {name: arrow(name, some) for name, some in rows.items()}
    return in_memory(tables, dict.fromkeys(CANONICAL, datetime(2030, 1, 1)), without_consents="")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_training_rows_are_the_same_whatever_stands_in_columns_that_may_not_be_read(name: str) -> None:
    clean = world()
    warehouse = held(clean)
    task = task_named(name, warehouse)
    changed, touched = poisoned(clean, may_read(task, warehouse))
    assert {"customers.sex"} <= touched
    assert ("contacts.campaign" in touched) or task.purpose == "marketing"
    assert not [one for one in columns_read(task.features(warehouse)) if one in touched]
    (mine, theirs) = (dataset(task, one, [AT, AT - timedelta(days=90)]) for one in (warehouse, held(changed)))
    assert len(mine.frame) > 0
    assert mine.digest == theirs.digest
    assert mine.frame.equals(theirs.frame)
    assert mine.excluded.equals(theirs.excluded)


@pytest.mark.slow
def test_the_same_world_with_a_column_that_is_read_changed_gives_other_rows() -> None:
    """The test above can fail: what is read is seen."""
    clean = world()
    warehouse = held(clean)
    task = task_named("service_return", warehouse)
    read = sorted(columns_read(task.features(warehouse)))
    may = {f"{name}.{c.name}" for name, source in CANONICAL.items() for c in source.columns} - {
        "visits.amount_cents"
    }
    assert "visits.amount_cents" in read
    changed, touched = poisoned(clean, may)
    assert touched == {"visits.amount_cents"}
    assert dataset(task, warehouse, [AT]).digest != dataset(task, held(changed), [AT]).digest
