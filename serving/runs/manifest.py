"""What a run says about itself: models, counts, and every file with its hash. It hashes itself too.

    MANIFEST.json   {"sha256": "...", "manifest": {...}}

so that one changed bit anywhere in a run, in this file as well, is found by `Manifest.read` or `damage`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from features.digest import sha256_of
from features.errors import BadRun
from serving.runs.schema import SCHEMA_VERSION

__all__ = ["MANIFEST", "FileFacts", "Manifest", "TaskFacts", "content_of", "damage"]

MANIFEST = "MANIFEST.json"


class FileFacts(msgspec.Struct, frozen=True):
    """Of one file: its hash, its size, and the rows of the table it holds."""

    sha256: str
    bytes: int
    rows: int = 0


class TaskFacts(msgspec.Struct, frozen=True):
    """Of one task: which model scored whom. scored + rejected + all that is excluded = the population. `unseen` counts rows with
    a word the model has not learned, by column: they were scored as if it were missing."""

    model_version: str
    model_digest: str
    purpose: str
    horizon_days: int
    scored: int
    rejected: int
    excluded: dict[str, int]
    unseen: dict[str, int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`content` is one hash over the tables: the same for the same rows and models, whatever the run is called and however
    often it was interrupted. `sequence` orders runs, clocks do not. `since` names the run that its rows say what moved since."""

    run: str
    sequence: int
    key: str
    as_of: datetime
    expires_at: datetime
    made_at: datetime
    warehouse: str
    rows: str
    population: int
    tasks: dict[str, TaskFacts]
    files: dict[str, FileFacts]
    content: str
    schema_version: int = SCHEMA_VERSION
    since: str = ""

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Raises `BadRun`, naming the file, when it is missing, altered or of a version this release does not read."""
        file = folder / MANIFEST
        try:
            written = file.read_bytes()
            body = msgspec.json.format(bytes(msgspec.json.decode(written, type=_Signed).manifest), indent=-1)
            found = msgspec.json.decode(body, type=cls)
        except OSError as error:
            raise BadRun(f"{file} cannot be read ({error.strerror}); roll back to another run") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRun(f"{file} is not as it was written; roll back to another run") from error
        if _sealed(body) != written:  # not `found`, encoded: a release before may have known fewer facts
            raise BadRun(f"{file} is not as it was written (SHA-256 differs); roll back to another run")
        if found.schema_version != SCHEMA_VERSION:
            raise BadRun(
                f"{file} is of schema version {found.schema_version}, this release reads {SCHEMA_VERSION}"
            )
        return found

    def encoded(self) -> bytes:
        """The bytes of the file: this, with the hash over it."""
        return _sealed(msgspec.json.encode(self))


def _sealed(body: bytes) -> bytes:
    signed = {"sha256": hashlib.sha256(body).hexdigest(), "manifest": msgspec.Raw(body)}
    return msgspec.json.format(msgspec.json.encode(signed), indent=1) + b"\n"


class _Signed(msgspec.Struct, frozen=True):
    sha256: str
    manifest: msgspec.Raw


def content_of(files: Mapping[str, FileFacts]) -> str:
    """One hash over the names and hashes of files."""
    listed = "".join(f"{name} {facts.sha256}\n" for name, facts in sorted(files.items()))
    return hashlib.sha256(listed.encode()).hexdigest()


def damage(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Everything about a run's folder that is not as its manifest says, in words."""
    there = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} - {MANIFEST}
    yield from (f"{folder / name} is in no manifest" for name in sorted(there - manifest.files.keys()))
    for name, facts in manifest.files.items():
        if name not in there:
            yield f"{folder / name} is missing"
        elif (folder / name).stat().st_size != facts.bytes or sha256_of(folder / name) != facts.sha256:
            yield f"{folder / name} is not as it was written (SHA-256 differs)"
    if content_of(manifest.files) != manifest.content:
        yield f"{folder / MANIFEST}: the content hash is not that of its files"
    for task, told in manifest.tasks.items():
        added = told.scored + told.rejected + sum(told.excluded.values())
        if added != manifest.population:
            yield f"{folder / MANIFEST}: {task} accounts for {added:,} of {manifest.population:,} customers"
