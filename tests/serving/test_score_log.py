"""The score log: what is written is read back to the bit, and no accident takes an earlier record with it."""

import os
import random
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from features.reasons import Reason
from serving.score_log import Column, LogFailed, LoggedModel, ScoreLog, Scores, records

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
REASON = Reason("order recency", "lowers", "Days since the last order: 34 days", "距上次下单的天数：34天")


def model(version: str = "1") -> LoggedModel:
    columns = (
        Column("orders_90d", "order frequency", "orders", "Orders", "订单"),
        Column("region", "region and origin", "region", "Region", "大区", ("north", "south")),
    )
    return LoggedModel(
        "churn",
        version,
        f"digest-{version}",
        ("silence",),
        (90, 180),
        columns,
        ("a", "b", "c"),
        ("甲", "乙", "丙"),
    )


def scores(count: int, seed: int = 0) -> Scores:
    luck = np.random.default_rng(seed)
    inputs = luck.normal(size=(count, 2))
    inputs[::3, 1] = np.nan
    return Scores(
        as_of=datetime(2026, 6, 30),
        origin="rows",
        customer_ids=[f"C{seed}-{n}" for n in range(count)],
        grades=["ABC"[n % 3] for n in range(count)],
        reasons=[[REASON] * (n % 3) for n in range(count)],
        probability=luck.random(count),
        outlook=luck.random((count, 2, 1)),
        inputs=inputs,
        base=luck.normal(size=count),
        contributions=luck.normal(size=(count, 3)),
    )


@pytest.mark.parametrize("count", [1, 2, 1_000, 1_001, 2_500])
def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path, count: int) -> None:
    log, given = ScoreLog(tmp_path), scores(count)
    ids = log.write(model(), given, NOW)
    assert len(set(ids)) == count
    for n in {0, count // 2, count - 1}:
        found = ScoreLog(tmp_path).read(ids[n])  # by another process, say
        assert (found.customer_id, found.grade, found.reasons) == (
            given.customer_ids[n], given.grades[n], given.reasons[n],
        )  # fmt: skip
        assert (found.model, found.scored_at, found.as_of, found.origin) == (
            model(),
            NOW,
            given.as_of,
            "rows",
        )
        assert found.probability == given.probability[n]
        assert found.base == given.base[n]
        for name in ("outlook", "inputs", "contributions"):
            assert getattr(found, name).tobytes() == getattr(given, name)[n].tobytes()


def test_a_score_keeps_the_model_that_gave_it(tmp_path: Path) -> None:
    log = ScoreLog(tmp_path)
    ids = [log.write(model(version), scores(2, n), NOW)[1] for n, version in enumerate("12312")]
    assert [log.read(score_id).model.version for score_id in ids] == list("12312")


def test_many_writers_and_many_segments(tmp_path: Path) -> None:
    logs = [ScoreLog(tmp_path, most_bytes=2_000) for _ in range(3)]
    ids = [logs[n % 3].write(model(), scores(3, n), NOW) for n in range(60)]
    assert len(list(tmp_path.glob("*.log"))) > 6
    for n, some in enumerate(ids):
        assert logs[(n + 1) % 3].read(some[2]).customer_id == f"C{n}-2"


@pytest.mark.parametrize(
    "unknown",
    [
        "",
        "x",
        "0" * 16 + "-0-0",
        "{segment}-0-0",
        "{segment}-1-0",
        "{segment}-ffffff-0",
        "{segment}-{at}-ff",
        "{segment}--1-0",
    ],
)
def test_an_id_that_names_no_score_is_no_key(tmp_path: Path, unknown: str) -> None:
    log = ScoreLog(tmp_path)
    segment, at, _ = log.write(model(), scores(2), NOW)[0].split("-")
    with pytest.raises((KeyError, LogFailed)):
        log.read(unknown.format(segment=segment, at=at))


def test_whatever_is_cut_off_or_changed_no_other_record_is_lost_and_no_false_one_read(tmp_path: Path) -> None:
    log = ScoreLog(tmp_path)
    ids = [log.write(model(), scores(2, n), NOW)[0] for n in range(8)]
    (segment,) = tmp_path.glob("*.log")
    whole = segment.read_bytes()
    begins = [*records(segment), len(whole)]
    luck = random.Random(1)
    for _ in range(40):
        cut = luck.randrange(len(whole))
        segment.write_bytes(whole[:cut])
        sound = [at for at, end in pairwise(begins) if end <= cut]
        assert list(records(segment)) == sound
        for n, score_id in enumerate(ids):
            if int(score_id.split("-")[1], 16) in sound:
                assert log.read(score_id).customer_id == f"C{n}-0"
            else:
                with pytest.raises((KeyError, LogFailed)):
                    log.read(score_id)
    for _ in range(200):
        bit, byte = 1 << luck.randrange(8), luck.randrange(len(whole))
        segment.write_bytes(whole[:byte] + bytes([whole[byte] ^ bit]) + whole[byte + 1 :])
        for n, score_id in enumerate(ids):
            try:
                assert log.read(score_id).customer_id == f"C{n}-0"
            except (KeyError, LogFailed):
                continue


def test_a_full_disk_refuses_and_later_scores_are_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ScoreLog(tmp_path)
    before = log.write(model(), scores(2), NOW)
    really = os.write

    def half(file: int, content: bytes) -> int:
        really(file, bytes(content[: len(content) // 2]))
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        with pytest.raises(LogFailed, match="No space left"):
            log.write(model(), scores(2, 1), NOW)
    after = log.write(model(), scores(2, 2), NOW)
    assert [log.read(one).customer_id for one in (before[0], after[0])] == ["C0-0", "C2-0"]


def test_a_killed_process_loses_no_score_it_had_told(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pathlib import Path
        from tests.serving.test_score_log import NOW, model, scores
        from serving.score_log import ScoreLog
        log = ScoreLog(Path({str(tmp_path)!r}))
        for n in range(10_000):
            print(log.write(model(), scores(3, n), NOW)[2], flush=True)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip() for _ in range(50)]
        os.kill(writer.pid, signal.SIGKILL)
        told += [line.strip() for line in writer.stdout if line.endswith("\n")]
    assert len(told) >= 50
    log = ScoreLog(tmp_path)
    assert [log.read(score_id).customer_id for score_id in told] == [f"C{n}-2" for n in range(len(told))]
