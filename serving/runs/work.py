"""A run being made: parts that are done stay done, whatever kills the process, and the rest is made when it is called again.

    .work-<key>/part-00003.arrow, part-00003.concepts.arrow    what came of a part
               /part-00003.json                                written last: counts, and the hashes of the two
               /run/                                           the folder that will be published

The key is a hash over everything the result depends on, so parts of another date, delivery or model never mix.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from features.digest import sha256_of
from features.durable import put, writing
from serving.partition import Part
from serving.runs.schema import STAGED

__all__ = ["Done", "Work"]

FACTS = "work.json"
BESIDES = ("concepts", "segments", "forecast", "rejected")


class Done(msgspec.Struct, frozen=True):
    """A finished part: what it counted by task, and the hashes of its files."""

    counts: dict[str, dict[str, int]]
    unseen: dict[str, dict[str, int]]
    hashes: dict[str, str]
    rejected: int
    seconds: float = 0.0


class Work:
    """The folder in which the run with that key is made. Other keys' leftovers are removed: nobody will finish them."""

    def __init__(self, scores: Path, key: str) -> None:
        self.folder, self.key = scores / f".work-{key[:16]}", key
        for left in scores.glob(".work-*"):
            if left != self.folder:
                shutil.rmtree(left)
        for left in scores.glob(".gone-*"):
            shutil.rmtree(left)
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def run(self) -> Path:
        """The folder that will be published."""
        return self.folder / "run"

    def remember(self, name: str, value: str) -> None:
        """Keep a fact for whoever goes on with this work."""
        put(self.folder / FACTS, msgspec.json.encode({**self._facts(), name: value}))

    def remembered(self, name: str) -> str:
        """What was kept under that name; empty where nothing was."""
        return self._facts().get(name, "")

    def _facts(self) -> Mapping[str, str]:
        try:
            return msgspec.json.decode((self.folder / FACTS).read_bytes(), type=dict[str, str])
        except (OSError, msgspec.DecodeError):
            return {}

    def done(self, number: int) -> Done | None:
        """What a finished part counted; None where it has to be made."""
        try:
            found = msgspec.json.decode(self._file(number, "json").read_bytes(), type=Done)
            sound = all(sha256_of(self.folder / name) == sha for name, sha in found.hashes.items())
        except (OSError, msgspec.DecodeError):
            return None
        return found if sound else None

    def keep(self, number: int, part: Part, seconds: float = 0.0) -> Done:
        """Write a part; it counts once its last file is there."""
        tables = {"arrow": part.long, **{f"{name}.arrow": getattr(part, name) for name in BESIDES}}
        for old in self.folder.glob(f"part-{number:05d}.*"):
            old.unlink()
        hashes = {}
        for kind, table in tables.items():
            file = self._file(number, kind)
            with writing(file) as sink:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                with pa.ipc.new_file(pa.PythonFile(sink, "w"), table.schema, options=options) as writer:
                    writer.write_table(table)
            hashes[file.name] = sink.sha256
        made = Done(part.counts, part.unseen, hashes, len(part.rejected), seconds)
        put(self._file(number, "json"), msgspec.json.encode(made))
        return made

    def long(self, number: int) -> pa.Table:
        """The scores of a finished part: the long table without percentiles."""
        return self._read(number, "arrow")

    def beside(self, number: int, name: str) -> pa.Table:
        """Another table of a part: one of `BESIDES`."""
        return self._read(number, f"{name}.arrow")

    def scored(self, number: int, task: str) -> pa.Table:
        """The customers of a part that were scored for a task, with probability and grade."""
        table = self._read(number, "arrow", ["customer_id", "task", "probability", "grade"])
        return table.filter(pc.equal(table["task"], task)).drop_columns("task")

    def again(self) -> None:
        """Begin the folder to be published anew; parts stay."""
        shutil.rmtree(self.run, ignore_errors=True)
        self.run.mkdir()

    def clear(self) -> None:
        """The run is published: nobody needs its parts any more."""
        shutil.rmtree(self.folder)

    def _file(self, number: int, kind: str) -> Path:
        return self.folder / f"part-{number:05d}.{kind}"

    def _read(self, number: int, kind: str, columns: Sequence[str] | None = None) -> pa.Table:
        with pa.OSFile(str(self._file(number, kind))) as source:
            wanted = [STAGED.get_field_index(name) for name in columns] if columns else None
            return pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=wanted)).read_all()
