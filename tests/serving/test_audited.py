"""A run of scores is recorded before anybody can read it, or nobody can."""

from pathlib import Path

import pytest

from features.audit.verify import records
from features.errors import NotAudited
from features.pointer import pointed
from features.warehouse import connect
from serving.batch import batch
from tests.shop import END

SCORES = Path("var/scores")


@pytest.mark.usefixtures("own_shop")
def test_a_run_is_one_record_with_a_digest_instead_of_names() -> None:
    run = batch(connect(), END, ["churn"], valid_days=3)
    (record,) = (r for r in records(Path("var/audit")) if r.entry.subjects_digest == run.manifest.content)
    assert record.entry.action == "score-run"
    assert record.entry.count == run.manifest.tasks["churn"].scored
    assert record.entry.models == {"churn": run.manifest.tasks["churn"].model_version}
    assert not record.entry.subjects


@pytest.mark.usefixtures("own_shop")
def test_no_record_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pointed(SCORES)
    Path("a file").touch()
    monkeypatch.setenv("AUDIT_URL", "a file")
    with pytest.raises(NotAudited):
        batch(connect(), END, ["churn"], valid_days=3)
    assert pointed(SCORES) == before
