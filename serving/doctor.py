"""One page about this deployment: whose consent counts, what is read and why, who has keys, whether the records are whole.

    python -m serving.doctor

Exit 0: nothing is wrong; 1: something is, and the page says what and what to do. It changes nothing, and names nobody.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow.compute as pc
import typer
from rich.console import Console
from rich.table import Table

from features import audit
from features.audit.verify import records
from features.barred import COLUMNS, features_held
from features.command import run
from features.consent import BASIS, CHILD, SOURCE, needed_for
from features.errors import NoWarehouse, PropensityError
from features.feature_set import named
from features.former_owners import KEPT, rows_of_cars_gone
from features.home import (
    anchors_folder,
    audit_folder,
    data_folder,
    ledgers_folder,
    scores_folder,
    warehouse_address,
)
from features.lawful import undeclared
from features.ledger import HEAD
from features.nightly import latest
from features.pointer import pointed
from features.pseudonyms import Pseudonyms, key_file
from features.standing import Standing
from features.warehouse import Warehouse, connect
from serving.at_rest import on_encrypted_volume
from serving.edge.askers import token_file
from serving.privacy.erasure import Receipt, unfinished
from serving.retention import due
from serving.runs.folder import runs, verify
from serving.runs.without import outdated
from training import registry
from training.registry import Champion

__all__ = ["Finding", "examined"]

FINE, OPEN, WRONG = "fine", "open", "wrong"
STYLES = {FINE: "green", OPEN: "yellow", WRONG: "red"}
SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One line of the page: `fine`, `open` (a risk that a person has to judge), or `wrong`."""

    about: str
    verdict: str
    words: str


class _Here:
    """What several findings look at."""

    @cached_property
    def warehouse(self) -> Warehouse:
        return connect()

    @cached_property
    def champions(self) -> list[Champion]:
        return registry.champions()

    @cached_property
    def changes(self) -> int:
        """How many consent changes and erasures the audit trail knows of."""
        return sum(record.entry.action in ("consent", "erasure") for record in records(audit_folder()))


def examined(now: datetime) -> list[Finding]:
    """Everything the page says. What cannot be looked at is wrong, and says why."""
    here, found = _Here(), []
    for about, look in LOOKS.items():
        try:
            found += [Finding(about, verdict, words) for verdict, words in look(here, now)]
        except (PropensityError, OSError, ValueError) as error:
            found.append(Finding(about, WRONG, str(error)))
    return found


Said = Iterator[tuple[str, str]]


def consents(here: _Here, _: datetime) -> Said:
    warehouse = here.warehouse
    if SOURCE not in warehouse.tables:
        if warehouse.without_consents:
            yield (
                OPEN,
                f"none are held, everybody but children may be asked about: {warehouse.without_consents}",
            )
        else:
            yield (
                WRONG,
                "none are held and no reason is given: nobody can be scored; deliver consents, or load with --without-consents",
            )
        return
    table = warehouse.tables[SOURCE]
    newest = warehouse.engine.to_pyarrow(table.known_at.max()).as_py()
    count = int(warehouse.engine.execute(table.count()))
    yield (
        FINE if count else WRONG,
        f"{count:,} rows, the latest known {newest:%Y-%m-%d %H:%M}" if count else "no rows",
    )


def told(here: _Here, _: datetime) -> Said:
    standing = Standing.here()
    taken = standing.now()
    file = standing.ledger.file
    if here.changes and not taken.no and (not file.exists() or file.stat().st_size <= len(HEAD)):
        yield (
            WRONG,
            f"the ledger is empty, but the audit trail knows of {here.changes:,} changes: restore it from a copy",
        )
        return
    yield (
        FINE,
        f"{len(taken.no):,} customers have taken something back since; {here.changes:,} changes on record",
    )


def purposes(here: _Here, _: datetime) -> Said:
    if not here.champions:
        yield OPEN, "no model serves"
    for champion in here.champions:
        card = champion.loaded.card
        missing = [
            name
            for name in ("purpose", "legal_basis", "retention_days", "risk", "columns")
            if not getattr(card, name)
        ]
        words = f"{card.task} {champion.version}: {', '.join(needed_for(card.purpose))}; kept {card.retention_days:,} days; {card.legal_basis}"
        if missing:
            words = f"{card.task} {champion.version}: the card does not say {', '.join(missing)}; train and promote again"
        yield WRONG if missing else FINE, words


