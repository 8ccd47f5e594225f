"""CDNOW: a real log of compact-disc orders, as our tables.

69,659 orders of the 23,570 customers who first bought in the first quarter of 1997, through June 1998. It
shows purchase lapse and repeat purchase on real people. It cannot show cars, touchpoints, workshop visits or
late arrivals: the log has no clock of knowing, so `known_at` is the day of the order. Amounts are US cents.

    python -m worlds.cdnow --to var/cdnow/warehouse
"""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from features.command import run
from features.delivery import Delivery
from features.load import LoadReport, load
from features.sources import CANONICAL
from worlds.packaged import PUBLIC, data_file

__all__ = ["END", "convert", "published_sample"]

# The log is complete through 30 June 1998.
END = datetime(1998, 7, 1)
FIELDS = ("customer_id", "date", "quantity", "amount")


def convert(warehouse: Path, log: Path | None = None) -> LoadReport:
    """Load the order log (default: the one in the `lifetimes` package) into a warehouse.

    Each line is an order of its own, also when a customer has several on one day. Raises `BadData` when any
    line breaks the contract, naming file and row.
    """
    log = log or data_file("lifetimes", "CDNOW_master.txt")
    deliveries = _deliveries(log)
    return load(
        deliveries,
        warehouse,
        complete_until=dict.fromkeys(CANONICAL, END),
        delivered_at=END,
        without_consents=PUBLIC,
    )


def published_sample(file: Path | None = None) -> frozenset[str]:
    """The customers of the 1/10 sample that the literature reports on (Fader, Hardie and Lee 2005)."""
    file = file or data_file("lifetimes", "CDNOW_sample.txt")
    return frozenset(line.split()[0] for line in file.read_text().splitlines() if line.strip())


def _deliveries(log: Path) -> Iterator[Delivery]:
    customers: dict[str, str] = {}
    orders: dict[str, list[str]] = {
        name: [] for name in CANONICAL["orders"].column_names if name != "superseded_at"
    }
    lines = [
        (number, line.split()) for number, line in enumerate(log.read_text().splitlines(), 1) if line.strip()
    ]
    header = [item for item in lines if not item[1][0].isdigit()]
    malformed = tuple(
        number for number, fields in lines if len(fields) != len(FIELDS) and (number, fields) not in header
    )
    for number, fields in lines:
        if number in malformed or (number, fields) in header:
            continue
        order = _order(number, fields)
        for name, column in orders.items():
            column.append(order.get(name, ""))
        if _is_date(order["happened_at"]):
            first = customers.get(order["customer_id"], order["happened_at"])
            customers[order["customer_id"]] = min(first, order["happened_at"])
    yield _customers(customers, log)
    rows = pa.table(
        {name: pa.array([value or None for value in column], pa.string()) for name, column in orders.items()}
    )
    first_row = 1 + len(header)
    yield Delivery(CANONICAL["orders"], log.name, rows, first_row=first_row, malformed=malformed)


def _order(number: int, fields: list[str]) -> dict[str, str]:
    customer, day, quantity, amount = fields
    dated = f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 and day.isdigit() else day
    return {
        "order_id": f"{number:06d}",
        "customer_id": customer,
        "happened_at": dated,
        "known_at": dated,
        "kind": "order",
        "quantity": quantity,
        "amount_cents": _cents(amount),
    }


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _cents(amount: str) -> str:
    """`11.77` as `1177`; what is no amount stays as it is and is rejected by its row."""
    whole, point, part = amount.partition(".")
    return (
        whole + part.ljust(2, "0")
        if whole.isdigit() and (not point or (part.isdigit() and len(part) <= 2))
        else amount
    )


def _customers(first_seen: dict[str, str], log: Path) -> Delivery:
    ids = sorted(first_seen)
    since = [first_seen[customer] for customer in ids]
    rows = pa.table({"profile_id": ids, "customer_id": ids, "happened_at": since, "known_at": since})
    return Delivery(CANONICAL["customers"], log.name, rows)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    to: Annotated[Path, typer.Option(help="warehouse folder to write")],
    log: Annotated[Path | None, typer.Option(help="another order log of the same form")] = None,
) -> None:
    """Convert the CDNOW order log into a warehouse."""
    print(convert(to, log))


if __name__ == "__main__":
    run(app)
