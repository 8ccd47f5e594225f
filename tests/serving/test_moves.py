"""Why scores moved since the run before: exactly the difference of contributions, by one model, with the values behind it."""

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features import nightly
from features.matrix import matrix
from features.nightly import NightlyRows
from features.reasons import FEW, Explainer, Strongest, Words
from features.warehouse import connect
from serving import batch as command
from serving.batch import batch
from serving.feed import changes
from serving.moves import LEAST_MOVED, LEAST_PART, MOST_MOVED
from serving.runs import Run
from serving.scorer import Scorer
from tests.shop import END
from training import registry

BEFORE = END - timedelta(days=14)


@pytest.fixture(scope="module")
def nights(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run, NightlyRows, NightlyRows]:
    """Two runs of the shop, a fortnight apart, and the rows they were made from."""
    place = tmp_path_factory.mktemp("moves")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shop)
        patch.setattr(nightly, "materialise", partial(nightly.materialise, folder=place / "rows"))
        patch.setattr(command, "rows_folder", lambda: place / "rows")
        warehouse = connect()
        first, second = (batch(warehouse, as_of, scores=place / "scores") for as_of in (BEFORE, END))
        then, now = (NightlyRows.open(place / "rows" / run.manifest.rows) for run in (first, second))
        return first, second, then, now


def long(run: Run) -> pa.Table:
    return pa.concat_tables(run.rows())


def contributions(scorer: Scorer, rows: NightlyRows) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
    """Of everybody in the task's cohort: the probability, each feature's part, and the values."""
    table = rows.table()
    table = table.filter(scorer.refusals(table).is_null())
    values = matrix(table, list(scorer.card.features), scorer.card.levels)
    told = zip(scorer.model.probabilities(values), scorer.parts(values), values, strict=True)
    return dict(zip(table["customer_id"].to_pylist(), told, strict=True))


def test_every_move_is_the_difference_of_contributions(
    nights: tuple[Run, Run, NightlyRows, NightlyRows], in_shop: Path
) -> None:
    first, second, then, now = nights
    assert second.manifest.since == first.name
    told = 0
    for scorer in (Scorer(champion) for champion in registry.champions()):
        was, is_ = contributions(scorer, then), contributions(scorer, now)
        explainer, names = scorer.explainer, list(scorer.card.features)
        for row in long(second).to_pylist():
            if row["task"] != scorer.task:
                continue
            if row["customer_id"] not in was:
                assert (row["since"], row["previous_probability"], row["previous_grade"], row["moved"]) == (
                    None,
                ) * 4
                continue
            p, parts, values = was[row["customer_id"]]
            new, new_parts, new_values = is_[row["customer_id"]]
            assert row["since"] == BEFORE
            assert row["previous_probability"] == p
            assert row["previous_grade"] == scorer.card.grades.grade(p)
            apart = abs(np.log(new / (1 - new)) - np.log(p / (1 - p)))
            if apart < LEAST_MOVED and row["grade"] == row["previous_grade"]:
                assert row["moved"] == []
                continue
            sums = explainer.by_concept((new_parts - parts)[None])[0]
            most = [
                n for n in np.argsort(-np.abs(sums), kind="stable")[:MOST_MOVED] if abs(sums[n]) >= LEAST_PART
            ]
            assert [moved["change"] for moved in row["moved"]] == pytest.approx(sums[most], abs=1e-5)
            for moved in row["moved"]:
                place = names.index(moved["feature"])
                for value, held in (
                    (moved["previous_value"], values[place]),
                    (moved["value"], new_values[place]),
                ):
                    assert (
                        value is None
                        if np.isnan(held) or moved["feature"] in scorer.card.levels
                        else value == held
                    )
                told += 1
    assert told > 100


def test_the_feed_says_it_too(nights: tuple[Run, Run, NightlyRows, NightlyRows]) -> None:
    first, second, _, _ = nights
    rows = {(row["customer_id"], row["task"]): row for row in long(second).to_pylist()}
    found = [change for change in changes(second, first) if change.kind == "changed"]
    assert len(found) > 50
    for change in found:
        row = rows[change.customer_id, change.task]
        assert [(m.concept, m.value, m.previous_value, m.en, m.zh) for m in change.moved] == [
            (m["concept"], m["value"], m["previous_value"], m["en"], m["zh"]) for m in row["moved"]
        ]


def test_a_first_run_and_one_whose_rows_before_are_gone_say_nothing(
    nights: tuple[Run, Run, NightlyRows, NightlyRows], own_shop: Path, tmp_path: Path
) -> None:
    first, *_ = nights
    assert first.manifest.since == ""
    assert set(long(first)["moved"].to_pylist()) == {None}
    batch(connect(), datetime(2024, 1, 1), scores=tmp_path)
    nightly.materialise(connect(), END - timedelta(days=1))
    nightly.materialise(connect(), END)  # two nights are kept
    assert set(long(batch(connect(), END, scores=tmp_path))["moved"].to_pylist()) == {None}


def test_words_of_a_move(in_shop: Path) -> None:
    scorer = Scorer(registry.champion("churn"))
    explainer: Explainer = scorer.explainer
    place = [feature.name for feature in explainer.features].index("days_since_order")
    now, before, total = [9.0, 1.0, 3.0, 9.0], [2.0, 30.0, 3.0, 2.0], [0.5, -0.5, 0.2, 0.5]

    def told(times: int) -> Words:
        at = np.zeros(4 * times, dtype=np.int64)
        found = Strongest(np.arange(4 * times), at, at + place, np.tile(total, times), np.tile(now, times))
        return explainer.moves(found, np.tile(before, times))

    said = told(1)
    en, zh = explainer.features[place].en, explainer.features[place].zh
    assert [said.en[n] for n in said.place] == [
        f"{en}: 2 days, now 9 days, which makes it more likely",
        f"{en}: 30 days, now 1 day, which makes it less likely",
        f"{en}: still 3 days, which makes it more likely",
        f"{en}: 2 days, now 9 days, which makes it more likely",
    ]
    assert said.zh[said.place[0]] == f"{zh}：由2天变为9天，提高可能性"
    assert said.zh[said.place[2]] == f"{zh}：仍为3天，提高可能性"
    many = told(FEW)
    assert [many.en[n] for n in many.place[:4]] == [said.en[n] for n in said.place]
    assert len(many.en) == 3, "equal ones are worded once"
