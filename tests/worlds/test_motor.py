"""Motor portfolio as our tables: renewals, lapses and clocks on a few invented contracts; what the file must not tell;
counts and figures on the real one."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from rich.console import Console

from features.certificate import Certificate
from features.delivery import Delivery
from features.errors import BadData, NoChampion, NoWarehouse
from features.load import load
from features.sources import CANONICAL
from features.warehouse import Warehouse, connect
from serving.runs import Run, current
from training import registry
from training.comparison import compare
from training.dataset import dataset, split, telling
from training.grow import PARAMETERS, ROUNDS, fit, numbers
from training.metrics import auc
from training.plan import Plan
from training.tasks import task_named
from training.train import train
from worlds import demo, motor

needs_portfolio = pytest.mark.skipif(bool(motor.absent()), reason=f"SKIPPED: {motor.absent()}")

# id, contract start, renewal, next renewal, lapse, premium, claims, their cost, registered
CONTRACTS = [
    (1, "2015-11-05", "2015-11-05", "2016-11-05", None, 222.52, 0, 0.0, 2004),
    (1, "2015-11-05", "2016-11-05", "2017-11-05", None, 213.78, 2, 80.5, 2004),
    (2, "2012-12-01", "2015-12-01", "2016-12-01", "2016-12-01", 380.2, 1, 12.34, 2012),
    (2, "2012-12-01", "2016-12-01", "2017-12-01", "2016-12-01", 390.0, 0, 0.0, 2012),
    (3, "2016-02-01", "2016-02-01", "2017-02-01", "2016-02-01", 100.0, 0, 0.0, 2016),
    (4, "2016-03-01", "2016-03-01", "2017-03-01", "2016-06-10", 150.01, 0, 0.0, 2017),
]


def portfolio(contracts: list[tuple[Any, ...]] = CONTRACTS) -> Path:
    """A file of the portfolio's form, with every column it has, leaks included."""
    names = "id date_start_contract date_last_renewal date_next_renewal date_lapse premium n_claims_year cost_claims_year year_matriculation"
    frame = pd.DataFrame(contracts, columns=names.split())
    for column in [name for name in frame.columns if name.startswith("date_")]:
        frame[column] = pd.to_datetime(frame[column])
    same = {
        "date_birth": pd.Timestamp("1970-05-01"), "date_driving_licence": pd.Timestamp("1990-01-01"),
        "distribution_channel": 1, "area": 0, "type_risk": 3, "type_fuel": "D", "power": 90, "lapse": 0, "payment": 0,
        **dict.fromkeys(motor.LEAKS[:6], 1),
    }  # fmt: skip
    frame.assign(**same).to_parquet("portfolio.parquet")
    return Path("portfolio.parquet")


def converted(source: str) -> list[dict[str, Any]]:
    report = motor.convert(Path("warehouse"), portfolio())
    assert sum(row["rejected"] for row in report.counts.values()) == 0
    db = connect("warehouse")
    return db.engine.to_pyarrow(db.tables[source].order_by("customer_id", "happened_at")).to_pylist()


def test_renewals_are_orders_and_a_lapse_cancels_the_last_one() -> None:
    orders = converted("orders")
    assert [
        (o["customer_id"], o["kind"], f"{o['happened_at']:%Y-%m-%d}", o["amount_cents"], o["cancels"])
        for o in orders
    ] == [
        ("M00001", "order", "2015-11-05", 22252, None),
        ("M00001", "order", "2016-11-05", 21378, None),
        ("M00002", "order", "2015-12-01", 38020, None),
        ("M00002", "cancellation", "2016-12-01", None, "M00002-20151201"),
        ("M00004", "order", "2016-03-01", 15001, None),
        ("M00004", "cancellation", "2016-06-10", None, "M00004-20160301"),
    ], "a renewal at or after the lapse never came into force"


def test_a_car_is_as_old_as_its_registration_and_known_since_the_contract() -> None:
    cars = converted("vehicles")
    assert [(c["customer_id"], c["happened_at"], c["known_at"]) for c in cars] == [
        ("M00001", datetime(2004, 7, 1), datetime(2015, 11, 5)),
        ("M00002", datetime(2012, 7, 1), datetime(2012, 12, 1)),
        ("M00004", datetime(2016, 3, 1), datetime(2016, 3, 1)),
    ]
    assert {(c["segment"], c["power_type"]) for c in cars} == {("car", "ICE")}


def test_claims_become_known_when_their_contract_year_ends() -> None:
    (claim,) = converted("visits")
    assert claim["customer_id"] == "M00002"
    assert claim["happened_at"] == claim["known_at"] == datetime(2016, 12, 1)
    assert (claim["kind"], claim["amount_cents"]) == ("repair", 1234)


