"""Look at the audit trail, or find out whether it is as it was written.

python -m features.audit verify
python -m features.audit list --last 20
"""

from collections import deque
from operator import attrgetter
from typing import Annotated

import typer

from features.audit.trail import Record
from features.audit.verify import records
from features.audit.verify import verify as verified
from features.command import run
from features.home import anchors_folder, audit_folder

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def verify() -> None:
    """Follow every chain to its anchored end; exits with 1 and names the first record that is not as it was written."""
    found = verified(audit_folder(), anchors_folder())
    for name, (count, head) in found.heads.items():
        print(f"{name}  {count:>12,} records  head {head}")
    print(f"sound: {found.records:,} records in {found.chains:,} chains")


@app.command(name="list")
def listed(last: Annotated[int, typer.Option(help="how many of the latest records")] = 20) -> None:
    """The latest records, one line each."""
    for record in sorted(deque(records(audit_folder()), last), key=attrgetter("at")):
        print(_line(record))


def _line(record: Record) -> str:
    entry = record.entry
    models = ", ".join(f"{task} {version}" for task, version in entry.models.items()) or "-"
    return (
        f"{record.at:%Y-%m-%d %H:%M:%S}Z  {entry.who:<16} {entry.action:<14} {entry.purpose:<12} {entry.result:<12} "
        f"{entry.count or len(entry.subjects):>9,} customers  {models}"
    )


if __name__ == "__main__":
    run(app)
