"""A trail of many actions of every kind, followed whole, then tampered with: each tampering is found, and the first bad record named.

python -m tests.faults.audits --actions 100000 --tamperings 1000        (make faults)
"""

import random
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, get_args

import typer

from features.audit import Entry, Trail, verify
from features.audit.trail import Action
from features.audit.verify import records
from features.errors import AuditBroken

__all__ = ["many_actions", "tampered_with"]

ACTIONS = get_args(Action)
WRITERS = 4
BYTES_PER_CHAIN = 1 << 20


def many_actions(folder: Path, anchors: Path, count: int, seed: int) -> Counter[str]:
    """Record actions of kinds drawn by seed, by several writers at once, some in one go; returns how many of each kind."""

    def write(writer: int) -> Counter[str]:
        dice, noted = random.Random(seed * WRITERS + writer), Counter[str]()
        trail = Trail(folder, anchors, most_bytes=BYTES_PER_CHAIN)
        left = count // WRITERS + (writer < count % WRITERS)
        while left:
            some = [_entry(dice) for _ in range(min(left, dice.choice((1, 1, 1, 2, 7))))]
            trail.note(*some)
            noted.update(one.action for one in some)
            left -= len(some)
        trail.close()
        return noted

    with ThreadPoolExecutor(WRITERS) as writers:
        return sum(writers.map(write, range(WRITERS)), Counter[str]())


def _entry(dice: random.Random) -> Entry:
    return Entry(
        who=dice.choice(("crm", "an adviser", "the batch")),
        action=dice.choice(ACTIONS),
        purpose=dice.choice(("marketing", "service")),
        result=dice.choice(("scored", "no_consent", "not_eligible", "refused")),
        subjects=[f"{dice.getrandbits(128):032x}" for _ in range(dice.choice((0, 1, 1, 1, 5)))],
        models={"churn": str(dice.randrange(9))},
    )


def _edit(lines: list[bytes], dice: random.Random) -> int:
    at = dice.randrange(len(lines))
    line = bytearray(lines[at])
    line[dice.randrange(len(line))] ^= 1 << dice.randrange(7)
    lines[at] = bytes(line)
    return at


def _remove(lines: list[bytes], dice: random.Random) -> int:
    at = dice.randrange(len(lines) - 1)
    del lines[at]
    return at


def _swap(lines: list[bytes], dice: random.Random) -> int:
    first, second = sorted(dice.sample(range(len(lines)), 2))
    lines[first], lines[second] = lines[second], lines[first]
    return first


def _insert(lines: list[bytes], dice: random.Random) -> int:
    at = dice.randrange(1, len(lines))
    lines.insert(at, lines[dice.randrange(at)])
    return at


def _cut_tail(lines: list[bytes], dice: random.Random) -> int:
    at = dice.randrange(len(lines))
    del lines[at:]
    return at


TAMPERINGS: dict[str, Callable[[list[bytes], random.Random], int]] = {
    "edited": _edit, "removed": _remove, "swapped": _swap, "put in": _insert, "tail cut": _cut_tail,
}  # fmt: skip


def tampered_with(
    chain: Path, anchors: Path, count: int, seed: int, room: Path
) -> dict[str, tuple[int, int]]:
    """Tamper with copies of a chain; by kind, how many of how many were found with the first bad record named."""
    dice, found = random.Random(seed), dict.fromkeys(TAMPERINGS, (0, 0))
    lines = chain.read_bytes().split(b"\n")[:-1]
    copy, anchored = room / "audit", room / "anchors"
    for folder in (copy, anchored):
        folder.mkdir(parents=True)
    shutil.copy(anchors / f"{chain.stem}.anchor", anchored)
    for n in range(count):
        kind = list(TAMPERINGS)[n % len(TAMPERINGS)]
        changed = list(lines)
        first_bad = TAMPERINGS[kind](changed, dice)
        (copy / chain.name).write_bytes(b"".join(line + b"\n" for line in changed))
        named, of = found[kind]
        found[kind] = (named + (_named(copy, anchored) == first_bad), of + 1)
    return found


def _named(folder: Path, anchors: Path) -> int | None:
    try:
        verify(folder, anchors)
    except AuditBroken as error:
        told = re.search(r"record (\d+)", str(error))
        return int(told[1]) if told else None
    return None


def main(
    actions: Annotated[int, typer.Option(help="how many actions")] = 100_000,
    tamperings: Annotated[int, typer.Option(help="how many tamperings")] = 1_000,
    seed: Annotated[int, typer.Option(help="of everything drawn")] = 1,
) -> None:
    """Write, follow, tamper; ends with 1 unless every action is one record and every tampering is found and named."""
    with tempfile.TemporaryDirectory() as name:
        folder, anchors = Path(name) / "audit", Path(name) / "anchors"
        noted = many_actions(folder, anchors, actions, seed)
        held = Counter(record.entry.action for record in records(folder))
        times = []
        for _ in range(3):
            began = time.perf_counter()
            sound = verify(folder, anchors)
            times.append(time.perf_counter() - began)
        print(
            f"seed {seed}: {actions:,} actions of {len(noted)} kinds, {sound.records:,} records in {sound.chains} chains"
        )
        print(f"verified {sound.records / min(times):,.0f} records/s (best of three)")
        chain = max(folder.glob("*.chain"), key=lambda file: file.stat().st_size)
        found = tampered_with(chain, anchors, tamperings, seed, Path(name) / "room")
    for kind, (named, of) in found.items():
        print(f"{kind}: {named} of {of} found, the first bad record named")
    if noted != held or sound.records != actions or any(named < of for named, of in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    typer.run(main)
