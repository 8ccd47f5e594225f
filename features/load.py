"""Loading: deliveries in, a validated warehouse out, or nothing at all.

    delivery files ──► typed? required? in range? ──► key, correction, customer known? ──► load-<id>/ ──► CURRENT
                              └─────────────── rejects: file, row, field, rule ─────────────────┘

A load is written beside the earlier ones and becomes visible when the pointer moves; a refused load leaves
its list of rejects and changes nothing. Rows delivered twice are dropped and counted; a known key with other
values and a later `known_at` is a correction, and with the same `known_at` a contradiction, rejected whole.

    python -m features.load --from INCOMING --to var/warehouse
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import duckdb
import pyarrow.parquet as pq
import typer

from features.command import run
from features.contract import Delivery, deliveries_in, literal
from features.digest import sha256_of
from features.errors import BadData
from features.home import warehouse_address
from features.intake import REJECTS, Intake
from features.pointer import point
from features.sources import CANONICAL

__all__ = ["LoadReport", "ledger", "load"]

LOADS_KEPT = 2


@dataclass(frozen=True)
class LoadReport:
    """What became of a load, per source: rows read, loaded, delivered twice, corrections, rejected."""

    folder: Path
    counts: Mapping[str, Mapping[str, int]]

    def __str__(self) -> str:
        head = ("read", "loaded", "delivered twice", "corrections", "rejected")
        lines = ["source        " + "".join(f"{title:>17}" for title in head)]
        lines += [
            f"{name:<14}" + "".join(f"{row[title]:>17,}" for title in head)
            for name, row in self.counts.items()
        ]
        return "\n".join(lines)


def load(
    deliveries: Iterable[Delivery],
    warehouse: Path,
    *,
    complete_until: Mapping[str, datetime],
    delivered_at: datetime | None = None,
    max_reject_share: float = 0.0,
) -> LoadReport:
    """Validate deliveries and publish them as the new content of `warehouse`.

    `complete_until` states, per source, the instant before which all events are in; `delivered_at` (default:
    now, UTC) is when the delivery was made: nothing in it can be known later. Raises `BadData` if a delivery
    lacks a column or has one of another type, or if a source has more than `max_reject_share` rejects.
    """
    delivered_at = delivered_at or datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    warehouse.mkdir(parents=True, exist_ok=True)
    name = f"load-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    staging = warehouse / f".{name}"
    staging.mkdir()
    try:
        counts = _write_all(
            list(deliveries), staging, delivered_at, max_reject_share, warehouse / f"rejects-{name}.parquet"
        )
        ledger = {source: complete_until[source].isoformat() for source in counts}
        facts = {
            "load": name,
            "delivered_at": delivered_at.isoformat(),
            "complete_until": ledger,
            "counts": counts,
            "digest": _digest(staging),
        }
        (staging / "load.json").write_text(json.dumps(facts, indent=1))
        staging.rename(warehouse / name)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    point(warehouse, name)
    _forget_older(warehouse, name)
    return LoadReport(warehouse / name, counts)


def _write_all(
    deliveries: list[Delivery],
    staging: Path,
    delivered_at: datetime,
    max_reject_share: float,
    rejects_file: Path,
) -> dict[str, dict[str, int]]:
    engine = duckdb.connect()
    engine.execute("SET TimeZone = 'UTC'")
    engine.execute(REJECTS)
    counts = {}
    for name, source in CANONICAL.items():  # customers come first: the others refer to them
        if mine := [d for d in deliveries if d.source is source]:
            intake = Intake(engine, source)
            intake.take(mine, delivered_at)
            intake.judge()
            intake.write(staging / name)
            counts[name] = intake.counts()
    if "customers" not in counts:
        raise BadData("the delivery holds no customers; every load needs them")
    if engine.execute("SELECT count(*) FROM rejects").fetchall()[0][0]:
        engine.execute(
            f"COPY (SELECT * FROM rejects ORDER BY ALL) TO '{literal(str(rejects_file))}' (FORMAT parquet)"
        )
    for name, row in counts.items():
        if row["rejected"] > max_reject_share * row["read"]:
            raise BadData(_refusal(engine, name, row, rejects_file))
    return counts


def _refusal(engine: duckdb.DuckDBPyConnection, name: str, row: dict[str, int], rejects_file: Path) -> str:
    sql = "SELECT file, row, field, rule FROM rejects WHERE source = ? ORDER BY ALL LIMIT 1"
    file, number, field, rule = engine.execute(sql, [name]).fetchall()[0]
    return (
        f"{name}: {row['rejected']:,} of {row['read']:,} rows rejected, nothing was loaded. "
        f"First: {file}, row {number}: {f'{field} {rule}'.strip()}. All of them: {rejects_file}. "
        "Mend the delivery, or allow a share with --max-reject-share"
    )


def _forget_older(warehouse: Path, name: str) -> None:
    for old in sorted(warehouse.glob("load-*"))[:-LOADS_KEPT]:
        if old.name != name:
            shutil.rmtree(old)


def _digest(folder: Path) -> str:
    """One hash over the content of all tables."""
    total = hashlib.sha256()
    for part in sorted(folder.rglob("*.parquet")):
        total.update(f"{part.relative_to(folder)} {sha256_of(part)}\n".encode())
    return total.hexdigest()


def ledger(incoming: Path, delivered_at: datetime) -> dict[str, datetime]:
    """The delivery's own statement, `maturity.parquet` (source, complete_until); without one, everything
    known up to the day before the delivery counts as complete."""
    stated = incoming / "maturity.parquet"
    if stated.is_file():
        rows = pq.read_table(stated).to_pylist()
        return {row["source"]: row["complete_until"].replace(tzinfo=None) for row in rows}
    return dict.fromkeys(CANONICAL, delivered_at.replace(hour=0, minute=0, second=0))


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
    incoming: Annotated[
        Path, typer.Option("--from", help="folder with a CSV or Parquet file (or folder) per source")
    ],
    warehouse: Annotated[
        Path | None, typer.Option("--to", help="warehouse folder; default WAREHOUSE_URL")
    ] = None,
    delivered_at: Annotated[
        datetime | None, typer.Option(help="when the delivery was made, UTC; default now")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="a folder in it to pass over, may be repeated")
    ] = None,
    max_reject_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="share of rows of a source that may be rejected")
    ] = 0.0,
) -> None:
    """Validate a delivery and publish it as the warehouse's new content; or reject it and change nothing."""
    if not incoming.is_dir():
        raise BadData(f"there is no folder {incoming}")
    at = delivered_at or datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    target = warehouse or _default_folder()
    report = load(
        deliveries_in(incoming, ignore or ()),
        target,
        complete_until=ledger(incoming, at),
        delivered_at=at,
        max_reject_share=max_reject_share,
    )
    print(report)


if __name__ == "__main__":
    run(app)
