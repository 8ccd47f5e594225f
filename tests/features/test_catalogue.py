"""The catalogue: complete in words, honest about windows, purposes and what is sensitive."""

import re
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.__main__ import app
from features.cohorts import COHORTS, in_chinese
from features.feature import Feature
from features.feature_set import FEATURES, VIEWS, available, named
from features.page import page
from features.sources import CANONICAL
from features.warehouse import in_memory
from features.words import CONCEPTS, UNITS, UNSAID

ALL = list(FEATURES.values())
EVERYTHING = in_memory({name: source.empty() for name, source in CANONICAL.items()})


def test_every_reason_for_no_is_told_in_both_languages() -> None:
    conditions = [condition for cohort in COHORTS.values() for condition in cohort.conditions]
    for condition in conditions:
        assert in_chinese(condition.otherwise) == condition.otherwise_zh
        assert re.search(r"[\u4e00-\u9fff]", condition.otherwise_zh)
        assert condition.otherwise.isascii()
    assert in_chinese("a reason of former rows") == "a reason of former rows"


def test_there_are_many() -> None:
    assert len(ALL) >= 150


def test_names_are_unique_and_speak() -> None:
    names = Counter(feature.name for feature in chain.from_iterable(view.FEATURES for view in VIEWS))
    assert [name for name, times in names.items() if times > 1] == []
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []


@pytest.mark.parametrize("feature", ALL, ids=lambda feature: feature.name)
def test_the_window_in_the_name_is_the_window(feature: Feature) -> None:
    """`next_90d` looks ahead; a change over 30 days reads 60."""
    found = re.search(r"(?<!next)_(\d+)d(_|$)", feature.name)
    twice = 2 if feature.name.startswith(feature.name.split("_change_")[0] + "_change_") else 1
    if feature.name.startswith("km_per_year_change"):
        twice = 1  # compared with the usual, not with the days before
    assert feature.window_days == (twice * int(found[1]) if found else None)
    if found:
        assert f"{found[1]} days" in feature.en
        assert f"{found[1]}天" in feature.zh


@pytest.mark.parametrize("feature", ALL, ids=lambda feature: feature.name)
def test_it_is_said_in_both_languages(feature: Feature) -> None:
    assert re.fullmatch(r"[A-Z][^{}]+[^.{}]", feature.en)
    assert re.search(r"[\u4e00-\u9fff]", feature.zh)
    assert "{" not in feature.zh
    assert feature.concept in CONCEPTS
    assert feature.unit in UNITS


def test_sentences_tell_features_apart() -> None:
    for sentences in (Counter(f.en for f in ALL), Counter(f.zh for f in ALL)):
        assert [sentence for sentence, times in sentences.items() if times > 1] == []


def test_no_two_features_compute_the_same() -> None:
    alike: dict[str, list[str]] = {}
    for feature in ALL:
        alike.setdefault(feature.fingerprint, []).append(feature.name)
    assert [names for names in alike.values() if len(names) > 1] == []


def test_every_word_is_used() -> None:
    assert {feature.concept for feature in ALL} == set(CONCEPTS)
    assert {feature.unit for feature in ALL} == set(UNITS)
    assert set(UNITS) > UNSAID


def test_money_and_time_carry_their_unit() -> None:
    assert [
        f.name for f in ALL if (f.unit == "cents") != f.name.endswith("_cents") and "cents_ever" not in f.name
    ] == []
    assert [f.name for f in ALL if (f.unit == "seconds") != f.name.endswith("_s")] == []


def test_sensitive_features_must_be_asked_for() -> None:
    default, everything = available(EVERYTHING), available(EVERYTHING, sensitive=True)
    numbers = available(EVERYTHING, categories=False)
    assert {f.name for f in everything} == set(FEATURES)
    assert {f.name for f in ALL if f.sensitive} == {"birth_year", "sex"}
    assert not any(f.sensitive for f in default)
    assert {f.name for f in default} - {f.name for f in numbers} == {
        f.name for f in ALL if f.kind == "category" and not f.sensitive
    }
    assert [f.name for f in named(["birth_year", "sex"])] == ["birth_year", "sex"]


def test_purposes_follow_the_sources() -> None:
    assert FEATURES["contacts_sent_30d"].purposes == {"marketing"}
    assert FEATURES["visits_365d"].purposes == {"service"}
    assert FEATURES["month"].purposes == frozenset()


def test_a_source_that_is_absent_takes_its_features_along() -> None:
    without = in_memory({"customers": CANONICAL["customers"].empty(), "visits": CANONICAL["visits"].empty()})
    names = {feature.name for feature in available(without)}
    assert "visits_365d" in names
    assert "service_overdue_days" not in names  # it reads vehicles as well
    assert "charges_90d" not in names


def test_the_documentation_page_is_up_to_date() -> None:
    committed = Path(__file__).parents[2] / "docs" / "features.md"
    assert committed.read_text(encoding="utf-8") == page(FEATURES), (
        "run python -m features --page docs/features.md"
    )


def test_the_page_holds_every_feature_once() -> None:
    lines = page(FEATURES).splitlines()
    assert [f.name for f in ALL if sum(line.startswith(f"| `{f.name}` |") for line in lines) != 1] == []
    assert all(line.count("|") == 9 for line in lines if line.startswith("| `"))


def test_the_command_writes_the_page_and_prints_the_table(tmp_path: Path) -> None:
    written = CliRunner().invoke(app, ["--page", str(tmp_path / "features.md")])
    assert written.exit_code == 0
    assert (tmp_path / "features.md").read_text(encoding="utf-8") == page(FEATURES)
    printed = CliRunner().invoke(app, ["--lang", "zh"])
    assert "days_since_test_drive" in printed.output
    assert "距上次试驾的天数" in printed.output