def groups(here: _Here, _: datetime) -> Said:
    owed = {card.task: card.fairness for card in (champion.loaded.card for champion in here.champions)}
    for task, limits in owed.items():
        if limits is not None:
            yield FINE, f"{task}: promoted within the limits declared for {', '.join(limits.groups)}"
    if silent := sorted(task for task, limits in owed.items() if limits is None):
        yield OPEN, f"no limits are declared for {', '.join(silent)}; the report shows what groups get"


def sensitive(here: _Here, _: datetime) -> Said:
    used = {name: why for champion in here.champions for name, why in champion.loaded.card.sensitive.items()}
    for name, why in used.items():
        yield OPEN, f"{name}: {why}"
    unsaid = set[str]()
    for champion in here.champions:
        card = champion.loaded.card
        unsaid |= set(undeclared(named(card.features), card.purpose, card.sensitive))
    for name in sorted(unsaid):
        yield WRONG, f"{name} is read and nobody said why: train the task without it"
    if not used and not unsaid:
        yield FINE, "none is read"


def features(_here: _Here, _: datetime) -> Said:
    rows = latest()
    barred, held, since = features_held(rows)
    at = f"{rows.as_of:%Y-%m-%d}"
    if held:
        yield (
            WRONG,
            f"the rows of {at} hold features of {held:,} who do not allow it: python -m features.nightly",
        )
    else:
        yield (
            FINE,
            f"{barred:,} of {len(rows):,} allow none; the rows of {at} hold reasons of them and nothing else",
        )
    if since:
        yield (
            OPEN,
            f"{since:,} more took it back since that night; no score reads theirs, the next night has none",
        )


def children(here: _Here, _: datetime) -> Said:
    people = here.warehouse.tables["customers"]
    born = people.birth_year.notnull()
    counts = people.aggregate(all=people.customer_id.nunique(), told=people.customer_id.nunique(where=born))
    (count,) = here.warehouse.engine.to_pyarrow(counts).to_pylist()
    rows = latest()
    said = (batch.column(COLUMNS[BASIS]) for batch in rows.batches)
    barred = sum(pc.sum(pc.equal(why, CHILD)).as_py() or 0 for why in said)
    words = f"years of birth are known of {count['told']:,} of {count['all']:,}; {barred:,} may be under 14 and are asked about for nothing"
    yield FINE if count["told"] else OPEN, words


def former_owners(here: _Here, _: datetime) -> Said:
    rows = rows_of_cars_gone(here.warehouse)
    words = f"{rows:,} visits and charges of cars that went more than {KEPT.days:,} days ago"
    yield (
        FINE if not rows else OPEN,
        words + ("" if not rows else ": a load drops them; who fills this warehouse must"),
    )


def models(here: _Here, _: datetime) -> Said:
    for champion in here.champions:
        champion.loaded.self_test()
    rows = latest()
    yield FINE, f"{len(here.champions)} models give their golden predictions; rows of {rows.as_of:%Y-%m-%d}"


def keys(here: _Here, _: datetime) -> Said:
    if not key_file().exists():
        verdict = WRONG if here.changes else OPEN
        yield (
            verdict,
            f"{key_file()} is not there; it is made at first use"
            + ("; restore it from a copy" if here.changes else ""),
        )
    else:
        yield (
            FINE,
            f"pseudonyms under key {Pseudonyms.open().name}, which only its owner reads; keep a copy apart",
        )
    tokens = token_file()
    if not tokens.exists():
        yield OPEN, "no token is set up: the service answers on this machine alone, and everybody on it"
    elif tokens.stat().st_mode & 0o077:
        yield WRONG, f"{tokens} can be read by others than its owner: chmod 600 {tokens}"
    else:
        yield FINE, f"tokens as hashes in {tokens}, which only its owner reads"


