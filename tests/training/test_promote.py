"""Promotion on the invented shop: what a gate refuses stays out, what is forced is seen, and the way back is exact."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import mlflow
import msgspec
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features import nightly
from features.audit import verify
from features.audit.verify import records
from features.errors import BadModel, ChampionMoved, NotAudited, NotPromoted
from features.matrix import matrix
from features.warehouse import connect
from tests.training.test_model import card as model_card
from training import artefact, gates, history, promote, registry
from training.artefact import Loaded
from training.comparison import compare, grouped
from training.gates import Evidence, judged
from training.metrics import ece
from training.tasks import task_named

DAYS = [datetime(2024, month, 1) for month in (1, 2, 3)]


def registered(loaded: Loaded, folder: Path, shift: float = 0.0) -> tuple[str, Loaded]:
    """The same model once more, its promises moved by `shift` on the scale of log-odds."""
    moved = tuple(tuple(v + shift for v in row) for row in loaded.model.hazards.intercepts)
    hazards = msgspec.structs.replace(loaded.model.hazards, intercepts=moved)
    card = msgspec.structs.replace(loaded.card, hazards=hazards)
    artefact.write(replace(loaded.model, hazards=hazards), card, loaded.golden, folder)
    with registry.tracked("again"):
        version = registry.register(card.task, folder, card)
    return version, artefact.read(folder)


def scores(task: str) -> np.ndarray:
    champion = registry.champion(task).loaded
    rows = matrix(nightly.latest().table(), list(champion.card.features), champion.card.levels)
    return champion.model.outlook(rows)


def test_refused_then_forced_then_back_to_the_same_bits(own_shop: Path) -> None:
    first = registry.champion("churn")
    before = scores("churn")
    task = task_named("churn", connect())
    version, shifted = registered(first.loaded, own_shop / "shifted", shift=1.5)
    call = CliRunner().invoke
    refused = call(promote.app, ["--task", "churn"])
    assert isinstance(refused.exception, NotPromoted)
    assert f"behind champion {first.version} in log loss" in str(refused.exception)
    assert "calibration error overall" in str(refused.exception)
    assert registry.champion_version("churn") == first.version

    assert call(promote.app, ["--task", "churn", "--force", "the fair opens today"]).exit_code == 0
    assert registry.champion_version("churn") == version
    assert not np.array_equal(scores("churn"), before)
    shown = call(promote.app, ["--task", "churn", "--history"]).output
    assert f"promotion       version {version}, forced" in shown
    assert "the fair opens today; behind champion" in shown
    tags = mlflow.MlflowClient().get_model_version("churn", version).tags
    assert "the fair opens today" in tags["promotion"]

    assert call(promote.app, ["--task", "churn", "--back"]).exit_code == 0
    assert registry.champion_version("churn") == first.version
    assert np.array_equal(scores("churn"), before)
    told = history.steps(Path("var/promotions/churn.jsonl"))
    assert [s.deed for s in told] == ["promoted", "refused", "forced", "back"]
    recorded = sorted(records(Path("var/audit")), key=lambda record: record.at)
    assert [r.entry.result for r in recorded if "churn" in r.entry.models and r.entry.action != "score-run"] == [
        "promoted", "refused", "forced", "back",
    ]  # fmt: skip
    verify(Path("var/audit"), Path("var/anchors"))
    assert {f.gate for f in told[1].findings if f.verdict == "refused"} >= {
        "calibration",
        "champion log loss",
    }
    with pytest.raises(NotPromoted, match="no version that served before"):
        promote.back("churn")

    rows = promote.moments_tested(task, connect(), shifted.card, None)
    assert (len(rows), rows["outcome"].sum()) == (shifted.card.rows_test, shifted.card.outcomes_test)


def test_no_record_no_promotion(own_shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = registry.champion_version("churn")
    registered(registry.champion("churn").loaded, own_shop / "same")
    Path("a file").touch()
    monkeypatch.setenv("AUDIT_URL", "a file")
    ended = CliRunner().invoke(promote.app, ["--task", "churn", "--force", "the fair opens today"])
    assert isinstance(ended.exception, NotAudited)
    assert registry.champion_version("churn") == serving
    assert "forced" not in {step.deed for step in history.steps(Path("var/promotions/churn.jsonl"))}


def test_an_equal_model_passes_and_a_late_one_is_told_to_compare_again(own_shop: Path) -> None:
    first = registry.champion("churn").loaded
    task = task_named("churn", connect())
    rows = promote.moments_tested(task, connect(), first.card, None)
    made = [registered(first, own_shop / f"equal{n}") for n in range(2)]
    verdicts = [promote.judge(task, rows, loaded) for _, loaded in made]
    assert verdicts[0].refused == []
    promote.promote(made[0][1], made[0][0], verdicts[0])
    with pytest.raises(ChampionMoved, match="compare with the new one"):
        promote.promote(made[1][1], made[1][0], verdicts[1])
    assert registry.champion_version("churn") == made[0][0]
    with pytest.raises(BadModel, match="has no version '99'"):
        registry.fetched("churn", "99")
    with pytest.raises(BadModel, match="no version of 'churn' of run nobody"):
        registry.version_of("churn", "nobody")


def test_a_version_that_is_not_what_served_is_not_gone_back_to(own_shop: Path) -> None:
    first = registry.champion("churn")
    version, loaded = registered(first.loaded, own_shop / "equal")
    rows = promote.moments_tested(task_named("churn", connect()), connect(), loaded.card, None)
    promote.promote(loaded, version, promote.judge(task_named("churn", connect()), rows, loaded))
    file = Path("var/promotions/churn.jsonl")
    file.write_text(file.read_text().replace(first.loaded.digest, "0" * 64))
    with pytest.raises(BadModel, match="SHA-256 differs"):
        promote.back("churn")
    assert registry.champion_version("churn") == version


def evidence(rows: int = 6000, seed: int = 1) -> Evidence:
    """A model that knows the truth, a rule that knows half of it, a champion that knows most of it."""
    chance = np.random.default_rng(seed)
    truth = chance.beta(1, 3, rows)
    frame = pd.DataFrame(
        {
            "customer_id": [f"C{n // 3}" for n in range(rows)],
            "as_of": [DAYS[n % 3] for n in range(rows)],
            "outcome": (chance.random(rows) < truth).astype(int),
            "region": pd.Series(["north", "south", None, "south"] * (rows // 4), dtype="object"),
        }
    )
    rule = truth + chance.normal(0, 0.3, rows)
    served = np.clip(truth + chance.normal(0, 0.05, rows), 0.001, 0.999)
    return Evidence(model_card(), frame, truth, {"recency": rule}, served, champion="1")


def verdicts(e: Evidence, *names: str) -> dict[str, str]:
    chosen = [gate for gate in gates.GATES if not names or gate.__name__ in names]
    return {found.gate: found.verdict for gate in chosen for found in gate(e)}


def test_the_true_model_passes_what_is_measured_and_lacks_only_its_papers() -> None:
    found = judged(evidence())
    assert {f.gate for f in found.findings if f.verdict != "passed"} == {"card", "lawful", "leaks"}
    assert "the card does not say: outlook, rule_sentences, packages, certificate" in found.refused


def test_each_gate_refuses_what_it_is_for() -> None:
    e = evidence()
    rows, outcome = e.rows, e.rows["outcome"].to_numpy()
    high = np.clip(e.probability + 0.06, 0, 1)
    south = np.where(rows["region"] == "south", e.probability * 0.7, e.probability)
    tired = np.where(rows["as_of"] == DAYS[2], 1 - e.probability, e.probability)
    for gate, name, worse in (
        ("beats_rules", "rule recency", replace(e, probability=1 - e.probability)),
        ("keeps_up", "champion log loss", replace(e, probability=np.sqrt(e.probability))),
        ("keeps_up", "champion ROC AUC", replace(e, probability=e.ranks["recency"])),
        ("keeps_up", "champion", replace(e, served=None, unlike="another horizon")),
        ("calibrated", "calibration", replace(e, probability=high)),
        ("calibrated_in_segments", "worst segment", replace(e, probability=south)),
        ("stable_top", "top tenth", replace(e, probability=tired)),
        ("golden", "golden", replace(e, broken="a bit differs")),
    ):
        assert set(verdicts(e, gate).values()) == {"passed"}
        assert verdicts(worse, gate)[name] == "refused", name
    assert ece(outcome, high, np.ones(len(rows))) > 0.05


def test_what_serves_no_better_lets_a_model_pass_with_a_reservation() -> None:
    e = evidence()
    high = np.clip(e.probability + 0.06, 0, 1)
    assert verdicts(replace(e, probability=high, served=None), "calibrated")["calibration"] == "reserved"
    assert verdicts(replace(e, probability=high, served=high), "calibrated")["calibration"] == "reserved"
    assert (
        verdicts(replace(e, probability=high, served=e.probability), "calibrated")["calibration"] == "refused"
    )


def test_the_worst_segment_is_one_of_the_report() -> None:
    """One declaration: what the gate measures in a segment stands in the report's table."""
    e = evidence()
    shifted = np.where(e.rows["region"] == "south", np.clip(e.probability + 0.08, 0, 1), e.probability)
    report = compare("t", e.rows, {"model": shifted}, {}, replicates=20)
    groups = {f"{g.segment} {g.value}": g for g in grouped(report, e.rows, shifted, {}).segments}
    (found,) = gates.calibrated_in_segments(replace(e, probability=shifted))
    assert "in the worst of 3 segments, region south" in found.words
    assert set(groups) == {"region north", "region south", "region not known"}
    assert f"{groups['region south'].scorers['model']['ece'].value:.4f} with it" in found.words
    assert found.verdict == "refused"
