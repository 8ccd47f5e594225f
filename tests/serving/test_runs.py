"""Runs: whole or not there, every byte accounted for, exactly once, and found again in a millisecond."""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features import nightly
from features.durable import put
from features.errors import BadData, BadRun, NoWarehouse, RunInProgress, UnknownName
from features.lock import held
from features.warehouse import connect
from serving import batch as command
from serving import parts
from serving.batch import batch
from serving.partition import believed
from serving.runs import Run, current, folder
from serving.runs.manifest import MANIFEST, Manifest
from serving.runs.schema import CHANCE, LONG, MOVED, REASON, wide
from serving.runs.tables import percentiles
from serving.scorer import Scorer
from tests.faults.runs import in_small_parts
from tests.shop import END
from training import registry

TASKS = ["churn", "purchase_intent"]


@pytest.fixture(autouse=True)
def _the_night_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop's feature rows are there already; these tests are about what comes after."""
    made = nightly.materialise

    def once(warehouse: Any, as_of: datetime) -> nightly.NightlyRows:
        there = nightly.latest()
        return there if there.as_of == as_of else made(warehouse, as_of)

    monkeypatch.setattr(nightly, "materialise", once)


def long(run: Run) -> pa.Table:
    return pa.concat_tables(run.rows())


def test_the_long_table_holds_what_the_models_say(in_shop: Path, tmp_path: Path) -> None:
    run = batch(connect(), END, scores=tmp_path)
    rows, table = nightly.latest().table(), long(run)
    assert table.schema.equals(LONG)
    for task in TASKS:
        scorer = Scorer(registry.champion(task))
        scored = scorer.score(rows)
        mine = table.filter(pc.equal(table["task"], task))
        assert (
            mine["customer_id"].to_pylist()
            == rows["customer_id"].filter(pa.array(scored.eligible)).to_pylist()
        )
        assert mine["probability"].to_numpy().tolist() == scored.probabilities.tolist()
        assert mine["grade"].to_pylist() == list(scored.grades)
        assert set(mine["model_version"].to_pylist()) == {"1"}
        parts = scorer.parts(scored.rows)
        concepts, reasons = scorer.explainer.by_concept(parts), scorer.explainer.reasons(scored.rows, parts)
        for row, sums, said in zip(mine["reasons"].to_pylist(), concepts, reasons, strict=True):
            assert [(r["concept"], r["direction"], r["en"], r["zh"]) for r in row] == [
                (r.concept, r.direction, r.en, r.zh) for r in said
            ]
            for reason in row:
                expected = sums[scorer.explainer.concepts.index(reason["concept"])]
                assert reason["contribution"] == pytest.approx(expected, abs=1e-12)


def test_percentiles_are_the_share_below(in_shop: Path, tmp_path: Path) -> None:
    run = batch(connect(), END, ["churn"], tmp_path)
    for row in long(run).to_pylist()[::97]:
        below = sum(p < row["probability"] for p in long(run)["probability"].to_pylist())
        assert row["percentile"] == pytest.approx(100 * below / len(long(run)))
    assert percentiles(np.array([0.1, 0.1, 0.3, 0.4]), np.array([0.1, 0.3, 0.4])).tolist() == [
        0.0,
        50.0,
        75.0,
    ]