def trail(_here: _Here, _: datetime) -> Said:
    found = audit.verify(audit_folder(), anchors_folder())
    yield FINE, f"{found.records:,} records in {found.chains:,} chains, whole to their anchored ends"
    head = max(
        found.heads.items(),
        key=lambda one: (audit_folder() / f"{one[0]}.chain").stat().st_mtime,
        default=None,
    )
    if head:
        yield FINE, f"latest head: chain {head[0]}, {head[1][0]:,} records, {head[1][1][:16]}"
    if data_folder().absolute() in anchors_folder().absolute().parents:
        yield (
            OPEN,
            "anchors lie beside the trail: set AUDIT_ANCHORS_URL to where whoever may write the trail may not",
        )


def erasures(_here: _Here, _: datetime) -> Said:
    for _journal in unfinished():
        yield WRONG, "an erasure was interrupted: python -m serving.privacy finish"
    files = sorted((data_folder() / "receipts").glob("*.json"), key=lambda file: file.stat().st_mtime)
    for file in files[-SHOWN:]:
        receipt = msgspec.json.decode(file.read_bytes(), type=Receipt)
        yield (
            FINE,
            f"{receipt.subject} on {receipt.done_at:%Y-%m-%d}: {sum(receipt.gone.values()):,} things in {len(receipt.gone)} stores",
        )
    if not files:
        yield FINE, "none asked for"


def scores(_here: _Here, _: datetime) -> Said:
    for folder in runs(scores_folder()):
        manifest = verify(folder)
        seen = " (readers see it)" if folder.name == pointed(scores_folder()) else ""
        if outdated(folder, manifest.tasks):
            yield (
                OPEN,
                f"{folder.name}{seen}: whole; it names some who took a consent back since, whom our readers leave out: run the batch",
            )
        elif seen:
            yield FINE, f"{folder.name}{seen}: whole, and names nobody who does not allow it"


def retention(_here: _Here, now: datetime) -> Said:
    found = due(now)
    if found:
        yield (
            WRONG,
            f"{len(found):,} things have been kept long enough, since {found[0].since:%Y-%m-%d}: python -m serving.retention --apply",
        )
    else:
        yield FINE, "nothing is due"


def at_rest(_here: _Here, _: datetime) -> Said:
    address = warehouse_address()
    if ":" in address:
        yield OPEN, "the warehouse is a database: it encrypts its own files, or not"
    folders = [data_folder(), scores_folder(), audit_folder(), ledgers_folder()]
    folders += [] if ":" in address else [Path(address)]
    if plain := [str(folder) for folder in dict.fromkeys(folders) if not on_encrypted_volume(folder)]:
        yield (
            OPEN,
            f"not seen to lie on an encrypted volume (LUKS): {', '.join(plain)}; see docs/data-protection.md",
        )
    else:
        yield FINE, "everything lies on encrypted volumes; their keys are the platform's to rotate"


LOOKS: dict[str, Callable[[_Here, datetime], Said]] = {
    "consent": consents,
    "told since": told,
    "purposes": purposes,
    "groups": groups,
    "sensitive columns": sensitive,
    "children": children,
    "former owners": former_owners,
    "features": features,
    "models": models,
    "keys": keys,
    "audit trail": trail,
    "erasures": erasures,
    "runs of scores": scores,
    "retention": retention,
    "at rest": at_rest,
}


def page(found: Iterable[Finding], now: datetime) -> Table:
    """The findings as one page."""
    table = Table(
        "about",
        "",
        "what holds",
        title=f"{data_folder()}, {now:%Y-%m-%d %H:%M} UTC",
        title_justify="left",
        box=None,
    )
    before = ""
    for one in found:
        about = "" if one.about == before else one.about
        table.add_row(about, f"[{STYLES[one.verdict]}]{one.verdict}[/]", one.words)
        before = one.about
    return table


app = typer.Typer(add_completion=False)


@app.command()
def main(
    at: Annotated[
        datetime | None, typer.Option("--now", help="as if it were this moment, UTC; default: now")
    ] = None,
) -> None:
    """Say what holds in this deployment; ends with 1 when something is wrong."""
    now = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    found = examined(now)
    Console(width=None if Console().is_terminal else 150).print(page(found, now), highlight=False)
    wrong = [one for one in found if one.verdict == WRONG]
    if wrong:
        raise NoWarehouse(
            f"{len(wrong)} things are wrong: {'; '.join(dict.fromkeys(one.about for one in wrong))}"
        )
    print(f"nothing is wrong; {sum(one.verdict == OPEN for one in found)} open points")


if __name__ == "__main__":
    run(app)
