"""Complete Journey as our tables: days, clocks and sums on a small invented year, counts and figures on the real one."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from features.errors import BadData
from features.warehouse import Warehouse, connect
from serving.runs import Run, current
from training.comparison import compare
from training.dataset import dataset, split, telling
from training.grow import fit, numbers
from training.tasks import task_named
from worlds import demo, journey


def a_year(**changed: list[tuple[Any, ...]]) -> Path:
    """Files of the package's form: two baskets, a campaign sent to two households, one redemption."""
    at = datetime.fromisoformat
    files = {
        "transactions": ("household_id store_id basket_id product_id quantity sales_value coupon_disc coupon_match_disc transaction_timestamp", [
            (1, 300, 31198570044, 10, 2, 3.05, 0.55, 0.45, at("2017-03-01 23:10:00")),
            (1, 300, 31198570044, 11, 1, 0.1, 0.0, 0.0, at("2017-03-01 23:10:00")),
            (1, 300, 31198570044, 99, 9500, 20.0, 0.29, 0.0, at("2017-03-01 23:10:00")),
            (2, 301, 31198570099, 10, 1, 1.5, 0.0, 0.0, at("2017-03-03 04:59:59")),
        ]),
        "products": ("product_id product_type", [(10, "MILK"), (11, None), (99, "GASOLINE-REG UNLEADED")]),
        "campaigns": ("campaign_id household_id", [(5, 2), (5, 3)]),
        "campaign_descriptions": ("campaign_id campaign_type start_date end_date", [
            (5, "Type A", at("2017-03-02"), at("2017-04-01")),
        ]),
        "coupon_redemptions": ("household_id coupon_upc campaign_id redemption_date", [
            (2, 51380041013, 5, at("2017-03-03")),
        ]),
    }  # fmt: skip
    folder = Path("year")
    folder.mkdir()
    for name, (columns, rows) in files.items():
        frame = pd.DataFrame(changed.get(name, rows), columns=columns.split())
        frame.to_parquet(folder / f"{name}.parquet")
    return folder


def converted(source: str, folder: Path) -> list[dict[str, Any]]:
    report = journey.convert(Path("warehouse"), folder)
    assert sum(row["rejected"] for row in report.counts.values()) == 0
    db = connect("warehouse")
    table = db.tables[source]
    return db.engine.to_pyarrow(table.order_by("customer_id")).to_pylist()


def test_a_basket_is_an_order_with_what_coupons_took_off_and_fuel_is_no_piece() -> None:
    orders = converted("orders", a_year())
    named = ("customer_id", "amount_cents", "discount_cents", "quantity", "kind")
    assert [tuple(o[name] for name in named) for o in orders] == [
        ("H0001", 2315, 129, 3, "order"),
        ("H0002", 150, 0, 1, "order"),
    ]
    assert orders[0]["happened_at"] == orders[0]["known_at"] == datetime(2017, 3, 1, 23, 10)


def test_a_campaign_is_sent_when_its_first_day_begins() -> None:
    sent = converted("contacts", a_year())
    assert [(c["customer_id"], c["kind"], c["campaign"]) for c in sent] == [
        ("H0002", "sent", "5"),
        ("H0003", "sent", "5"),
    ]
    assert {c["happened_at"] for c in sent} == {datetime(2017, 3, 2, 5)}


def test_a_redemption_is_the_customers_deed_and_known_when_its_day_is_over() -> None:
    (redeemed,) = converted("touchpoints", a_year())
    assert (redeemed["customer_id"], redeemed["kind"]) == ("H0002", "coupon_redemption")
    assert redeemed["initiated_by"] == "customer"
    assert redeemed["happened_at"] == datetime(2017, 3, 3, 5)
    assert redeemed["known_at"] == datetime(2017, 3, 4, 5) - timedelta(seconds=1)


def test_a_household_is_known_from_its_first_basket_or_campaign() -> None:
    people = converted("customers", a_year())
    assert [(p["customer_id"], p["happened_at"]) for p in people] == [
        ("H0001", datetime(2017, 3, 1, 23, 10)),
        ("H0002", datetime(2017, 3, 2, 5)),
        ("H0003", datetime(2017, 3, 2, 5)),
    ]
    assert {p[c] for p in people for c in ("birth_year", "sex", "region")} == {None}


