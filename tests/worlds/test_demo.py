"""The demo on real orders reaches the published figures, and the README says what it does."""

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest

from features import nightly
from features.matrix import matrix
from tests.serving.server import ask, serving
from training import registry

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
METRICS = {"auc", "average_precision", "brier", "log_loss", "ece", "precision_at_capacity"}
METRICS |= {"lift_1", "lift_5", "lift_10", "lift_20"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the demo has run on CDNOW; `.printed` is what it said."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "worlds.demo", "--world", "cdnow"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
    return folder


def test_figures_hold_against_the_published_ones(demonstrated: Path) -> None:
    summary = json.loads((demonstrated / "var/summary.json").read_text())
    assert summary["world"] == "cdnow"
    churn, intent = summary["tasks"]["churn"], summary["tasks"]["purchase_intent"]
    assert (churn["rows_test"], churn["outcomes"]) == (2357, 1673)
    assert (intent["rows_test"], intent["outcomes"]) == (23_570, 3831)
    assert churn["model"]["auc"] >= 0.780
    assert churn["model"]["brier"] <= 0.155
    assert intent["model"]["auc"] >= 0.803
    for task in (churn, intent):
        assert set(task["model"]) == set(task["linear"]) == METRICS
        assert task["model"]["auc"] > task["rules"]["recency"]["auc"]


def test_the_summary_the_tracking_store_and_the_printed_table_agree(
    demonstrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demonstrated)
    summary = json.loads(Path("var/summary.json").read_text())
    printed = Path("printed").read_text()
    registry.champion("churn")  # which points MLflow at the demo's store
    runs = mlflow.search_runs(experiment_names=["car-propensity"]).set_index("tags.task")
    for name, task in summary["tasks"].items():
        for scorer in ("model", "linear"):
            assert runs.loc[name, f"metrics.{scorer}.auc"] == pytest.approx(task[scorer]["auc"])
            assert f"{task[scorer]['auc']:.3f} (" in printed
        assert (
            str(mlflow.MlflowClient().get_model_version_by_alias(name, "champion").version) == task["version"]
        )


def test_the_registered_model_scores_the_same_bits_for_mlflow_users(
    demonstrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demonstrated)
    rows = nightly.latest().table()
    for name in ("churn", "purchase_intent"):
        champion = registry.champion(name).loaded
        columns = list(champion.card.features)
        values = matrix(rows, columns, champion.card.levels)
        model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
        given = rows.select(columns).to_pandas()
        measured = [column for column in columns if column not in champion.card.levels]
        predicted = model.predict(given.astype(dict.fromkeys(measured, "float64")))
        assert np.array_equal(predicted["probability"], champion.model.probabilities(values))
        outlook = champion.model.outlook(values)
        for m, kind in enumerate(champion.card.kinds):
            for k, days in enumerate(champion.card.horizons_days):
                assert np.array_equal(predicted[f"{kind} {days} d"], outlook[:, k, m])


@pytest.mark.parametrize("as_of", ["1998-01-01", "1998-01-29"])
def test_the_monitor_is_calm_at_the_test_and_four_weeks_later(demonstrated: Path, as_of: str) -> None:
    """Nobody joins after March 1997, so by and by all customers are older than any it learned from, and it says so."""
    command = [sys.executable, "-m", "training.monitor", "--task", "purchase_intent", "--as-of", as_of]
    done = subprocess.run(command, cwd=demonstrated, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "steady: no reason to train again" in done.stdout


def test_everything_written_lies_under_var(demonstrated: Path) -> None:
    assert sorted(path.name for path in demonstrated.iterdir()) == ["printed", "var"]


def test_snippets_in_the_readme_do_what_they_say(demonstrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demonstrated)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(blocks) >= 4
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    said: list[str] = []
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "README", "README.md", 0)
    outcome = doctest.DocTestRunner(optionflags=options).run(test, out=said.append)
    assert outcome.failed == 0, "".join(said)


def test_the_curl_in_the_readme_is_answered(demonstrated: Path) -> None:
    (body,) = re.findall(r"curl -s localhost:3000(/v1/scores) .* -d '(.*)'", README)
    (shown,) = re.findall(r"```json\n(.*?)```", README, flags=re.S)
    with serving(demonstrated) as port:
        status, text = ask(port, body[0], json.loads(body[1]))
    assert status == 200
    answer, expected = json.loads(text), json.loads(shown)
    assert answer["as_of"] == expected["as_of"]
    for real, printed in zip(answer["scores"], expected["scores"], strict=True):
        real["probability"] = round(real["probability"], 2) if "probability" in real else None
        real["outlook"] = [
            chance | {"probability": round(chance["probability"], 2)} for chance in real.get("outlook", [])
        ]
        real["reasons"] = real.get("reasons", [])[:1]
        assert {key: real[key] for key in printed} == printed
