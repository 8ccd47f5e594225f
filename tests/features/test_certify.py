"""The certificate: nothing clean is accused, whatever sees the future is named, and the page cannot be altered."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import features
from features import certify as command
from features import timeline
from features.certificate import Accusation, Certificate, Hunt
from features.certify import certify, default_moments
from features.cohorts import has_ordered
from features.errors import BadData, LeakFound, UnknownMoment
from features.feature import Feature
from features.feature_set import FEATURES, named
from features.warehouse import Warehouse
from tests.features.compiled import EVERY
from tests.features.histories import DATES, World, random_world, warehouse
from tests.shop import END

PEOPLE = 40
WORLD = random_world(seed=11, customers=PEOPLE)
FEW = named(
    [
        "orders_365d",
        "days_since_order",
        "visits_365d",
        "days_since_visit",
        "month",
        "registrations_by_invitation_ever",
    ]
)
MOMENTS = [DATES[1], DATES[4]]
# What one can write against the declarations: a column that is filled in with hindsight.
HINDSIGHT = Feature(
    "corrected_later", lambda past: past.touchpoints.telling("superseded_at").count(),
    unit="touchpoints", nothing=0, concept="activity", en="Touchpoints that will be corrected", zh="将被更正的互动",
)  # fmt: skip


def certified(
    held: Warehouse | None = None,
    chosen: Sequence[Feature] = FEW,
    dates: Sequence[datetime] = MOMENTS,
    **how: Any,
) -> Certificate:
    return certify(held or warehouse(WORLD), dates, features=chosen, cohorts=[has_ordered], **how)


@pytest.mark.slow
def test_no_feature_of_the_catalogue_is_accused() -> None:
    """All of them, categories and sensitive ones too, and every cohort."""
    certificate = certify(warehouse(WORLD), MOMENTS[:1])
    assert (certificate.clean, certificate.mismatches) == (True, [])
    assert set(certificate.features) == set(FEATURES)
    assert certificate.cohorts == [cohort.name for cohort in EVERY]
    (cut,) = certificate.cuts
    assert 20 < cut.customers <= PEOPLE
    assert min(cut.removed.values()) > 0
    assert sum(cut.kept.values()) + sum(cut.removed.values()) == sum(len(rows) for rows in WORLD.values())


def careless(*ignored: str) -> Callable[[Any, Any], Any]:
    """A line in time drawn by somebody who forgot one of the clocks."""

    def past(moments: Any, events: Any) -> Any:
        rows = moments.inner_join(events, "customer_id")
        tests = {
            "happened": rows.happened_at < rows.as_of,
            "known": rows.known_at < rows.as_of,
            "corrected": rows.superseded_at.isnull() | (rows.superseded_at >= rows.as_of),
        }
        rows = rows.filter(*(test for name, test in tests.items() if name not in ignored))
        seconds = rows.as_of.epoch_seconds().cast("int64"), rows.happened_at.epoch_seconds().cast("int64")
        return rows.mutate(age_s=seconds[0] - seconds[1], day=seconds[1] // timeline.DAY_S)

    return past


@pytest.mark.parametrize("forgotten", [("known",), ("known", "happened")])
def test_a_forgotten_clock_is_caught(forgotten: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "past", careless(*forgotten))
    certificate = certified()
    assert not certificate.clean
    assert {"orders_365d", "days_since_order", "visits_365d"} & set(certificate.leaks)
    assert "month" not in certificate.leaks, "it reads no rows"


def test_the_same_sight_with_all_clocks_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "past", careless())
    assert certified().clean


def test_one_feature_that_sees_late_rows_is_named_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The view of one source reads by the day it happened only."""
    honest, blind = timeline.past, careless("known")
    monkeypatch.setattr(
        timeline,
        "past",
        lambda moments, events: (blind if "visit_id" in events.columns else honest)(moments, events),
    )
    leaks = certified().leaks
    assert leaks
    assert set(leaks) <= {"visits_365d", "days_since_visit"}


def test_a_feature_that_reads_what_is_filled_in_later_is_named() -> None:
    certificate = certified(chosen=[*FEW, HINDSIGHT])
    assert certificate.leaks == ["corrected_later"]
    assert "LEAK: corrected_later" in str(certificate)
    assert {m.as_of for m in certificate.mismatches} <= set(MOMENTS)


