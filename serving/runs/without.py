"""Some customers taken out of the tables of a run: who took a consent back while it was made, who is to be forgotten.

    with last_look(folder, files, tasks) as (files, tasks):        while the ledger stands still
        publish(...)

Percentiles and promises stay as they were made, among all who were scored: they name nobody.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.standing import Standing, Taken
from serving.runs.allowed import Gone, ids, of_gone, of_persons
from serving.runs.manifest import FileFacts, TaskFacts
from serving.runs.tables import widened, write_arrow, write_lookup, write_parquet

__all__ = ["last_look", "outdated", "without"]

Files = Mapping[str, FileFacts]
Tasks = Mapping[str, TaskFacts]


@contextmanager
def last_look(
    folder: Path, files: Files, tasks: Tasks, standing: Standing | None = None
) -> Iterator[tuple[dict[str, FileFacts], dict[str, TaskFacts]]]:
    """The files and facts of a run without anybody who does not allow it by now; and nobody can take anything back before the
    run is published. Raises `LedgerUnreadable`."""
    standing = standing or Standing.here()
    standing.begin()
    taken = standing.now()
    files, tasks = without(folder, files, tasks, _gone(folder, tasks, taken))
    with standing.ledger.still():
        if (later := standing.now()) is not taken:
            files, tasks = without(folder, files, tasks, _gone(folder, tasks, later))
        yield dict(files), dict(tasks)


def without(folder: Path, files: Files, tasks: Tasks, gone: Gone) -> tuple[Files, Tasks]:
    """Write the tables in `folder` anew without the customers `gone`; returns what a manifest says of files and tasks. What was
    counted as scored is counted as excluded, for the reason given."""
    if not any(gone.values()):
        return files, tasks
    made = dict(files)
    for name in sorted(files):
        if name.startswith("long/"):
            made |= _part(folder, Path(name).stem, list(tasks), gone)
    counted = {}
    for task, facts in tasks.items():
        place = folder / "ranked" / f"{task}.arrow"
        ranked = _table(place)
        kept = ranked.filter(pc.invert(of_persons(ranked, gone.get(task, {}))))
        why = Counter(gone.get(task, {})[one] for one in ids(ranked) if one in gone.get(task, {}))
        if why:
            place.unlink()
            made[f"ranked/{task}.arrow"] = write_arrow(place, kept.combine_chunks())
        excluded = Counter(facts.excluded) + why
        counted[task] = msgspec.structs.replace(
            facts, scored=facts.scored - why.total(), excluded=dict(sorted(excluded.items()))
        )
    return made, counted


def outdated(folder: Path, tasks: Tasks) -> bool:
    """Whether a run names somebody who does not allow it by now."""
    return any(_gone(folder, tasks, Standing.here().now()).values())


def _gone(folder: Path, tasks: Tasks, taken: Taken) -> Gone:
    if not taken.no:
        return {}
    return {
        task: taken.refusals(ids(_table(folder / "ranked" / f"{task}.arrow")), facts.purpose)
        for task, facts in tasks.items()
    }


def _part(folder: Path, part: str, tasks: list[str], gone: Gone) -> dict[str, FileFacts]:
    """The tables of one part, written anew where they name somebody who is gone."""
    table = pq.read_table(folder / f"long/{part}.parquet", memory_map=False)
    mine = of_gone(table, gone)
    if not pc.any(mine).as_py():
        return {}
    long = table.filter(pc.invert(mine)).combine_chunks()
    concepts = pq.read_table(folder / f"concepts/{part}.parquet", memory_map=False)
    segments = pq.read_table(folder / f"segments/{part}.parquet", memory_map=False)
    concepts = concepts.filter(pc.invert(of_gone(concepts, gone)))
    segments = segments.filter(pc.is_in(segments["customer_id"], pc.unique(long["customer_id"])))
    tables = {"long": long, "wide": widened(long, tasks), "concepts": concepts, "segments": segments}
    places = {name: f"{name}/{part}.parquet" for name in tables} | {"lookup": f"lookup/{part}.arrow"}
    for place in places.values():
        (folder / place).unlink()
    made = {places[name]: write_parquet(folder / places[name], content) for name, content in tables.items()}
    return made | {places["lookup"]: write_lookup(folder / places["lookup"], long)}


def _table(place: Path) -> pa.Table:
    with pa.OSFile(str(place)) as source:
        return pa.ipc.open_file(source).read_all()
