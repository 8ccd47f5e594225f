"""Motor portfolio: a Spanish insurer's real vehicle contracts, as our tables; who lapses by the next renewal.

52,014 contract years from November 2015 to June 2017 (Lledó and Pavía 2024, doi 10.17632/5cxyb5fp4f.2). It shows
people who own cars, pay every year and leave. It cannot show touchpoints, workshop visits or what replaced the car.
The file lies beside the project, `../shared/data/motor_portfolio.parquet`, and is read there, never copied.

    contract      customers    known since it began; the channel that sold it; year of birth (sensitive)
    car           vehicles     dated at mid-year of its first registration, known since the contract began
    renewal       orders       kind "order", the premium as its amount, in cents of euro
    lapse         orders       kind "cancellation" of the renewal it ends
    claims        visits       by proxy: one repair at the contract year's end, when its claims are known

A row whose lapse is at or before its renewal (16 %) never was in force and is left out. Days are local and stand
for midnight UTC. What the file states as of its extraction has no place at a renewal and is never loaded: `LEAKS`.

    python -m worlds.motor --to var/motor/warehouse
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import duckdb
import typer

from features.command import run
from features.contract import literal
from features.delivery import Delivery
from features.errors import NoWarehouse
from features.load import LoadReport, load
from features.sources import CANONICAL
from training.plan import Plan
from worlds.packaged import PUBLIC

__all__ = ["END", "LEAKS", "PORTFOLIO", "absent", "convert", "last_closed_quarter"]

# Lapses after 30 June 2017 are blanked.
END = datetime(2017, 7, 1)
PORTFOLIO = Path(__file__).parents[2] / "shared" / "data" / "motor_portfolio.parquet"
# As of the extraction, or of the contract year that only begins at the renewal.
LEAKS = (
    "seniority",
    "max_policies",
    "max_products",
    "value_vehicle",
    "n_claims_history",
    "r_claims_history",
    "n_claims_year",
    "cost_claims_year",
)

# Per source, the query that makes its rows from the contract years in force.
ROWS = {
    "customers": """
        SELECT contract AS profile_id, contract AS customer_id, min(begun) AS happened_at, min(begun) AS known_at,
               CASE any_value(distribution_channel) WHEN 0 THEN 'agent' ELSE 'broker' END AS acquisition_channel,
               CASE any_value(area) WHEN 1 THEN 'urban' ELSE 'rural' END AS region,
               year(any_value(date_birth)) AS birth_year
        FROM years GROUP BY contract""",
    "vehicles": """
        SELECT contract AS vehicle_event_id, contract AS customer_id, contract AS vehicle_id, 'delivery' AS kind,
               least(make_timestamp(any_value(year_matriculation), 7, 1, 0, 0, 0), min(begun)) AS happened_at,
               min(begun) AS known_at,
               CASE any_value(type_risk) WHEN 1 THEN 'motorcycle' WHEN 2 THEN 'van' WHEN 3 THEN 'car'
                                         ELSE 'agricultural' END AS segment,
               CASE WHEN any_value(type_fuel) IN ('P', 'D') THEN 'ICE' END AS power_type
        FROM years GROUP BY contract""",
    "orders": """
        SELECT renewal AS order_id, contract AS customer_id, 'order' AS kind, renewed AS happened_at,
               renewed AS known_at, NULL AS cancels, round(premium * 100)::BIGINT AS amount_cents
        FROM years
        UNION ALL BY NAME
        SELECT 'L' || contract AS order_id, contract AS customer_id, 'cancellation' AS kind,
               any_value(lapsed) AS happened_at, any_value(lapsed) AS known_at, max(renewal) AS cancels
        FROM years WHERE lapsed IS NOT NULL GROUP BY contract""",
    "visits": """
        SELECT renewal AS visit_id, contract AS customer_id, contract AS vehicle_id, 'repair' AS kind,
               ends AS happened_at, ends AS known_at, round(cost_claims_year * 100)::BIGINT AS amount_cents
        FROM years WHERE n_claims_year > 0 AND ends < $until""",
}


def absent() -> str:
    """Why this world cannot be tried here; empty when it can."""
    if PORTFOLIO.is_file():
        return ""
    return (
        "the motor portfolio is not here: put motor_portfolio.parquet into ../shared/data, beside the project"
    )


def convert(warehouse: Path, portfolio: Path | None = None) -> LoadReport:
    """Load the contract years into a warehouse; each contract is a customer.

    Raises `NoWarehouse` when the file is not there and `BadData` when a row breaks the contract.
    """
    portfolio = portfolio or PORTFOLIO
    if not portfolio.is_file():
        raise NoWarehouse(absent() or f"there is no file {portfolio}")
    return load(
        _deliveries(portfolio),
        warehouse,
        complete_until=dict.fromkeys(CANONICAL, END),
        delivered_at=END,
        without_consents=PUBLIC,
    )


def last_closed_quarter() -> Plan:
    """The renewals of April to June 2016 as the test, those since November 2015 to learn from.

    Every 30 days, so that each renewal is asked about once. A year's window leaves no room for an embargo in
    twenty months: the outcomes learned from were not all in at the test's dates. No contract is in both parts.
    """
    last = END - timedelta(days=366)
    dates = tuple(last - timedelta(days=30 * step) for step in reversed(range(8)))
    cut = "by contract; the test is later, but its windows overlap with those of the fit"
    return Plan(dates[:-3], dates[:-3], dates[-3:], cut, everyone=True)


def _deliveries(portfolio: Path) -> Iterator[Delivery]:
    engine = duckdb.connect()
    engine.execute(f"""
        CREATE TABLE years AS
        SELECT *, 'M' || lpad(id::VARCHAR, 5, '0') AS contract, date_last_renewal::TIMESTAMP AS renewed,
               contract || strftime(renewed, '-%Y%m%d') AS renewal, date_next_renewal::TIMESTAMP AS ends,
               date_lapse::TIMESTAMP AS lapsed, least(date_start_contract, date_last_renewal)::TIMESTAMP AS begun
        FROM read_parquet('{literal(str(portfolio))}')
        WHERE date_lapse IS NULL OR date_lapse > date_last_renewal""")
    for source, query in ROWS.items():
        rows = engine.sql(query.replace("$until", f"TIMESTAMP '{END}'")).to_arrow_table()
        yield Delivery(CANONICAL[source], portfolio.name, rows)


app = typer.Typer(add_completion=False)


@app.command()
def main(to: Annotated[Path, typer.Option(help="warehouse folder to write")]) -> None:
    """Convert the motor portfolio into a warehouse."""
    print(convert(to))


if __name__ == "__main__":
    run(app)
