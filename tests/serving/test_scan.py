"""Service and batch read of a night's rows what the models declare and what answers are told by: nothing else changes an answer."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from features.nightly import NightlyRows, latest
from serving.desk import Desk
from serving.desk.now import ALSO
from serving.desk.segments import SEGMENTS
from serving.partition import believed, score_part
from tests.shop import END

WHO = [f"C{n:05d}" for n in range(0, 600, 3)]
SAID = {name for segment in SEGMENTS for name in segment.reads} | set(ALSO)


def poisoned(night: NightlyRows, may: set[str]) -> tuple[pa.Table, list[str]]:
    """Its rows with nonsense in every feature that is not among those that may be read; and which these are."""
    table, touched = night.table(), [name for name in night.fingerprints if name not in may]
    luck = np.random.default_rng(3)
    for name in touched:
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        nonsense = luck.integers(-9999, 9999, len(table))
        column = (
            pa.array([f"poison {n}" for n in nonsense]) if field.type == pa.string() else pa.array(nonsense)
        )
        table = table.set_column(place, field, column.cast(field.type))
    return table.cast(night.schema), touched


def quickened(desk: Desk) -> Desk:
    """What a desk does beside its first answers, done: sums of contributions differ by their last bit before and after."""
    for scorer in desk.scorers.values():
        scorer.quicken(latest().table().slice(0, 200))
    return desk


def declared(desk: Desk) -> set[str]:
    return {name for scorer in desk.scorers.values() for name in scorer.card.features}


def answers(desk: Desk) -> list[Any]:
    return [msgspec.structs.replace(one, score_id=None) for one in desk.scores(WHO).scores]


def test_the_service_answers_the_same_whatever_stands_in_other_columns(own_desk: Desk) -> None:
    before = answers(quickened(own_desk))
    night = latest()
    table, touched = poisoned(night, declared(own_desk) | SAID)
    assert touched
    with pa.OSFile("written", "wb") as sink, pa.ipc.new_file(sink, night.schema) as writer:
        writer.write_table(table)
    Path("written").rename(night.file)
    again = Desk(own_desk.scorers, own_desk.folder, own_desk.log, own_desk.clock)
    assert answers(again) == before
    assert any(one.probability is not None for one in before)


def test_so_does_the_batch(own_desk: Desk) -> None:
    night, scorers = latest(), list(quickened(own_desk).scorers.values())
    names = sorted(declared(own_desk))
    made = []
    for table in (night.table(), poisoned(night, declared(own_desk) | SAID)[0]):
        good, bad = believed(table.combine_chunks(), names, 0, None)
        made.append(score_part(scorers, good, bad, END, END + timedelta(days=7)))
    for name in ("long", "concepts", "segments", "forecast", "rejected"):
        mine, theirs = (
            repr(getattr(part, name).to_pylist()) for part in made
        )  # a value that is not there is NaN
        assert mine == theirs, name
    assert (made[0].counts, made[0].unseen) == (made[1].counts, made[1].unseen)
    assert made[0].long.num_rows > 0
