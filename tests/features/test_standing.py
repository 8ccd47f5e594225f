"""What customers told since the load: minded at once by everybody, never lost, never guessed at."""

import multiprocessing
import random
from pathlib import Path

import pytest

from features.audit import verify
from features.audit.verify import records
from features.decisions import Decided, Decisions
from features.errors import LedgerUnreadable, NotAudited
from features.home import anchors_folder, audit_folder, ledgers_folder
from features.ledger import HEAD, Ledger
from features.standing import ERASED, Standing, Told


@pytest.fixture(autouse=True)
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ledger_file() -> Path:
    return ledgers_folder() / "consents.ledger"


def test_what_is_taken_back_stays_so_until_it_is_given_again() -> None:
    standing = Standing.here()
    assert standing.refusals(["a", "b"], "marketing") == {}
    standing.tell([("a", "marketing", "withdrawn"), ("b", "profiling", "refused")], "crm")
    marketing, service = (standing.refusals(["a", "b", "c"], purpose) for purpose in ("marketing", "service"))
    assert marketing == {"a": "withdrew the consent for marketing", "b": "refused automated profiling"}
    assert service == {"b": "refused automated profiling"}
    standing.tell([("a", "marketing", "granted"), ("b", "marketing", "granted")], "crm")
    assert standing.refusals(["a", "b"], "marketing") == {"b": "refused automated profiling"}


def test_another_process_minds_it_at_once_and_the_ledger_names_nobody() -> None:
    here, there = Standing.here(), Standing.here(ledgers_folder())
    other = Standing(type(here.ledger)(here.ledger.file, Told))
    assert other.refusals(["C00001"], "service") == {}
    here.tell([("C00001", "service", "withdrawn")], "crm")
    assert there is here
    assert other.refusals(["C00001"], "service") == {"C00001": "withdrew the consent for service"}
    assert b"C00001" not in ledger_file().read_bytes()


def test_whoever_is_erased_is_refused_for_everything_for_good() -> None:
    standing = Standing.here()
    standing.tell([("a", "all", "erased"), ("a", "marketing", "granted")], "privacy")
    assert standing.refusals(["a"], "marketing") == {"a": ERASED}
    assert standing.now().erased(["a", "b"]) == {"a"}


def test_each_change_is_one_record_and_without_a_record_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Standing.here().tell([("a", "marketing", "withdrawn"), ("b", "service", "refused")], "crm")
    found = [record.entry for record in records(audit_folder())]
    assert [(one.who, one.action, one.purpose, one.result) for one in found] == [
        ("crm", "consent", "marketing", "withdrawn"),
        ("crm", "consent", "service", "refused"),
    ]
    verify(audit_folder(), anchors_folder())
    Path("no folder").touch()
    monkeypatch.setenv("AUDIT_URL", "no folder")
    fresh = Standing(Standing.here().ledger)
    before = ledger_file().read_bytes()
    with pytest.raises(NotAudited):
        fresh.tell([("c", "marketing", "withdrawn")], "crm")
    assert ledger_file().read_bytes() == before


def test_a_ledger_that_cannot_be_read_lets_nobody_pass() -> None:
    def damaged() -> None:
        written = bytearray(ledger_file().read_bytes())
        written[-5] ^= 1
        ledger_file().write_bytes(written)

    def shrunk() -> None:
        ledger_file().write_bytes(HEAD)

    def gone() -> None:
        ledger_file().unlink()

    def not_a_file() -> None:
        ledger_file().unlink()
        ledger_file().mkdir()

    for number, harm in enumerate((damaged, shrunk, gone, not_a_file)):
        folder = Path(f"deployment {number}").absolute()
        standing = Standing.here(folder)
        standing.tell([("a", "marketing", "withdrawn")], "crm")
        if harm is not damaged:
            standing.now()
        ledger = folder / "consents.ledger"
        ledger_file().parent.mkdir(exist_ok=True)
        _in_place_of(ledger, harm)
        with pytest.raises(LedgerUnreadable, match=r"consents\.ledger"):
            standing.refusals(["a"], "marketing")


def _in_place_of(ledger: Path, harm) -> None:  # type: ignore[no-untyped-def]
    """Do the harm to this very file."""
    place = ledger_file()
    place.unlink(missing_ok=True)
    ledger.rename(place)
    harm()
    if place.exists():
        place.rename(ledger)


def test_another_pseudonym_key_is_noticed_rather_than_letting_everybody_pass() -> None:
    Standing.here().tell([("a", "marketing", "withdrawn")], "crm")
    Path("var/pseudonym.key").unlink()
    fresh = Standing(type(Standing.here().ledger)(ledger_file(), Told))
    for _ in range(2):  # who asks again is not let pass either
        with pytest.raises(LedgerUnreadable, match="another pseudonym key"):
            fresh.refusals(["a"], "marketing")


def test_decisions_under_another_key_are_noticed_however_often_one_asks() -> None:
    Decisions.here().tell([("a", "churn", "contested")], "an adviser")
    Path("var/pseudonym.key").unlink()
    fresh = Decisions(Ledger(Decisions.here().ledger.file, Decided))
    for _ in range(2):
        with pytest.raises(LedgerUnreadable, match="another pseudonym key"):
            fresh.of(["a"], "churn")


@pytest.mark.parametrize("seed", range(5))
def test_what_a_crash_left_half_written_is_nobodys_word_and_the_next_one_is_whole(seed: int) -> None:
    draw = random.Random(seed)
    standing = Standing.here()
    standing.tell([("a", "marketing", "withdrawn")], "crm")
    whole = ledger_file().read_bytes()
    standing.tell([("b", "marketing", "withdrawn")], "crm")
    cut = draw.randrange(len(whole), len(ledger_file().read_bytes()))
    ledger_file().write_bytes(ledger_file().read_bytes()[:cut])
    fresh = Standing(type(standing.ledger)(ledger_file(), Told))
    assert set(fresh.refusals("abc", "marketing")) == {"a"}
    fresh.tell([("c", "marketing", "withdrawn")], "crm")
    assert set(fresh.refusals("abc", "marketing")) == {"a", "c"}


def _tell(customers: list[str]) -> None:
    for one in customers:
        Standing.here().tell([(one, "marketing", "withdrawn")], "crm")


def test_whoever_only_reads_makes_no_ledger_and_one_that_was_begun_is_missed(deployment: Path) -> None:
    assert Standing.here().refusals(["a"], "marketing") == {}
    assert not any(deployment.iterdir())
    Standing.here().begin()
    Standing.here().now()
    ledger_file().unlink()
    with pytest.raises(LedgerUnreadable):
        Standing.here().refusals(["a"], "marketing")


@pytest.mark.slow
def test_several_processes_that_tell_at_once_lose_nothing() -> None:
    Standing.here().begin()
    context = multiprocessing.get_context("spawn")
    shares = [[f"{worker}-{n}" for n in range(25)] for worker in range(4)]
    workers = [context.Process(target=_tell, args=(share,)) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    everybody = [one for share in shares for one in share]
    assert set(Standing.here().refusals(everybody, "marketing")) == set(everybody)
    assert verify(audit_folder(), anchors_folder()).records == len(everybody)