def test_a_contract_is_asked_about_after_its_renewal_until_it_lapses() -> None:
    converted("orders")
    db = connect("warehouse")
    task = task_named("lapse", db)
    rows = dataset(task, db, [datetime(2015, 12, 2), datetime(2016, 3, 31)]).frame
    found = list(zip(rows["customer_id"], rows["as_of"], rows["outcome"], strict=True))
    assert found == [
        ("M00001", datetime(2015, 12, 2), 0),
        ("M00002", datetime(2015, 12, 2), 1),
        ("M00004", datetime(2016, 3, 31), 1),
    ]


def test_who_lapsed_since_the_renewal_is_not_asked_about() -> None:
    lapsed = (5, "2016-03-05", "2016-03-05", "2017-03-05", "2016-03-20", 99.0, 0, 0.0, 2010)
    motor.convert(Path("warehouse"), portfolio([*CONTRACTS, lapsed]))
    db = connect("warehouse")
    data = dataset(task_named("lapse", db), db, [datetime(2016, 3, 31)])
    assert data.frame["customer_id"].tolist() == ["M00004"]
    reasons = dict(zip(data.excluded["excluded"], data.excluded["customers"], strict=True))
    assert reasons == {"has cancelled already": 1, "renewed nothing in the last 30 days": 2}


def test_the_last_closed_quarter_is_the_last_there_is() -> None:
    planned = motor.last_closed_quarter()
    assert max(planned.test) + timedelta(days=366) == motor.END
    assert max(planned.fit) < min(planned.test)
    assert {after - before for before, after in zip(planned.dates, planned.dates[1:], strict=False)} == {
        timedelta(days=30)
    }, "thirty days apart, the moments ask about each renewal once"


@pytest.mark.parametrize("leak", motor.LEAKS)
def test_what_the_file_knows_of_its_extraction_is_refused(leak: str) -> None:
    """A delivery that carries such a column, in whichever table, is not as declared."""
    since = pa.array([datetime(2016, 1, 1)], pa.timestamp("us"))
    row = {"customer_id": ["a"], "happened_at": since, "known_at": since}
    people = Delivery(CANONICAL["customers"], "people.parquet", pa.table({"profile_id": ["a"], **row}))
    for name in ("customers", "vehicles", "orders"):
        leaking = pa.table({CANONICAL[name].key: ["b"], **row, leak: [1]})
        delivery = Delivery(CANONICAL[name], f"{name}.parquet", leaking)
        with pytest.raises(BadData, match=f"column '{leak}' is not declared for {name}"):
            load([people, delivery], Path("w"), complete_until=dict.fromkeys(CANONICAL, motor.END))


def test_no_leak_reaches_the_warehouse() -> None:
    """Other values in the leak columns change nothing that is loaded before a claim's year is over."""
    motor.convert(Path("honest"), portfolio())
    frame = pd.read_parquet("portfolio.parquet")
    frame.assign(**dict.fromkeys(motor.LEAKS[:6], 99)).to_parquet("other.parquet")
    motor.convert(Path("other"), Path("other.parquet"))
    assert connect("honest").digest == connect("other").digest


def test_where_the_portfolio_is_absent_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(motor, "PORTFOLIO", Path("nowhere.parquet"))
    with pytest.raises(NoWarehouse, match=r"put motor_portfolio\.parquet into \.\./shared/data"):
        motor.convert(Path("warehouse"))
    demo.main("motor")
    assert capsys.readouterr().out.startswith("skipped: the motor portfolio is not here")
    assert not Path("var").exists()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("motor")
    report = motor.convert(folder)
    assert {name: row["loaded"] for name, row in report.counts.items()} == {
        "customers": 31_843,
        "vehicles": 31_843,
        "orders": 43_660 + 5_699,
        "visits": 6_031,
    }
    assert sum(row["rejected"] for row in report.counts.values()) == 0
    return connect(str(folder))


@needs_portfolio
@pytest.mark.slow
def test_figures_on_the_real_portfolio(real: Warehouse) -> None:
    """ROC AUC at least .62 on the last closed quarter, above the rules; 28 to 32 % lapse."""
    task, planned = task_named("lapse", real), motor.last_closed_quarter()
    data = dataset(task, real, planned.dates)
    assert data.frame.groupby("as_of")["outcome"].mean().between(0.27, 0.34).all()
    parts = split(data, planned)
    assert not set(parts.fit["customer_id"]) & set(parts.test["customer_id"])
    names = [feature.name for feature in telling(data.features, parts.fit)]
    model = fit(parts.fit, parts.calibrate, names, task.answers, categories=[*parts.levels])
    scored = {"model": model.probabilities(numbers(parts.test, names))}
    ranks = {rule.name: rule.score(parts.test) for rule in task.rules}
    report = compare("lapse", parts.test, scored, ranks, replicates=1)
    assert 0.62 <= report.values("model")["auc"] < 0.70, "above that, suspect a leak"
    for rule in ranks:
        assert report.values("model")["auc"] > report.values(rule)["auc"] + 0.04


