"""What a person may demand, on the command line:

python -m serving.privacy erase C00001
python -m serving.privacy finish
python -m serving.privacy export C00001 --to C00001.json

Exit 0: done; 1: not done, the error says why, and called again it goes on.
"""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from features.command import run
from serving.privacy import Receipt, erase, export, finish

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command(name="erase")
def erased(customer: Annotated[str, typer.Argument(help="the customer's id")]) -> None:
    """Forget a person everywhere under our control."""
    del sys.argv[2:]  # whoever holds a lock tells his command there
    _say(erase(customer))


@app.command(name="finish")
def finished() -> None:
    """Go on with erasures that were interrupted."""
    for receipt in finish():
        _say(receipt)


@app.command(name="export")
def exported(
    customer: Annotated[str, typer.Argument(help="the customer's id")],
    to: Annotated[Path | None, typer.Option(help="a file; default: standard output")] = None,
) -> None:
    """Everything that is held about a person, as JSON."""
    del sys.argv[2:]
    content = msgspec.json.format(msgspec.json.encode(export(customer)), indent=1) + b"\n"
    if to:
        to.touch(mode=0o600)
        to.write_bytes(content)
    else:
        sys.stdout.buffer.write(content)


def _say(receipt: Receipt) -> None:
    gone = (
        ", ".join(f"{count:,} {name}" for name, count in receipt.gone.items() if count) or "nothing was there"
    )
    print(f"erased {receipt.subject} ({receipt.identities} ids): {gone}")
    for one in receipt.outside:
        print(f"outside our control: {one}")


if __name__ == "__main__":
    run(app)
