"""Plausibility: accidents stop a load before anything changes; weekends, holidays and growth do not."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from features.checks import findings
from features.delivery import Delivery
from features.errors import BadData
from features.load import LoadReport, app, load
from features.sources import CANONICAL

END = datetime(2025, 7, 1)
DAYS = 420
HOLIDAYS = (date(2024, 10, 1), date(2025, 5, 1))
Rows = dict[str, np.ndarray]


def per_day(day: date) -> int:
    """Sixty workshop visits on a weekday, twelve at the weekend, next to none on two holidays of a week."""
    if any(first <= day < first + timedelta(days=7) for first in HOLIDAYS):
        return 4
    return 12 if day.weekday() > 4 else 60


def visits() -> Rows:
    days = [END.date() - timedelta(days=n) for n in range(DAYS, 0, -1)]
    at = np.concatenate([np.full(per_day(day), np.datetime64(day, "s")) for day in days])
    luck = np.random.default_rng(5)
    n = len(at)
    return {
        "visit_id": np.char.add("v", np.arange(n).astype(str)),
        "customer_id": np.full(n, "a"),
        "happened_at": at,
        "known_at": at + np.timedelta64(3600, "s"),
        "kind": luck.choice(["maintenance", "maintenance", "repair"], n),
        "odometer_km": luck.integers(1_000, 150_000, n),
        "amount_cents": luck.integers(10_000, 900_000, n),
        "dealer_id": luck.choice(["d1", "d2"], n),
    }


def touchpoints() -> Rows:
    rows = visits()
    luck = np.random.default_rng(6)
    n = len(rows["visit_id"])
    kinds = luck.choice(["page_view", "app_open"], n)
    clocks = {name: rows[name] for name in ("customer_id", "happened_at", "known_at")}
    return clocks | {"touchpoint_id": rows["visit_id"], "kind": kinds, "initiated_by": np.full(n, "customer")}


def loaded(source: str, rows: Rows | pa.Table, end: datetime = END, **options: object) -> LoadReport:
    born = np.datetime64("2024-01-01", "s")
    people = pa.table({"profile_id": ["a"], "customer_id": ["a"], "happened_at": [born], "known_at": [born]})
    given = {"customers": people, source: rows if isinstance(rows, pa.Table) else pa.table(rows)}
    return load(
        [Delivery(CANONICAL[name], f"{name}.parquet", table) for name, table in given.items()],
        Path("warehouse"),
        complete_until=dict.fromkeys(CANONICAL, end),
        delivered_at=end,
        **options,  # type: ignore[arg-type]
    )


def recent(rows: Rows, days: int = 28) -> np.ndarray:
    return rows["known_at"] >= np.datetime64(END - timedelta(days=days), "s")


def only(rows: Rows, which: np.ndarray) -> Rows:
    return {name: values[which] for name, values in rows.items()}


def with_column(
    name: str, change: Callable[[np.ndarray], np.ndarray | list[None]]
) -> Callable[[Rows], pa.Table]:
    """The rows with a column changed in the last four weeks."""

    def changed(rows: Rows) -> pa.Table:
        now = recent(rows)
        values = rows[name].astype(object)
        values[now] = change(rows[name][now])
        return pa.table(rows | {name: pa.array(values.tolist())})

    return changed


def thin(rows: Rows) -> Rows:
    kept = ~recent(rows, 7) | (np.arange(len(rows["visit_id"])) % 10 == 0)
    return only(rows, kept)


def tenfold(days: int) -> Callable[[Rows], Rows]:
    """Ten times the rows in the last days, each under a key of its own."""

    def changed(rows: Rows) -> Rows:
        more = only(rows, recent(rows, days))
        many = {name: np.concatenate([rows[name], *[more[name]] * 9]) for name in rows}
        return many | {"visit_id": np.char.add("v", np.arange(len(many["kind"])).astype(str))}

    return changed


ACCIDENTS = {
    "visits.freshness": lambda rows: only(rows, ~recent(rows, 30)),
    "visits.volume": tenfold(7),
    "visits.volume ": tenfold(1),
    "visits.volume  ": thin,
    "visits.unit.odometer_km": with_column("odometer_km", lambda km: km * 1000),
    "visits.shift.odometer_km": with_column("odometer_km", lambda km: km + 600_000),
    "visits.unit.amount_cents": with_column("amount_cents", lambda cents: cents // 100),
    "visits.nulls.dealer_id": with_column("dealer_id", lambda ids: [None] * len(ids)),
    "visits.constant.odometer_km": with_column("odometer_km", np.zeros_like),
    "visits.constant.kind": with_column("kind", lambda kinds: np.full_like(kinds, "repair")),
}


def test_an_ordinary_delivery_keeps_all_checks() -> None:
    report = loaded("visits", visits())
    verdicts = {finding.check: finding.verdict for finding in report.findings if finding.source == "visits"}
    assert set(verdicts.values()) == {"ok"}, verdicts
    assert set(verdicts) == {"freshness", "volume", "nulls", "constant", "shift", "unit"}


@pytest.mark.parametrize("name", ACCIDENTS)
def test_an_accident_stops_the_load(name: str) -> None:
    accident = ACCIDENTS[name](visits())
    loaded("visits", visits())
    before = Path("warehouse/CURRENT").read_text()
    stops = name.strip()
    with pytest.raises(BadData, match=stops):
        loaded("visits", accident)
    assert Path("warehouse/CURRENT").read_text() == before
    (refused,) = Path("warehouse").glob("refused-*.json")
    assert stops in {
        ".".join(part for part in (f["source"], f["check"], f["column"]) if part)
        for f in json.loads(refused.read_text())["findings"]
        if f["verdict"] == "stop"
    }


def test_an_accident_can_be_allowed_by_name_and_is_recorded() -> None:
    metres = ACCIDENTS["visits.unit.odometer_km"](visits())
    with pytest.raises(BadData, match=r"--allow visits\.shift\.odometer_km"):
        loaded("visits", metres, allow=["visits.unit"])
    report = loaded("visits", metres, allow=["visits.unit", "visits.shift.odometer_km"])
    assert {f.name for f in report.findings if f.verdict == "allowed"} == {
        "visits.unit.odometer_km",
        "visits.shift.odometer_km",
    }
    assert "2 not kept" in str(report)
    facts = json.loads((report.folder / "load.json").read_text())
    assert facts["allowed"] == ["visits.shift.odometer_km", "visits.unit"]
    with pytest.raises(BadData, match="names no check"):
        loaded("visits", visits(), allow=["vists.volume"])


@pytest.mark.parametrize("days_ago", range(1, 64, 3))
def test_weekends_and_holidays_are_no_accident(days_ago: int) -> None:
    """Whatever the day of the delivery, within, before and after the holidays of May."""
    end = END - timedelta(days=days_ago)
    rows = only(visits(), visits()["known_at"] < np.datetime64(end, "s"))
    days = {str(day): int(n) for day, n in zip(*np.unique(rows["known_at"].astype("datetime64[D]"), return_counts=True), strict=True)}  # fmt: skip
    newest = str(rows["known_at"].max())
    described = {"visits": {"rows": len(rows["kind"]), "newest": newest, "days": days, "columns": {}}}
    found = findings(described, {"visits": end}, end, {})
    assert {finding.verdict for finding in found} == {"ok"}, found


@pytest.mark.parametrize(("days_ago", "stops"), [(1, True), (2, False), (6, False)])
def test_one_quiet_day_of_a_short_history_is_a_holiday_unless_it_is_the_last(
    days_ago: int, stops: bool
) -> None:
    """Half a year between two holidays, delivered on a Thursday, with one day of the last week missing."""
    rows, end = visits(), datetime(2025, 4, 24)
    day = rows["known_at"].astype("datetime64[D]")
    between = (day >= np.datetime64("2024-10-09")) & (day < np.datetime64(end, "D"))
    missing = only(rows, between & (day != np.datetime64(end - timedelta(days=days_ago), "D")))
    if stops:
        with pytest.raises(BadData, match=r"visits\.volume: 0 rows in 2025-04-23"):
            loaded("visits", missing, end)
    else:
        loaded("visits", missing, end)


def test_an_unknown_word_is_counted_and_stops_above_its_share() -> None:
    def with_new(share: float) -> pa.Table:
        rows = touchpoints()
        new = recent(rows) & (np.random.default_rng(1).random(len(rows["kind"])) < share)
        return pa.table(rows | {"kind": np.where(new, "vr_showroom", rows["kind"])})

    with pytest.raises(BadData, match=r"touchpoints\.words\.kind: (29|30|31)\.\d% of recent rows"):
        loaded("touchpoints", with_new(0.3))
    with pytest.raises(BadData, match=r"touchpoints\.words\.kind"):
        loaded("touchpoints", with_new(0.05), max_unknown_share=0.04)
    report = loaded("touchpoints", with_new(0.05))
    (finding,) = [f for f in report.findings if f.name == "touchpoints.words.kind"]
    assert finding.measured.startswith(("4.", "5.", "6."))
    (seen,) = [f for f in loaded("touchpoints", with_new(0.3)).findings if f.name == "touchpoints.words.kind"]
    assert seen.measured.startswith("0.0%"), "the load before held that word"


def test_the_load_before_is_the_measure_of_the_whole_history() -> None:
    """A whole history in metres, or a tenth of it, is consistent in itself."""
    rows = visits()
    loaded("visits", rows)
    with pytest.raises(BadData, match=r"visits\.unit\.odometer_km: .* in the load before"):
        loaded("visits", rows | {"odometer_km": rows["odometer_km"] * 1000})
    with pytest.raises(BadData, match=r"visits\.history: .* the load before had"):
        loaded("visits", only(rows, np.arange(len(rows["kind"])) % 10 == 0))
    without = pa.table(rows).drop_columns("dealer_id")
    with pytest.raises(BadData, match=r"visits\.nulls\.dealer_id: 100\.0% null"):
        loaded("visits", without)


def test_a_later_load_with_more_days_is_ordinary() -> None:
    rows = visits()
    early = END - timedelta(days=10)
    loaded("visits", only(rows, rows["known_at"] < np.datetime64(early, "s")), early)
    report = loaded("visits", rows)
    assert {f.verdict for f in report.findings if f.check == "history"} == {"ok"}


def test_the_report_can_be_read_later() -> None:
    report = loaded("visits", visits())
    shown = CliRunner().invoke(app, ["--report", "--to", "warehouse"])
    assert shown.exit_code == 0
    for said in ("visits.volume", "visits.nulls", "complete until", "2025-06-30 01:00:00"):
        assert said in shown.output
    assert report.in_full() in shown.output
    assert {asdict(finding)["verdict"] for finding in report.findings} <= {"ok", "not judged"}


def test_rare_words_are_not_named_in_a_profile() -> None:
    rows = touchpoints()
    rows["kind"] = rows["kind"].astype("U20")
    rows["kind"][:5] = "Zhang San"
    facts = json.loads((loaded("touchpoints", rows).folder / "load.json").read_text())
    assert "Zhang" not in json.dumps(facts)
    words = facts["profiles"]["touchpoints"]["columns"]["kind"]["all"]["words"]
    assert sum(words.values()) == len(rows["kind"]) - 5


def test_a_profile_is_what_can_be_counted_by_hand() -> None:
    rows = pa.table(visits())
    folder = loaded("visits", rows).folder
    described = json.loads((folder / "load.json").read_text())["profiles"]["visits"]
    everything = described["columns"]["odometer_km"]["all"]
    assert everything["rows"] == everything["told"] == rows.num_rows
    assert everything["mean"] == pytest.approx(pc.mean(rows["odometer_km"]).as_py())
    assert everything["sd"] == pytest.approx(pc.stddev(rows["odometer_km"]).as_py())
    assert described["days"]["2025-06-30"] == per_day(date(2025, 6, 30))
    assert sum(described["days"].values()) == rows.num_rows