@needs_portfolio
@pytest.mark.slow
def test_a_warning_random_rows_and_all_columns_flatter() -> None:
    """A WARNING EXAMPLE, NEVER EVIDENCE: drawn at random and with what is only known later, the same booster seems
    to reach .89 and more. Most of it is the seniority, which tells when a contract ended."""
    frame = pd.read_parquet(motor.PORTFOLIO)
    outcome = (frame["lapse"] > 0).to_numpy(dtype=np.float64)
    columns = frame.drop(columns=["id", "lapse", "date_lapse", "type_fuel"])
    days = columns.apply(
        lambda c: (c - pd.Timestamp(2016, 1, 1)).dt.days if c.name.startswith("date_") else c
    )
    drawn = np.random.default_rng(7).random(len(frame)) < 0.7
    table = lgb.Dataset(days[drawn].to_numpy(dtype=np.float64), outcome[drawn], params={"verbosity": -1})
    booster = lgb.train({**PARAMETERS, "num_threads": 1}, table, num_boost_round=ROUNDS)
    scores = np.asarray(booster.predict(days[~drawn].to_numpy(dtype=np.float64)))
    assert auc(outcome[~drawn], scores, np.ones(len(scores))) > 0.88


# What the file states as of its extraction, delivered as though it had been known since the contract began.
ALL_COLUMNS = {
    "points": """
        SELECT kind || contract AS points_id, contract AS customer_id, kind, points, begun AS happened_at, begun AS known_at
        FROM (SELECT contract, min(begun) AS begun, unnest(['earned', 'redeemed', 'expired']) AS kind,
                     unnest([any_value(seniority), any_value(n_claims_history),
                             round(100 * any_value(r_claims_history))])::BIGINT AS points
              FROM years GROUP BY contract)""",
    "visits": """
        SELECT renewal AS visit_id, contract AS customer_id, contract AS vehicle_id, 'repair' AS kind,
               renewed - INTERVAL 1 DAY AS happened_at, happened_at AS known_at,
               round(cost_claims_year * 100)::BIGINT AS amount_cents
        FROM years WHERE n_claims_year > 0""",
}


@needs_portfolio
@pytest.mark.slow
def test_random_rows_and_all_columns_are_refused_with_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    """.89, were it believed. No column tells it alone; the hunt takes the seniority away and .65 is left. Nothing serves."""
    monkeypatch.setattr(motor, "ROWS", motor.ROWS | ALL_COLUMNS)
    motor.convert(Path("var/warehouse"))
    held = connect("var/warehouse")
    dates = motor.last_closed_quarter().dates
    at_random = Plan(tuple(dates), tuple(dates), tuple(dates), "by contract at the same dates")
    trained = train(task_named("lapse", held), held, at_random)
    assert trained.report.values("model")["auc"] > 0.87
    doubt, seal = trained.card.too_good, trained.card.certificate
    assert "too good to be true" in doubt
    assert seal is not None
    assert "points_earned_ever" in seal.finding, "the seniority"
    assert not trained.promoted
    assert trained.verdict.refused == [seal.finding]
    assert any("not tested after all it learned from" in words for words in trained.verdict.reserved)
    with pytest.raises(NoChampion):
        registry.champion("lapse")
    page = trained.page.read_text()
    assert "Not to be believed" in page
    assert doubt in page
    told = Certificate.from_json(
        mlflow.artifacts.load_text(f"runs:/{trained.run_id}/certificate.json").encode()
    )
    (hunt,) = (hunt for hunt in told.hunts if hunt.name == "too good to be true")
    fallen = float(re.search(r"to (0\.\d+) without points", hunt.accused[0].reason)[1])  # type: ignore[index]
    assert 0.6 < fallen < 0.7, "the honest figure"
    assert mlflow.get_run(trained.run_id).data.tags["too_good"] == doubt


@needs_portfolio
@pytest.mark.slow
def test_the_demo_runs_from_files_to_scores() -> None:
    """Trained, promoted, the honest figure on summary and report, and every contract renewed in June 2017 has a score."""
    summary = demo.demo(demo.WORLDS["motor"], Console(quiet=True))
    assert summary["tasks"]["lapse"]["promoted"]
    figure = summary["tasks"]["lapse"]["model"]["auc"]
    assert 0.62 <= figure < 0.66
    page = Path("var/motor/report/lapse.html").read_text()
    assert f"{figure:.3f} (" in page
    assert "Not to be believed" not in page
    assert Run.open(current(Path("var/motor/scores"))).manifest.tasks["lapse"].scored == 2635
