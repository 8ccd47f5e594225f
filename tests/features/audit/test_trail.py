"""The audit trail: what was noted is read back, and nothing that was changed goes unseen."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.audit import Entry, Trail, verify
from features.audit.verify import records
from features.errors import AuditBroken, NotAudited

CHAINS, ANCHORS = Path("var/audit"), Path("var/anchors")


def entry(n: int = 0) -> Entry:
    return Entry(
        who="crm",
        action="score",
        purpose="marketing",
        result="scored",
        subjects=[f"p{n}"],
        models={"churn": "3"},
    )


def trail(count: int = 40) -> Trail:
    made = Trail(CHAINS, ANCHORS)
    for n in range(count):
        made.note(entry(n))
    return made


def the_chain() -> Path:
    (chain,) = CHAINS.glob("*.chain")
    return chain


def test_what_was_noted_is_read_back_in_order() -> None:
    trail(5).note(entry(5), entry(6))
    found = list(records(CHAINS))
    assert [record.number for record in found] == list(range(7))
    assert [record.entry.subjects for record in found] == [[f"p{n}"] for n in range(7)]
    assert sorted(record.at for record in found) == [record.at for record in found]
    assert verify(CHAINS, ANCHORS).records == 7


def test_no_trail_is_sound_and_empty() -> None:
    assert verify(CHAINS, ANCHORS).records == 0


def test_threads_share_a_trail_and_every_note_is_one_record() -> None:
    shared = Trail(CHAINS, ANCHORS)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: shared.note(entry(n)), range(400)))
    assert sorted(record.entry.subjects[0] for record in records(CHAINS)) == sorted(
        f"p{n}" for n in range(400)
    )
    assert verify(CHAINS, ANCHORS).records == 400


def test_a_full_chain_is_followed_by_another() -> None:
    small = Trail(CHAINS, ANCHORS, most_bytes=1_000)
    for n in range(20):
        small.note(entry(n))
    found = verify(CHAINS, ANCHORS)
    assert found.chains > 1
    assert found.records == 20


def test_what_cannot_be_recorded_is_not_done() -> None:
    CHAINS.parent.mkdir()
    CHAINS.write_text("a file where the folder should be")
    with pytest.raises(NotAudited, match="nothing was done"):
        Trail(CHAINS, ANCHORS).note(entry())


def test_a_disk_that_fills_up_ends_the_chain_and_loses_no_earlier_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = trail(3)
    write, before = os.write, list[int]()

    def full(file: int, content: bytes) -> int:
        if before:
            raise OSError(28, "No space left on device")
        before.append(file)
        return write(file, bytes(content)[:20])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(NotAudited, match="No space left"):
            made.note(entry(3))
    made.note(entry(4))
    assert sorted(record.entry.subjects[0] for record in records(CHAINS)) == ["p0", "p1", "p2", "p4"]
    assert verify(CHAINS, ANCHORS).records == 4


def edited(lines: list[bytes], dice: random.Random) -> list[bytes]:
    at = dice.randrange(len(lines))
    line = bytearray(lines[at])
    line[dice.randrange(len(line))] ^= 1 << dice.randrange(7)
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def removed(lines: list[bytes], dice: random.Random) -> list[bytes]:
    at = dice.randrange(len(lines))
    return [*lines[:at], *lines[at + 1 :]]


def swapped(lines: list[bytes], dice: random.Random) -> list[bytes]:
    one, other = dice.sample(range(len(lines)), 2)
    changed = list(lines)
    changed[one], changed[other] = lines[other], lines[one]
    return changed


def doubled(lines: list[bytes], dice: random.Random) -> list[bytes]:
    at = dice.randrange(len(lines) + 1)
    return [*lines[:at], dice.choice(lines), *lines[at:]]


def cut(lines: list[bytes], dice: random.Random) -> list[bytes]:
    return lines[: dice.randrange(len(lines))]


@pytest.mark.parametrize("tampering", [edited, removed, swapped, doubled, cut])
def test_every_tampering_is_found(tampering: object) -> None:
    trail()
    sound = the_chain().read_bytes()
    dice = random.Random(11)
    for _ in range(200):
        changed = tampering(sound.split(b"\n")[:-1], dice)  # type: ignore[operator]
        the_chain().write_bytes(b"".join(line + b"\n" for line in changed))
        with pytest.raises(AuditBroken, match="record"):
            verify(CHAINS, ANCHORS)
    the_chain().write_bytes(sound)
    assert verify(CHAINS, ANCHORS).records == 40


def test_the_first_bad_record_is_named() -> None:
    trail()
    lines = the_chain().read_bytes().split(b"\n")
    lines[17] = lines[17].replace(b"scored", b"unseen")
    the_chain().write_bytes(b"\n".join(lines))
    with pytest.raises(AuditBroken, match=r"record 17: .* all 17 records before it are sound"):
        verify(CHAINS, ANCHORS)


def test_a_chain_written_anew_with_right_hashes_is_found_by_its_anchors() -> None:
    trail()
    chain = the_chain()
    forger = Trail(Path("forged"), Path("thrown away"))
    for n in range(40):
        forger.note(entry(n + 1))
    (forged,) = Path("forged").glob("*.chain")
    forged.rename(chain)
    with pytest.raises(AuditBroken, match=f"chain {chain.stem}, record 0"):
        verify(CHAINS, ANCHORS)


def test_a_chain_removed_whole_is_found_and_so_is_one_put_in() -> None:
    trail()
    chain = the_chain()
    chain.rename("elsewhere")
    with pytest.raises(AuditBroken, match="removed whole"):
        verify(CHAINS, ANCHORS)
    Path("elsewhere").rename(chain)
    forger = Trail(CHAINS, Path("thrown away"))
    forger.note(entry())
    with pytest.raises(AuditBroken, match="no anchor knows"):
        verify(CHAINS, ANCHORS)


NOTING = """
import sys
from pathlib import Path
from features.audit import Entry, Trail
trail = Trail(Path("var/audit"), Path("var/anchors"))
n = 0
while True:
    trail.note(Entry(who="crm", action="score", purpose="marketing", result="scored", subjects=[f"p{n}"]))
    print(n, flush=True)
    n += 1
"""


def test_no_acknowledged_action_is_without_its_record_after_a_kill() -> None:
    dice = random.Random(5)
    acknowledged = 0
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", NOTING], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(dice.random() / 20)
            process.send_signal(signal.SIGKILL)
            said = [int(line) for line in process.stdout.read().split("\n")[:-1]]
        acknowledged += max(said, default=0) + 1
    assert len(list(records(CHAINS))) >= acknowledged


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "features.audit", *words], capture_output=True, text=True, check=False
    )


def test_the_command_tells_and_its_exit_code_says_so() -> None:
    trail()
    sound = command("verify")
    assert sound.returncode == 0
    assert "sound: 40 records in 1 chains" in sound.stdout
    assert len(command("list", "--last", "7").stdout.splitlines()) == 7
    the_chain().write_bytes(b"\n".join(the_chain().read_bytes().split(b"\n")[:30]) + b"\n")
    broken = command("verify")
    assert broken.returncode == 1
    assert re.match(r"error: chain [0-9a-f]{16}, record 30: .*cut off", broken.stderr)
