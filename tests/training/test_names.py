"""Tasks and outcomes have names that people read, in both languages."""

from features.words import OUTCOMES, TASKS, called
from training import tasks


def test_every_task_and_outcome_has_a_name_that_people_read() -> None:
    for task in tasks.TASKS:
        kinds = (task.silence,) if task.silence else task.outcome.kinds
        for name, words in ((task.name, TASKS), *((kind, OUTCOMES) for kind in kinds)):
            assert name in words, f"features.words says no Chinese for {name!r}"


def test_what_a_deployment_declared_itself_keeps_its_own_name() -> None:
    assert called("home_delivery", TASKS) == ("home delivery", "home_delivery")