def test_the_same_inputs_give_the_same_digest_and_other_ones_another() -> None:
    digest = certified().digest
    shuffled: World = {name: rows[::-1] for name, rows in WORLD.items()}
    assert certified(warehouse(shuffled), dates=MOMENTS[::-1]).digest == digest
    fewer: World = WORLD | {"visits": WORLD["visits"][:-1]}
    assert certified(warehouse(fewer)).digest != digest
    assert certified(chosen=FEW[1:]).digest != digest


def test_a_draw_compares_those_customers_alone_with_all_that_is_theirs() -> None:
    """An invitation lies with the one who invited; it is the invited one's row too."""
    drawn = certified(customers=12, seed=3)
    assert (drawn.clean, drawn.customers) == (True, 12)
    assert drawn.digest == certified(customers=12, seed=3).digest != certified(customers=12, seed=4).digest
    assert drawn.of_customers == certified().of_customers > 12
    assert "12 of" in str(drawn)


def computed(held: Warehouse, dates: Sequence[datetime]) -> pa.Table:
    return held.engine.to_pyarrow(features.at(has_ordered.moments(held, dates), held, FEW))


def test_answers_that_exist_already_are_compared_as_they_are() -> None:
    held = warehouse(WORLD)
    answers = pa.Table.from_pandas(computed(held, MOMENTS).to_pandas(), preserve_index=False)
    assert certified(held, computed=answers).clean
    frame = answers.to_pandas()
    frame.loc[0, "orders_365d"] += 1
    (mismatch,) = certified(held, computed=pa.Table.from_pandas(frame)).mismatches
    assert (mismatch.answer, mismatch.customers) == ("orders_365d", 1)
    (missing,) = certified(held, computed=answers.slice(1)).mismatches
    assert (missing.answer, missing.customers) == ("who is asked about", 1)


def test_a_date_that_proves_nothing_is_refused() -> None:
    with pytest.raises(UnknownMoment, match="certify an earlier date"):
        certified(dates=[datetime(2040, 1, 1)])


def test_dates_are_spread_over_the_data() -> None:
    dates = default_moments(warehouse(WORLD))
    known = [row["known_at"] for rows in WORLD.values() for row in rows]
    assert len(dates) == 4
    assert min(known) < dates[0] < dates[-1] < max(known)
    with pytest.raises(UnknownMoment, match="no rows"):
        default_moments(warehouse({"customers": []}))


def test_it_is_read_back_and_an_altered_one_is_refused() -> None:
    certificate = certified(hunts=[Hunt("a hunt", 3, [Accusation("notes", "rating", "why")])])
    text = certificate.to_json()
    assert Certificate.from_json(text) == certificate
    assert not certificate.clean
    assert certificate.leaks == ["notes.rating"]
    with pytest.raises(BadData, match="SHA-256"):
        Certificate.from_json(text.replace(b'"customers": ', b'"customers": 1', 1))
    with pytest.raises(BadData, match="no leak certificate"):
        Certificate.from_json(b"{}")


def test_it_holds_nobodys_values() -> None:
    text = certified(chosen=[*FEW, HINDSIGHT]).to_json().decode()
    assert not [row["customer_id"] for row in WORLD["customers"] if row["customer_id"] in text]


def test_the_command_prints_the_page_and_writes_it(
    in_shop: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command.main(customers=300, to=tmp_path / "certificate.json")
    printed = capsys.readouterr().out
    kept = Certificate.from_json((tmp_path / "certificate.json").read_bytes())
    assert kept.digest in printed
    assert "no leak" in printed
    assert "drawn with seed 7" in printed
    assert all(cut.as_of < END for cut in kept.cuts)


def test_the_command_fails_on_attributes_as_of_today(
    in_shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "today.csv").write_text("customer_id,lifetime_orders\nC00001,3\n")
    with pytest.raises(LeakFound, match=r"today\.lifetime_orders"):
        command.main(as_of=["2023-06-01"], attributes=[tmp_path / "today.csv"], customers=100)
    assert "no known_at" in capsys.readouterr().out