def test_wide_long_lookup_and_ranking_say_the_same(in_shop: Path, tmp_path: Path) -> None:
    run = batch(connect(), END, scores=tmp_path)
    table = long(run)
    (wide_table,) = run.rows("wide")
    assert wide_table.schema.equals(wide(TASKS))
    assert wide_table["customer_id"].to_pylist() == sorted(set(table["customer_id"].to_pylist()))
    spread = {(row["customer_id"], task): row for row in wide_table.to_pylist() for task in TASKS}
    for row in table.to_pylist():
        held_wide = spread.pop((row["customer_id"], row["task"]))
        for column in ("probability", "percentile", "grade", "model_version"):
            assert held_wide[f"{row['task']}_{column}"] == row[column]
        assert held_wide[f"{row['task']}_reason_zh"] == row["reasons"][0]["zh"]
    assert all(row[f"{task}_probability"] is None for (_, task), row in spread.items())
    ids = [*random.Random(1).sample(table["customer_id"].to_pylist(), 40), "nobody", ""]
    expected = [row for one in dict.fromkeys(ids) for row in table.filter(pc.equal(table["customer_id"], one)).to_pylist()]  # fmt: skip
    assert run.scores(ids).to_pylist() == expected
    assert run.scores(ids, ["churn"]).to_pylist() == [row for row in expected if row["task"] == "churn"]
    for task in TASKS:
        mine = table.filter(pc.equal(table["task"], task))
        order = mine.sort_by([("probability", "descending"), ("customer_id", "ascending")])
        assert run.ranked(task).equals(order.select(run.ranked(task).column_names))
    with pytest.raises(UnknownName, match="churn, purchase_intent"):
        run.ranked("chrun")


@pytest.mark.usefixtures("own_shop")
def test_scored_rejected_and_excluded_are_the_population(tmp_path: Path) -> None:
    run = batch(connect(), datetime(2022, 2, 1), scores=tmp_path)
    assert run.manifest.population < 1500
    for task, facts in run.manifest.tasks.items():
        assert facts.scored + facts.rejected + sum(facts.excluded.values()) == run.manifest.population
        assert facts.scored == len(long(run).filter(pc.equal(long(run)["task"], task)))
        assert facts.scored == len(run.ranked(task))


def test_rows_that_cannot_be_believed_are_rejected_with_field_and_rule() -> None:
    rows = pa.table(
        {
            "customer_id": ["a", "b", "b", "", None, "c" * 65, "d", "e"],
            "visits": pa.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, float("inf"), None]),
            "unread": pa.array([float("inf")] * 8),
        }
    )
    good, bad = believed(rows, ["visits"], 100, "a")
    assert good["customer_id"].to_pylist() == ["b", "e"]
    assert [(line["row"], line["field"], line["rule"]) for line in bad.to_pylist()] == [
        (100, "customer_id", "is there twice"),
        (102, "customer_id", "is there twice"),
        (103, "customer_id", "is empty"),
        (104, "customer_id", "is empty"),
        (105, "customer_id", "is longer than 64 characters"),
        (106, "visits", "is not a finite number"),
    ]


@pytest.mark.parametrize(("poisoned", "published"), [(7, True), (40, False)])
def test_few_bad_rows_are_set_aside_and_many_stop_the_run(
    in_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoned: int, published: bool
) -> None:
    read, name = nightly.NightlyRows.read, "orders_per_year"
    name = next(n for n in registry.champion("churn").loaded.card.features if pa.types.is_floating(nightly.latest().schema.field(n).type))  # fmt: skip

    def poison(rows: nightly.NightlyRows, number: int) -> pa.Table:
        table = read(rows, number)
        values = table[name].to_pylist()
        values[:poisoned] = [float("inf")] * poisoned
        return table.set_column(table.column_names.index(name), name, pa.array(values, table.schema.field(name).type))  # fmt: skip

    monkeypatch.setattr(nightly.NightlyRows, "read", poison)
    if not published:
        with pytest.raises(BadData, match=rf"40 of 1,500 .*row 0: {name} is not a finite number"):
            batch(connect(), END, scores=tmp_path)
        assert not folder.runs(tmp_path)
        return
    run = batch(connect(), END, scores=tmp_path)
    (rejected,) = run.rows("rejected")
    assert Counter(rejected["field"].to_pylist()) == {name: poisoned}
    assert run.manifest.tasks["churn"].rejected == poisoned
    folder.verify(run.folder)


