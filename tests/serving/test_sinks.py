"""Sinks: a CSV that no spreadsheet runs, and a PostgreSQL that holds a run once, whole, or not at all."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.engines import postgres_server
from features.errors import BadRun
from serving.runs import Run
from serving.sinks import postgres
from serving.sinks.csv_file import restored, safe, write_csv
from tests.serving.nights import night

MONDAY = """
-1+2        churn  .5  B  visits  0.3  1
=cmd|'/c'!A churn  .9  A  visits  1.0  1
@SUM        churn  .2  C  points  0.3  1
C,"1        churn  .4  B  points  0.3  1
a           churn  .1  C  points  0.2  1
a           order  .3  B  points  0.2  1
"""


@given(st.text(max_size=20))
def test_a_safe_cell_is_no_formula_and_gives_back_what_was_there(text: str) -> None:
    assert not safe(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert restored(safe(text)) == text


@pytest.mark.parametrize("bom", [False, True])
def test_csv_holds_the_wide_table(tmp_path: Path, bom: bool) -> None:
    run = night(tmp_path / "scores", MONDAY)
    assert write_csv(run, tmp_path / "out.csv", bom=bom) == 5
    written = (tmp_path / "out.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbf") == bom
    read = list(csv.DictReader(io.StringIO(written.decode("utf-8-sig"), newline="")))
    held = [row for table in run.rows("wide") for row in table.to_pylist()]
    assert [restored(row["customer_id"]) for row in read] == [row["customer_id"] for row in held]
    for row, before in zip(read, held, strict=True):
        assert float(row["churn_probability"]) == before["churn_probability"]
        assert restored(row["churn_reason_zh"]) == before["churn_reason_zh"]
        assert row["order_grade"] == (before["order_grade"] or "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "scores"]


def test_csv_that_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = night(tmp_path / "scores", MONDAY)
    (tmp_path / "out.csv").write_text("older")
    rows = Run.rows

    def fail(self: Run, table: str) -> Iterator[pa.Table]:
        yield next(rows(self, table))
        raise OSError("full")

    monkeypatch.setattr(Run, "rows", fail)
    with pytest.raises(OSError, match="full"):
        write_csv(run, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "older"
    assert not list(tmp_path.glob(".out.csv*"))


@pytest.mark.slow
def test_postgres_holds_a_run_once_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    psycopg = pytest.importorskip("psycopg")
    first, second, third = (night(tmp_path, MONDAY) for _ in range(3))
    with postgres_server() as address:

        def asked(question: str) -> list[Any]:
            with psycopg.connect(address) as connection:
                return list(connection.execute(question).fetchall())

        for _ in range(2):  # sent twice it is there once
            assert postgres.send(first, address) == 6
        assert asked("SELECT run, count(*) FROM propensity_scores GROUP BY 1") == [(first.name, 6)]
        rows = asked(
            "SELECT customer_id, task, probability, reasons->0->>'zh' FROM propensity_current ORDER BY 1, 2"
        )
        held = [row for table in first.rows() for row in table.to_pylist()]
        assert sorted(rows) == sorted((r["customer_id"], r["task"], r["probability"], r["reasons"][0]["zh"]) for r in held)  # fmt: skip
        cell, seen = postgres._cell, []

        def cut(value: Any) -> Any:
            seen.append(value)
            if len(seen) == 40:
                with psycopg.connect(address, autocommit=True) as other:
                    other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")  # fmt: skip
            return cell(value)

        monkeypatch.setattr(postgres, "_cell", cut)
        with pytest.raises(BadRun, match="it holds what it held before"):
            postgres.send(second, address)
        assert asked("SELECT run, is_current FROM propensity_runs") == [(first.name, True)]
        monkeypatch.setattr(postgres, "_cell", cell)
        postgres.send(second, address)
        postgres.send(third, address)
        assert asked("SELECT run, is_current FROM propensity_runs ORDER BY 1") == [(second.name, False), (third.name, True)]  # fmt: skip
        assert asked("SELECT count(*), count(DISTINCT run) FROM propensity_scores") == [(12, 2)]
        assert asked("SELECT count(*) FROM propensity_current") == [(6,)]
    with pytest.raises(BadRun, match=r"postgresql://crm:\*\*\*@127"):
        postgres.send(first, "postgresql://crm:secret@127.0.0.1:9/nowhere?connect_timeout=2")
