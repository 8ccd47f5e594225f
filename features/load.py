"""Loading: deliveries in, a validated warehouse out, or nothing at all.

    delivery files ──► typed? required? in range? ──► key, correction, customer known? ──► plausible? ──► load-<id>/ ──► CURRENT
                              └─────────────── rejects: file, row, field, rule ─────────────────┘

A load is written beside the earlier ones and becomes visible when the pointer moves; a refused load leaves
its list of rejects and its findings and changes nothing. Rows delivered twice are dropped and counted; a known key
with other values and a later `known_at` is a correction, and with the same `known_at` a contradiction, rejected whole. Rows of
those who were erased (`serving.privacy`) are dropped and counted, whatever file they come in, and so is what was done with cars that
have long gone (`features.former_owners`).

    python -m features.load --from INCOMING --to var/warehouse
    python -m features.load --report
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import duckdb
import pyarrow.parquet as pq
import typer

from features.checks import UNKNOWN_SHARE, Finding, findings
from features.command import run
from features.contract import check_columns
from features.delivery import Delivery, Opened, deliveries_in
from features.delivery_report import LoadReport, report_of
from features.errors import BadData
from features.former_owners import drop_theirs, kept_since, remember_gone
from features.home import warehouse_address
from features.intake import MEMORY, SCRATCH, Intake, workbench
from features.maturity import check_ledger, ledger
from features.parts import write_parts
from features.pointer import point, pointed
from features.profile import Profile, profile
from features.progress import followed
from features.sources import CANONICAL
from features.standing import Standing

__all__ = ["LoadReport", "ledger", "load"]

LOADS_KEPT = 2


def load(
    deliveries: Iterable[Delivery],
    warehouse: Path,
    *,
    complete_until: Mapping[str, datetime],
    delivered_at: datetime | None = None,
    max_reject_share: float = 0.0,
    max_unknown_share: float = UNKNOWN_SHARE,
    allow: Collection[str] = (),
    memory: str = MEMORY,
    without_consents: str = "",
) -> LoadReport:
    """Validate deliveries and publish them as the new content of `warehouse`.

    `complete_until` states, per source, the instant before which all events are in; `delivered_at` (default:
    now, UTC) is when the delivery was made: nothing in it can be known later. `allow` names checks that may fail,
    `visits` or `visits.volume` or `visits.shift.odometer_km`. Beyond `memory` the work spills to disk beside the
    warehouse. `without_consents` is the reason why the delivery says nothing of consent; without consents and without a
    reason nobody can be asked about (see `features.consent`).

    Raises `BadData` if a delivery lacks a column or has one of another type, if the ledger cannot be true, if a
    source has more than `max_reject_share` rejects, or if a check that is not allowed fails.
    """
    delivered_at = delivered_at or datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    opened = _opened(deliveries)
    check_ledger(complete_until, opened, delivered_at)
    _check_allowed(allow)
    if without_consents and "consents" in opened:
        raise BadData("the delivery holds consents, which decide; drop --without-consents")
    name = f"load-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    staging = warehouse / f".{name}"
    staging.mkdir(parents=True)
    try:
        facts: dict[str, Any] = {
            "load": name,
            "delivered_at": delivered_at.isoformat(),
            "allowed": sorted(allow),
            "without_consents": without_consents,
        }
        facts["complete_until"] = {source: complete_until[source].isoformat() for source in opened}
        with workbench(staging, memory) as engine:
            facts |= _write_all(
                engine, opened, staging, delivered_at, kept_since(complete_until[s] for s in opened)
            )
            _stop_on_rejects(engine, facts["counts"], max_reject_share, warehouse / f"rejects-{name}.parquet")
        found = findings(
            facts["profiles"],
            complete_until,
            delivered_at,
            _profiles_before(warehouse),
            allow,
            max_unknown_share,
        )
        facts["findings"] = [finding.as_json() for finding in found]
        _stop_on_findings(found, facts, warehouse / f"refused-{name}.json")
        (staging / "load.json").write_text(json.dumps(facts, indent=1))
        shutil.rmtree(staging / SCRATCH)
        staging.rename(warehouse / name)
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        if isinstance(error, duckdb.OutOfMemoryException):
            raise BadData(
                f"the work does not fit into {memory}, nothing was loaded; give --memory more"
            ) from error
        raise
    point(warehouse, name)
    _forget_older(warehouse, name)
    return report_of(warehouse)


def _opened(deliveries: Iterable[Delivery]) -> dict[str, list[tuple[Delivery, Opened]]]:
    """The deliveries by source, customers first, each with its head read and its columns checked."""
    opened: dict[str, list[tuple[Delivery, Opened]]] = {name: [] for name in CANONICAL}
    for delivery in deliveries:
        head = delivery.open()
        check_columns(delivery.file, delivery.source, head.schema)
        opened[delivery.source.name].append((delivery, head))
    if not opened["customers"]:
        raise BadData("the delivery holds no customers; every load needs them")
    return {name: some for name, some in opened.items() if some}


def _write_all(
    engine: duckdb.DuckDBPyConnection,
    opened: Mapping[str, list[tuple[Delivery, Opened]]],
    staging: Path,
    delivered_at: datetime,
    since: datetime,
) -> dict[str, Any]:
    """Take in and write source after source; returns counts and profiles of each and one digest of all. From `since` on
    everything is kept."""
    counts: dict[str, dict[str, int]] = {}
    profiles: dict[str, Profile] = {}
    digest = hashlib.sha256()
    taken = Standing.here().now()
    for name, some in opened.items():
        intake = Intake(engine, CANONICAL[name])
        intake.take(some, delivered_at)
        erased = intake.forget(taken.erased) if taken.anybody_erased else 0
        intake.judge()
        if name == "vehicles":
            remember_gone(engine, since)
        gone = drop_theirs(engine, intake.source) if "vehicles" in opened else 0
        dropped = {"erased": erased, "of cars that have gone": gone}
        counts[name] = intake.counts() | {why: rows for why, rows in dropped.items() if rows}
        total = counts[name]["loaded"]
        blocks = followed(intake.rows(), f"writing {name}", total, len)
        content = write_parts(blocks, intake.source.arrow_schema, staging / name)
        digest.update(f"{name} {content}\n".encode())
        profiles[name] = profile(engine, intake.source)
    return {"counts": counts, "profiles": profiles, "digest": digest.hexdigest()}


def _stop_on_rejects(
    engine: duckdb.DuckDBPyConnection,
    counts: Mapping[str, Mapping[str, int]],
    max_reject_share: float,
    rejects_file: Path,
) -> None:
    rejects = engine.execute("FROM rejects ORDER BY ALL").fetch_arrow_table()
    if len(rejects):
        pq.write_table(rejects, rejects_file)
    for name, row in counts.items():
        if row["rejected"] > max_reject_share * row["read"]:
            sql = "SELECT file, row, field, rule FROM rejects WHERE source = ? ORDER BY ALL LIMIT 1"
            file, number, broken, rule = engine.execute(sql, [name]).fetchall()[0]
            raise BadData(
                f"{name}: {row['rejected']:,} of {row['read']:,} rows rejected, nothing was loaded. "
                f"First: {file}, row {number}: {f'{broken} {rule}'.strip()}. All of them: {rejects_file}. "
                "Mend the delivery, or allow a share with --max-reject-share"
            )


def _stop_on_findings(found: Sequence[Finding], facts: Mapping[str, Any], refused_file: Path) -> None:
    if stops := [finding for finding in found if finding.verdict == "stop"]:
        refused_file.write_text(json.dumps(facts, indent=1))
        named = "; ".join(f"{one.name}: {one.measured} (allowed: {one.allowed})" for one in stops[:5])
        raise BadData(
            f"{len(stops)} checks not kept, nothing was loaded. {named}. All of them: {refused_file}. "
            f"Mend the delivery, or, if it is right, say so with --allow {stops[0].name}"
        )


def _check_allowed(allow: Collection[str]) -> None:
    for name in allow:
        if name.split(".")[0] not in CANONICAL:
            raise BadData(f"--allow {name!r} names no check; say source.check or source.check.column")


def _profiles_before(warehouse: Path) -> dict[str, Profile]:
    """The profiles of the load that readers see now; none when there is none, or one of an earlier release."""
    facts = warehouse / pointed(warehouse) / "load.json"
    found: dict[str, Profile] = json.loads(facts.read_text()).get("profiles", {}) if facts.is_file() else {}
    return found


def _forget_older(warehouse: Path, name: str) -> None:
    for old in sorted(warehouse.glob("load-*"))[:-LOADS_KEPT]:
        if old.name != name:
            shutil.rmtree(old)


def _default_folder() -> Path:
    address = warehouse_address()
    if ":" in address:
        raise BadData(
            "WAREHOUSE_URL names an engine, and loads are folders: load --to FOLDER, then fill the engine with "
            "`python -m features.publish --from FOLDER --to ADDRESS`"
        )
    return Path(address)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    *,
    incoming: Annotated[
        Path | None, typer.Option("--from", help="folder with a CSV or Parquet file (or folder) per source")
    ] = None,
    warehouse: Annotated[
        Path | None, typer.Option("--to", help="warehouse folder; default WAREHOUSE_URL")
    ] = None,
    delivered_at: Annotated[
        datetime | None, typer.Option(help="when the delivery was made, UTC; default now")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="a folder in it to pass over, may be repeated")
    ] = None,
    encoding: Annotated[str, typer.Option(help="of the CSV files, gb18030 for instance")] = "utf-8",
    max_reject_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="share of rows of a source that may be rejected")
    ] = 0.0,
    max_unknown_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="share of recent rows that may hold an unknown word")
    ] = UNKNOWN_SHARE,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="a check that may fail, such as visits.volume; may be repeated, and is recorded"),
    ] = None,
    memory: Annotated[
        str, typer.Option(help="beyond it the work spills to disk beside the warehouse")
    ] = MEMORY,
    without_consents: Annotated[
        str, typer.Option(help="why the delivery says nothing of consent; recorded, and shown on every card")
    ] = "",
    report: Annotated[bool, typer.Option("--report", help="show what the current load was, in full")] = False,
) -> None:
    """Validate a delivery and publish it as the warehouse's new content; or reject it and change nothing."""
    target = warehouse or _default_folder()
    if report:
        print(report_of(target).in_full())
        return
    if incoming is None or not incoming.is_dir():
        raise BadData(f"there is no folder {incoming}" if incoming else "say what to load with --from FOLDER")
    at = delivered_at or datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    print(
        load(
            deliveries_in(incoming, ignore or (), encoding),
            target,
            complete_until=ledger(incoming, at),
            delivered_at=at,
            max_reject_share=max_reject_share,
            max_unknown_share=max_unknown_share,
            allow=allow or (),
            memory=memory,
            without_consents=without_consents,
        )
    )


if __name__ == "__main__":
    run(app)