def test_a_run_is_the_same_to_the_byte_in_any_number_of_parts_done_at_any_time(
    in_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = batch(connect(), END, scores=tmp_path / "whole")
    small = nightly.materialise(connect(), END)
    assert small is not None
    many = in_small_parts(tmp_path / "rows.arrow", 200)
    monkeypatch.setattr(nightly, "materialise", lambda *_: many)
    scored, asked = parts.score_part, []

    def counted(*given: Any) -> Any:
        asked.append(len(given[1]))
        if len(asked) in (3, 5):
            raise KeyboardInterrupt
        return scored(*given)

    monkeypatch.setattr(parts, "score_part", counted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            batch(connect(), END, scores=tmp_path / "parts")
        assert not folder.runs(tmp_path / "parts")
    run = batch(connect(), END, scores=tmp_path / "parts")
    assert len(asked) == 8 + 2, "parts that were done are not done again"
    assert long(run).equals(long(whole))
    assert run.ranked("churn").equals(whole.ranked("churn"))
    again = batch(connect(), END, scores=tmp_path / "again")
    assert again.manifest.content == run.manifest.content
    assert not list((tmp_path / "parts").glob(".work-*"))


def test_another_model_or_date_does_not_go_on_with_what_was_begun(
    in_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_publish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        batch(connect(), END, scores=tmp_path)
    monkeypatch.undo()
    monkeypatch.chdir(in_shop)
    (begun,) = tmp_path.glob(".work-*")
    monkeypatch.setattr(nightly, "materialise", lambda *_: nightly.latest())
    run = batch(connect(), END, ["churn"], tmp_path)
    assert not begun.exists()
    assert list(run.manifest.tasks) == ["churn"]


def test_a_named_run_that_a_kill_kept_from_its_readers_is_only_pointed_at(
    in_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = folder.point
    monkeypatch.setattr(folder, "point", _cut)
    with pytest.raises(OSError, match="cut"):
        batch(connect(), END, scores=tmp_path)
    monkeypatch.setattr(folder, "point", point)
    with pytest.raises(NoWarehouse):
        current(tmp_path)
    (named,) = folder.runs(tmp_path)
    run = batch(connect(), END, scores=tmp_path)
    assert run.folder == named == current(tmp_path)


def _cut(*_: Any) -> None:
    raise OSError("cut")


def test_one_bit_anywhere_is_found_and_named(in_shop: Path, tmp_path: Path) -> None:
    run = batch(connect(), END, scores=tmp_path)
    seed = 20_241
    dice = random.Random(seed)
    files = sorted(file for file in run.folder.rglob("*") if file.is_file())
    for _ in range(25):
        file = dice.choice(files)
        written = bytearray(file.read_bytes())
        place, bit = dice.randrange(len(written)), dice.randrange(8)
        written[place] ^= 1 << bit
        put(file, bytes(written))
        with pytest.raises(BadRun, match=file.name.split(".")[0]) as raised:
            Run.open(run.folder)
        assert "rollback" in str(raised.value) or "roll back" in str(raised.value), (seed, place, bit)
        written[place] ^= 1 << bit
        put(file, bytes(written))
    Run.open(run.folder)


def test_missing_and_foreign_files_and_miscounted_customers_are_named(in_shop: Path, tmp_path: Path) -> None:
    run = batch(connect(), END, scores=tmp_path)
    extra = run.folder / "long" / "part-00009.parquet"
    pq.write_table(pa.table({"customer_id": ["x"]}), extra)
    with pytest.raises(BadRun, match=r"part-00009.parquet is in no manifest"):
        folder.verify(run.folder)
    extra.unlink()
    (run.folder / "wide" / "part-00000.parquet").rename(tmp_path / "aside")
    with pytest.raises(BadRun, match=r"wide/part-00000.parquet is missing"):
        folder.verify(run.folder)
    (tmp_path / "aside").rename(run.folder / "wide" / "part-00000.parquet")
    (run.folder / MANIFEST).unlink()
    with pytest.raises(BadRun, match=r"MANIFEST.json cannot be read"):
        Manifest.read(run.folder)


def test_roll_back_switches_the_pointer_to_a_verified_run_and_is_remembered(
    in_shop: Path, tmp_path: Path
) -> None:
    first, second = (batch(connect(), END, scores=tmp_path) for _ in range(2))
    assert (first.manifest.sequence, second.manifest.sequence) == (1, 2)
    assert folder.rollback(tmp_path) == first.folder == current(tmp_path)
    with pytest.raises(BadRun, match="no run before"):
        folder.rollback(tmp_path)
    assert folder.rollback(tmp_path, second.name) == current(tmp_path)
    for name in ("../x", "/etc", "run-000001-x", "a/../../b"):
        with pytest.raises(BadRun, match="no run of that name"):
            folder.rollback(tmp_path, name)
    put(first.folder / MANIFEST, b"{}")
    with pytest.raises(BadRun, match="MANIFEST"):
        folder.rollback(tmp_path)
    assert current(tmp_path) == second.folder
    history = (tmp_path / folder.HISTORY).read_text().splitlines()
    assert [line.split('"what": "')[1].split('"')[0] for line in history] == ["published", "published", "rolled back", "rolled back"]  # fmt: skip
    assert folder.prune(tmp_path, 1) == [first.folder]
    assert folder.runs(tmp_path) == [second.folder]


def test_a_day_that_has_not_come_is_refused_and_leaves_nothing(in_shop: Path, tmp_path: Path) -> None:
    rows = sorted(path.name for path in nightly.rows_folder().iterdir())
    command = [sys.executable, "-m", "serving.batch", "--as-of", "2031-01-01"]
    environment = os.environ | {"SCORES_URL": str(tmp_path / "scores")}
    done = subprocess.run(command, cwd=in_shop, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "2031-01-01 has not come for the event tables, which are complete until" in done.stderr
    assert not (tmp_path / "scores").exists()
    assert sorted(path.name for path in nightly.rows_folder().iterdir()) == rows


def test_who_comes_second_leaves_naming_the_holder(in_shop: Path, tmp_path: Path) -> None:
    with held(tmp_path):
        with pytest.raises(RunInProgress, match=rf"process {os.getpid()} on .* since .*nothing was changed"):
            batch(connect(), END, scores=tmp_path)
        with pytest.raises(RunInProgress):
            folder.rollback(tmp_path)
    holding = "import sys, time; from pathlib import Path; from features.lock import held\nwith held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", holding, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(RunInProgress, match=f"process {holder.pid}"):
            batch(connect(), END, scores=tmp_path)
        holder.kill()
        holder.wait()
        batch(connect(), END, scores=tmp_path)  # a dead holder holds nothing


def test_duckdb_reads_the_public_tables_by_their_documented_names(in_shop: Path, tmp_path: Path) -> None:
    run = batch(connect(), END, scores=tmp_path)
    found = duckdb.sql(
        f"SELECT task, count(*), count(DISTINCT customer_id), sum(len(reasons)) FROM '{run.folder}/long/*.parquet' GROUP BY 1 ORDER BY 1"
    ).fetchall()
    for task, rows, customers, reasons in found:
        assert rows == customers == run.manifest.tasks[task].scored
        assert rows <= reasons <= 3 * rows
    documented = (Path(__file__).parents[2] / "docs" / "runs-of-scores.md").read_text()
    for name in {*LONG.names, *wide(["churn"]).names, *_fields(CHANCE), *_fields(REASON), *_fields(MOVED)}:
        assert f"`{name.replace('churn_', 'TASK_')}`" in documented, name


def _fields(kind: pa.StructType) -> Iterator[str]:
    yield from (field.name for field in kind)


def test_a_score_expires(in_shop: Path, tmp_path: Path) -> None:
    run = batch(connect(), END, ["churn"], tmp_path, valid_days=3)
    assert run.manifest.expires_at == END + timedelta(days=3)
    assert set(long(run)["expires_at"].to_pylist()) == {END + timedelta(days=3)}
