"""The change feed on the command line:

    python -m serving.feed --form changes > changes.jsonl
    python -m serving.feed --form wecom --since run-000041-... --run run-000042-...
    python -m serving.feed --form changes --to https://crm.example/hook --secret-file crm.secret

Without `--since` it begins with the run before; `--since none` sends everybody. Exit 0: all written, or acknowledged; 1: not, and
calling again goes on where the receiver stopped.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from features.command import run
from features.errors import NotDelivered
from features.home import scores_folder
from serving.feed.changes import changes
from serving.feed.webhook import deliver
from serving.feed.wecom import tags
from serving.runs import Run, named, runs

app = typer.Typer(add_completion=False)


@app.command()
def main(
    form: Annotated[str, typer.Option(help="changes, or wecom (tags to add and remove)")] = "changes",
    name: Annotated[str, typer.Option("--run", help="a run; default: the current one")] = "",
    since: Annotated[
        str, typer.Option(help="compared with this run; default: the one before; none: with nothing")
    ] = "",
    to: Annotated[str, typer.Option(help="a webhook; default: lines on standard output")] = "",
    secret_file: Annotated[str, typer.Option(help="file with the secret that signs what is sent")] = "",
) -> None:
    """Write or deliver what changed between two runs."""
    if form not in ("changes", "wecom"):
        raise typer.BadParameter(f"there is no form {form!r}: changes, wecom")
    scores = scores_folder()
    now = Run.open(named(scores, name))
    before = _before(scores, now, since)
    found = changes(now, before)
    lines: Iterable[Any] = tags(found) if form == "wecom" else found
    if not to:
        for line in lines:
            sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
        return
    if not secret_file:
        raise NotDelivered("a webhook needs --secret-file, so that the receiver can tell who is speaking")
    secret = Path(secret_file).read_bytes().strip()
    feed = f"{form} {now.name} since {before.name if before else 'nothing'}"
    done = deliver(lines, to, secret, feed, scores / f"FEED-{form}.json")
    print(f"delivered {done.lines:,} lines of {feed}")


def _before(scores: Path, now: Run, since: str) -> Run | None:
    if since == "none":
        return None
    older = [folder for folder in runs(scores) if folder.name < now.name]
    if since:
        return Run.open(named(scores, since))
    return Run.open(older[-1]) if older else None


if __name__ == "__main__":
    run(app)
