"""Persons whose every word is unique, so that any trace of them can be searched for, byte by byte and inside whatever is packed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from features.consent import PURPOSES
from features.delivery import Delivery
from features.load import LoadReport, load
from features.sources import CANONICAL
from features.warehouse import connect
from serving.batch import batch
from serving.contract.events import EventsRequest
from serving.contract.people import HistoryRequest
from serving.desk import Desk
from serving.score_log import SUFFIX, ScoreLog, contents
from serving.scorer import Scorer
from tests.shop import BEGIN, END, customers_and_orders
from training import registry

__all__ = ["CANARIES", "NOW", "desk_here", "lived_in", "lived_in_elsewhere", "loaded", "traces", "words_of"]

ROOT = Path(__file__).parents[2]
CANARIES = tuple(f"Canary{n}x8f3a" for n in range(5))
NOW = datetime(2024, 6, 19, 12, tzinfo=UTC)


def words_of(canary: str) -> list[str]:
    """Id, name, plate, vehicle and telephone, each found nowhere else; the last stands in another spelling of the same person."""
    return [canary, f"name-of-{canary}", f"plate-{canary}", f"VIN-{canary}", f"{canary}-second-id"]


def deliveries() -> list[Delivery]:
    """The shop's tables with five canaries among them, each known under two ids."""
    tables = customers_and_orders()
    first, rows = BEGIN.astype("datetime64[us]").item(), {name: list[dict[str, Any]]() for name in tables}
    for n, canary in enumerate(CANARIES):
        who, name, plate, vehicle, second = words_of(canary)
        for one, merged in ((who, None), (second, who)):
            rows["customers"].append(
                {
                    "profile_id": f"p-{one}",
                    "customer_id": one,
                    "merged_into": merged,
                    "acquisition_channel": name,
                }
            )
        rows["consents"] += [
            {"consent_id": f"{purpose} {who}", "customer_id": who, "purpose": purpose, "state": "granted"}
            for purpose in PURPOSES
        ]
        rows["orders"] += [
            {"order_id": f"o-{who}-{m}", "customer_id": one, "kind": "order", "dealer_id": plate, "model": vehicle,
             "quantity": n + m, "amount_cents": 100 * m} for m, one in enumerate((who, who, second), 1)
        ]  # fmt: skip
    found = []
    for name, table in tables.items():
        schema = pa.schema([f for f in CANONICAL[name].arrow_schema if f.name != "superseded_at"])
        whole = pa.table({f.name: table[f.name] if f.name in table.column_names else pa.nulls(len(table), f.type) for f in schema}).cast(schema)  # fmt: skip
        more = [
            dict.fromkeys(schema.names) | {"happened_at": first, "known_at": first} | row
            for row in rows[name]
        ]
        joined = pa.concat_tables([whole, pa.Table.from_pylist(more, schema)])
        found.append(Delivery(CANONICAL[name], f"{name}.parquet", joined))
    return found


def loaded() -> LoadReport:
    """The delivery, loaded here: the first time or again."""
    until = dict.fromkeys(CANONICAL, END)
    return load(
        deliveries(), Path("var/warehouse"), complete_until=until, delivered_at=END, allow=list(CANONICAL)
    )


def desk_here() -> Desk:
    """A desk over what lies here."""
    scorers = {champion.task: Scorer(champion) for champion in registry.champions()}
    return Desk(scorers, Path("var/features"), ScoreLog(Path("var/score-log")), lambda: NOW)


def lived_in(shop: Path, here: Path) -> None:
    """A deployment in `here`, in which the canaries left every kind of trace: loaded, scored twice, asked about, answered repeatedly."""
    shutil.copytree(shop / "var", here / "var", symlinks=True)
    loaded()
    batch(connect(), datetime(2024, 6, 1))
    batch(connect(), END, valid_days=3)
    desk = desk_here()
    desk.scores([*CANARIES, "C00001", "C00002"])
    for canary in CANARIES:
        asked = {
            "customer_id": canary,
            "as_of": "2024-06-19T00:00:00Z",
            "events": {},
            "idempotency_key": f"key-{canary[:7]}",
        }
        desk.events(msgspec.convert(asked, EventsRequest, strict=False))
        desk.history(msgspec.convert({"customer_id": canary, "months": 2}, HistoryRequest))


def lived_in_elsewhere(shop: Path, here: Path, said: Path) -> None:
    """A deployment in `here` with canaries in it, made by a process of its own, whose words go into the file `said`."""
    living = (
        "import os; from pathlib import Path; from tests.serving.canaries import lived_in; "
        f"shop, here = Path({str(shop.absolute())!r}), Path({str(here.absolute())!r}); here.mkdir(); os.chdir(here); lived_in(shop, here)"
    )
    with said.open("wb") as words:
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", living], check=True, env=env, stdout=words, stderr=words)


def traces(place: Path, words: Iterable[str | bytes]) -> list[str]:
    """Files that hold one of the words, in their bytes or in what is packed in them; `place` is a folder or a file."""
    needles = [word.encode() if isinstance(word, str) else word for word in words]
    held = [place] if place.is_file() else place.rglob("*")
    files = sorted(one for one in held if one.is_file() and not one.is_symlink())
    return [
        str(file.relative_to(place.parent))
        for file in files
        if any(needle in content for content in _contents(file) for needle in needles)
    ]


def _contents(file: Path) -> Iterator[bytes]:
    yield file.read_bytes()
    if file.suffix == ".parquet":
        yield from _strings(pq.ParquetFile(file).read())
    elif file.suffix == ".arrow":
        with pa.OSFile(str(file)) as source:
            yield from _strings(pa.ipc.open_file(source).read_all())
    elif file.suffix == SUFFIX:
        yield from contents(file)


def _strings(table: pa.Table) -> Iterator[bytes]:
    yield str(table.schema.metadata).encode()
    for name in table.column_names:
        yield msgspec.json.encode(table[name].to_pylist(), enc_hook=str)
