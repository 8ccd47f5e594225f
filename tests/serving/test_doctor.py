"""The doctor's page: nothing is wrong in a fresh deployment, and what was sabotaged is named; what is kept too long goes in one command."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from features import standing
from features.audit.verify import records
from features.home import audit_folder, ledgers_folder, scores_folder
from features.nightly import latest
from features.pointer import pointed
from features.standing import Standing
from features.warehouse import connect
from serving import retention
from serving.batch import batch
from serving.doctor import WRONG, app, examined
from serving.runs import runs
from tests.shop import END


@pytest.fixture
def deployment(own_shop: Path) -> Path:
    Standing.here().tell([("C00003", "marketing", "withdrawn")], "crm")
    return Path("var")


def wrong() -> set[str]:
    return {one.about for one in examined(datetime.now(UTC)) if one.verdict == WRONG}


def test_a_fresh_deployment_is_fine_and_says_what_it_rests_on(deployment: Path) -> None:
    assert wrong() == set()
    told = CliRunner().invoke(app, [])
    assert told.exit_code == 0
    for words in (
        "4,500 rows",
        "marketing, service, profiling",
        "consent (PIPL",
        "golden predictions",
        "nothing is due",
        "0 of 1,500 allow none",
        "years of birth are known of",
        "no limits are declared for churn, purchase_intent",
    ):
        assert words in " ".join(told.stdout.split())
    assert deployment.is_dir()


def cut_the_trail() -> None:
    chain = max(audit_folder().glob("*.chain"), key=lambda file: file.stat().st_size)
    chain.write_bytes(chain.read_bytes()[:-40])


def spoil_the_ledger() -> None:
    (ledgers_folder() / "consents.ledger").write_bytes(b"ledger 1\nnonsense\n")


def lose_the_ledger() -> None:
    (ledgers_folder() / "consents.ledger").unlink()


def lose_the_key() -> None:
    Path("var/pseudonym.key").unlink()


def show_the_key() -> None:
    Path("var/pseudonym.key").chmod(0o644)


def break_off_an_erasure() -> None:
    Path("var/erasing").mkdir()
    Path("var/erasing/x.json").write_text("{}")


def flip_a_bit_of_the_run() -> None:
    file = next((scores_folder() / pointed(scores_folder())).glob("wide/*.parquet"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def forget_the_consents() -> None:
    load = Path("var/warehouse") / pointed(Path("var/warehouse"))
    shutil.rmtree(load / "consents")


def keep_features_of_somebody_who_refused() -> None:
    night = latest()
    table = night.table()
    place = table.schema.get_field_index("not consent for profiling")
    said = ["refused automated profiling", *[None] * (len(table) - 1)]
    table = table.set_column(place, table.schema.field(place), pa.array(said, pa.string()))
    with pa.OSFile("written", "wb") as sink, pa.ipc.new_file(sink, night.schema) as writer:
        writer.write_table(table.cast(night.schema))
    Path("written").rename(night.file)


@pytest.mark.parametrize(
    ("sabotage", "about"),
    [
        (cut_the_trail, "audit trail"),
        (spoil_the_ledger, "told since"),
        (lose_the_ledger, "told since"),
        (lose_the_key, "keys"),
        (show_the_key, "keys"),
        (break_off_an_erasure, "erasures"),
        (flip_a_bit_of_the_run, "runs of scores"),
        (forget_the_consents, "consent"),
        (keep_features_of_somebody_who_refused, "features"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_was_sabotaged_is_named_and_the_command_ends_with_1(
    deployment: Path, sabotage: Callable[[], None], about: str
) -> None:
    assert deployment.is_dir()
    sabotage()
    standing.forget_what_was_opened()  # as another process sees it
    assert about in wrong()
    assert CliRunner().invoke(app, []).exit_code == 1


def test_a_clock_moved_forward_removes_exactly_what_is_due_and_records_it(deployment: Path) -> None:
    batch(connect(), END, valid_days=3)
    assert deployment.is_dir()
    assert retention.due(datetime.now(UTC)) == []
    before, current = {run.name for run in runs(scores_folder())}, pointed(scores_folder())
    later = datetime.now(UTC) + retention.THREE_YEARS + timedelta(days=1)
    gone = retention.apply(later)
    assert {one.name for one in gone if one.what == "run of scores"} == before - {current}
    assert {run.name for run in runs(scores_folder())} == {current}
    assert not [one for one in retention.due(later) if one.what == "run of scores"]
    noted = [record.entry.told for record in records(audit_folder()) if record.entry.action == "retention"]
    assert noted