def test_the_day_after_a_campaign_asks_those_it_was_sent_to_and_counts_what_follows() -> None:
    converted("orders", a_year())
    db = connect("warehouse")
    dates = [datetime(2017, 3, day, 5) for day in (2, 3, 4)]
    rows = dataset(task_named("redemption", db), db, dates).frame
    assert set(rows["as_of"]) == {datetime(2017, 3, 3, 5)}, (
        "before it nobody was sent anything, after it is late"
    )
    assert list(zip(rows["customer_id"], rows["outcome"], strict=True)) == [("H0002", 1), ("H0003", 0)]
    assert rows["coupon_redemptions_ever"].tolist() == [0, 0], "what is asked about is not known yet"


def test_a_basket_after_the_year_refuses_the_files() -> None:
    early, late = datetime(2017, 12, 31), datetime(2018, 1, 1, 5, 0, 1)
    baskets = [(1, 300, basket, 10, 1, 1.0, 0.0, 0.0, at) for basket, at in ((1, early), (2, late))]
    with pytest.raises(BadData, match=r"orders, row \d: known_at is in the future of the delivery"):
        journey.convert(Path("warehouse"), a_year(transactions=baskets))


def test_the_plan_keeps_a_whole_window_between_fit_and_test() -> None:
    starts = [
        "2016-12-28",
        "2017-02-08",
        "2017-08-08",
        "2017-09-04",
        "2017-10-04",
        "2017-11-27",
        "2017-12-06",
    ]
    described = [(n, "Type A", datetime.fromisoformat(s), None) for n, s in enumerate(starts)]
    planned = journey.after_campaigns(a_year(campaign_descriptions=described))
    assert [f"{date:%m-%d %H}" for date in planned.fit] == ["02-09 05", "08-09 05"]
    assert [f"{date:%m-%d %H}" for date in planned.test] == ["10-05 05", "11-28 05"]
    assert planned.fit == planned.calibrate
    assert max(planned.fit) + timedelta(days=30) <= min(planned.test)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("journey")
    report = journey.convert(folder)
    assert {name: row["loaded"] for name, row in report.counts.items()} == {
        "customers": 2469,
        "orders": 155_848,
        "contacts": 6589,
        "touchpoints": 2102,
    }
    assert sum(row["rejected"] for row in report.counts.values()) == 0
    return connect(str(folder))


@pytest.mark.slow
def test_the_real_days_fit_together(real: Warehouse) -> None:
    """Redemptions meet baskets of their day: this is how we know what the baskets' clock shows."""
    orders = real.engine.to_pandas(real.tables["orders"].select("customer_id", "happened_at"))
    redeemed = real.engine.to_pandas(real.tables["touchpoints"].select("customer_id", "happened_at"))

    def met(shift: timedelta) -> float:
        days = set(zip(orders["customer_id"], (orders["happened_at"] - shift).dt.date, strict=True))
        return float(
            pd.Series(list(zip(redeemed["customer_id"], redeemed["happened_at"].dt.date, strict=True)))
            .isin(days)
            .mean()
        )

    assert met(timedelta(hours=5)) > 0.98
    assert met(timedelta()) < 0.9


@pytest.mark.slow
def test_figures_on_the_real_year(real: Warehouse) -> None:
    """ROC AUC at least .82 in autumn, learned from spring and summer, and above the rules."""
    task, planned = task_named("redemption", real), journey.after_campaigns()
    data = dataset(task, real, planned.dates)
    assert 0.12 < data.frame["outcome"].mean() < 0.16
    parts = split(data, planned)
    assert (len(parts.test), int(parts.test["outcome"].sum())) == (1897, 295)
    names = [feature.name for feature in telling(data.features, parts.fit)]
    model = fit(parts.fit, parts.calibrate, names, task.answers, categories=[*parts.levels])
    scored = {"model": model.probabilities(numbers(parts.test, names))}
    rules = {rule.name: rule.score(parts.test) for rule in task.rules}
    report = compare("redemption", parts.test, scored, rules, replicates=1)
    assert report.values("model")["auc"] >= 0.82
    assert report.values("model")["auc"] > max(report.values(rule)["auc"] for rule in rules) + 0.02
    assert report.values("model")["brier"] < 0.11


@pytest.mark.slow
def test_the_demo_runs_from_files_to_scores() -> None:
    """Trained, promoted, and everyone the last campaign was sent to has a score."""
    summary = demo.demo(demo.WORLDS["journey"], Console(quiet=True))
    assert summary["tasks"]["redemption"]["promoted"]
    run = Run.open(current(Path("var/journey/scores")))
    scores = pd.concat(part.to_pandas() for part in run.rows())
    assert len(scores) == 183
    assert set(scores["as_of"]) == {pd.Timestamp(journey.LAST_CAMPAIGN_SENT)}
