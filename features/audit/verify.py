"""Whether an audit trail is as it was written: every hash followed, every end compared with its anchors."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from features.audit.trail import ANCHOR, CHAIN, Record, chained, first_hash
from features.errors import AuditBroken

__all__ = ["Verified", "records", "verify"]


@dataclass(frozen=True)
class Verified:
    """What was found sound: how many chains and records, and the head (number of records, hash) of each chain."""

    chains: int
    records: int
    heads: dict[str, tuple[int, str]]


def verify(folder: Path, anchors: Path) -> Verified:
    """Follow every chain from its first record to its anchored end.

    Raises `AuditBroken` naming the chain and the first bad record, counted from 0. An unfinished last line is what a crash left of
    a record that nobody was answered for, and is passed over.
    """
    chains = {file.stem for file in folder.glob(f"*{CHAIN}")}
    anchored = {file.stem for file in anchors.glob(f"*{ANCHOR}")}
    if lost := sorted(anchored - chains):
        raise AuditBroken(
            f"chain {lost[0]} is anchored but not there: it was removed whole; look for a copy of {folder}"
        )
    heads = {name: _followed(name, folder, anchors) for name in sorted(chains)}
    return Verified(len(heads), sum(count for count, _ in heads.values()), heads)


def records(folder: Path) -> Iterator[Record]:
    """Every record, chain by chain, in the order written; unfinished ends are left out."""
    for file in sorted(folder.glob(f"*{CHAIN}")):
        for line in file.read_bytes().split(b"\n")[:-1]:
            yield msgspec.json.decode(line[65:], type=Record)


def _followed(name: str, folder: Path, anchors: Path) -> tuple[int, str]:
    expected = _anchors(name, anchors)
    *lines, _ = (folder / f"{name}{CHAIN}").read_bytes().split(b"\n")
    held, reached = first_hash(name), 0
    for number, line in enumerate(lines):
        content = line[65:]
        held = chained(held, content)
        if line[:65] != held + b" " or not content.startswith(b'{"number":%d,' % number):
            raise AuditBroken(
                f"chain {name}, record {number}: it or the one before it was changed, removed, put in or moved; all "
                f"{number} records before it are sound"
            )
        if expected.get(number + 1, held) != held:
            raise AuditBroken(
                f"chain {name}, record {number}: its anchor says another hash; the chain was written anew"
            )
        reached = number + 1
    furthest = max(expected, default=0)
    if reached < furthest:
        raise AuditBroken(
            f"chain {name}, record {reached}: it and what followed were cut off; anchors know of {furthest} records"
        )
    if reached > furthest:
        raise AuditBroken(
            f"chain {name}, record {furthest}: no anchor knows of it or of what follows; it was put in, or the process died "
            "between writing it and anchoring it, before anybody was answered"
        )
    return reached, held.decode()


def _anchors(name: str, anchors: Path) -> dict[int, bytes]:
    """How many records a chain had, and the hash then, at each addition. Raises `AuditBroken` where an anchor is no anchor."""
    file = anchors / f"{name}{ANCHOR}"
    found: dict[int, bytes] = {}
    *lines, _ = file.read_bytes().split(b"\n") if file.exists() else [b""]
    for place, line in enumerate(lines):
        count, _, held = line.partition(b" ")
        if not count.isdigit() or len(held) != 64 or int(count) <= max(found, default=0):
            raise AuditBroken(
                f"anchor {place} of chain {name} is not one: the anchors were changed; look for a copy of them"
            )
        found[int(count)] = held
    return found
