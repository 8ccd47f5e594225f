"""Who may ask: bearer tokens, kept as SHA-256 in one file that only its owner reads.

    python -m serving.edge.askers make crm-north --role crm --tasks churn --customers-per-minute 60000 --days 365
    python -m serving.edge.askers list
    python -m serving.edge.askers revoke crm-north

A token is 256 random bits, so its plain hash tells nothing; it is printed once and kept nowhere. The file is read again
when it changes: a revoked token stops within a second. Where containers hand over secrets by environment,
`PROPENSITY_TOKEN` is one more token, of the role in `PROPENSITY_TOKEN_ROLE` (crm), and is refused when short or well known.
"""

import os
import secrets
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from features.command import run
from features.errors import PropensityError
from features.home import var
from serving.call import ROLES, Role

__all__ = ["Asker", "Closed", "Stored", "TokenFile", "Unsafe", "from_environment", "token_file"]

MARK = "propensity_"
SHORTEST = 32
WELL_KNOWN = ("secret", "changeme", "password", "token", "default", "example", "test", "propensity", "admin")
QUOTA = 60_000  # customers a minute
MOST_DECIMALS = 15  # a double has no more


class Unsafe(PropensityError):
    """A start that would let strangers ask."""


class Closed(PropensityError):
    """A token that cannot be made or revoked."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is kept. `tasks` empty: all of them; `decimals` of its answers None: all; `expires` and `made` are instants
    in UTC."""

    name: str
    role: Role
    sha256: str
    tasks: tuple[str, ...] = ()
    customers_per_minute: int = QUOTA
    decimals: int | None = None
    made: datetime
    expires: datetime


class Asker:
    """Who was let in, for what (`tasks` None: all), and told with how many decimals (None: all). `spend` counts the customers asked about against a minute's quota, refilled steadily."""

    def __init__(
        self,
        name: str,
        roles: Iterable[Role],
        tasks: Iterable[str] = (),
        customers_per_minute: float = 1e9,
        decimals: int | None = None,
    ) -> None:
        self.name, self.roles, self.decimals = name, frozenset(roles), decimals
        self.tasks = frozenset(tasks) or None
        self._most = self._left = customers_per_minute
        self._filled = time.monotonic()

    def spend(self, customers: int) -> float:
        """Seconds to wait before so many may be asked about; 0 when they may now, and then they count."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._filled) * self._most / 60)
        self._filled = now
        # A request as large as a whole quota is let in when the bucket is full.
        wanted = min(customers, self._most)
        if wanted <= self._left:
            self._left -= wanted
            return 0.0
        return (wanted - self._left) * 60 / self._most


class TokenFile:
    """The tokens of a file, looked at again at most once a second. `shares` is how many workers share a quota."""

    def __init__(self, file: Path, extra: Stored | None = None, shares: int = 1) -> None:
        self.file, self._extra, self._shares = file, extra, shares
        self._seen: tuple[int, int] | None = None
        self._looked = 0.0
        self._known: list[tuple[bytes, Stored, Asker]] = []
        self._look()

    def __len__(self) -> int:
        return len(self._known)

    def asker(self, token: bytes) -> Asker | None:
        """Whose token this is; None for nobody's. Compares digests of equal length, all of them, in constant time."""
        if time.monotonic() - self._looked > 1:
            self._look()
        digest = sha256(token).digest()
        found: tuple[bytes, Stored, Asker] | None = None
        for one in self._known:
            if compare_digest(one[0], digest):
                found = one
        if found is None or found[1].expires <= datetime.now(UTC):
            return None
        return found[2]

    def _look(self) -> None:
        self._looked = time.monotonic()
        try:
            stat = self.file.stat()
            seen = (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            seen = (0, 0)
        if seen == self._seen:
            return
        before = {stored.sha256: asker for _, stored, asker in self._known}
        tokens = read(self.file) + ([self._extra] if self._extra else [])
        self._known = [(bytes.fromhex(t.sha256), t, before.get(t.sha256) or self._made(t)) for t in tokens]
        self._seen = seen

    def _made(self, stored: Stored) -> Asker:
        quota = stored.customers_per_minute / self._shares
        return Asker(stored.name, [stored.role], stored.tasks, quota, stored.decimals)


def token_file() -> Path:
    """Where tokens are kept: `PROPENSITY_TOKENS`, or `var/tokens.json`."""
    return Path(os.environ.get("PROPENSITY_TOKENS") or var() / "tokens.json")


def read(file: Path) -> list[Stored]:
    """The tokens of a file; none where there is no file. Raises `Unsafe` when others may read it or it is damaged."""
    try:
        if file.stat().st_mode & 0o077:
            raise Unsafe(f"{file} can be read by others than its owner; run `chmod 600 {file}`")
        return msgspec.json.decode(file.read_bytes(), type=list[Stored])
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise Unsafe(f"{file} is not a file of tokens; make tokens anew with `{COMMAND} make`") from error


def from_environment() -> Stored | None:
    """The token in `PROPENSITY_TOKEN`. Raises `Unsafe` when it is short or well known."""
    secret = os.environ.get("PROPENSITY_TOKEN")
    if secret is None:
        return None
    plain = secret.strip().lower()
    if len(secret) < SHORTEST or len(set(plain)) < 10 or plain.startswith(WELL_KNOWN):
        raise Unsafe(
            f"PROPENSITY_TOKEN is short or well known: give at least {SHORTEST} random characters, "
            "such as `openssl rand -hex 32` prints"
        )
    role = os.environ.get("PROPENSITY_TOKEN_ROLE", "crm")
    if role not in ROLES:
        raise Unsafe(f"PROPENSITY_TOKEN_ROLE is none of {', '.join(ROLES)}")
    now = datetime.now(UTC)
    return Stored(
        name="environment",
        role=role,
        sha256=sha256(secret.encode()).hexdigest(),
        made=now,
        expires=now + timedelta(days=3_650),
    )


def _write(file: Path, tokens: list[Stored]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}-{uuid.uuid4().hex[:8]}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as content:
        content.write(msgspec.json.format(msgspec.json.encode(tokens), indent=1))
    beside.replace(file)


COMMAND = "python -m serving.edge.askers"
app = typer.Typer(add_completion=False, help="Tokens that may ask the service.")


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="whose it is: stands in logs, never the token")],
    role: Annotated[str, typer.Option(help=", ".join(ROLES))] = "crm",
    tasks: Annotated[str, typer.Option(help="tasks it may ask about, with commas; default: all")] = "",
    customers_per_minute: Annotated[int, typer.Option(min=1, help="quota over all workers")] = QUOTA,
    decimals: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_DECIMALS, help="of the numbers in answers; 4 for those outside; default: all"
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="how long it holds")] = 365,
) -> None:
    """Make a token and print it, once."""
    if role not in ROLES:
        raise Closed(f"there is no role of that name; there are: {', '.join(ROLES)}")
    tokens = read(token_file())
    if any(token.name == name for token in tokens):
        raise Closed(f"{name} has a token already; revoke it, or choose another name")
    token, now = MARK + secrets.token_urlsafe(32), datetime.now(UTC)
    made = Stored(
        name=name,
        role=role,
        sha256=sha256(token.encode()).hexdigest(),
        tasks=tuple(filter(None, tasks.split(","))),
        customers_per_minute=customers_per_minute,
        decimals=decimals,
        made=now,
        expires=now + timedelta(days=days),
    )
    _write(token_file(), [*tokens, made])
    print(token)


@app.command("list")
def list_() -> None:
    """Who has a token, for what and until when."""
    for token in read(token_file()):
        tasks = ", ".join(token.tasks) or "all tasks"
        told = "" if token.decimals is None else f", told with {token.decimals} decimals"
        print(
            f"{token.name}: {token.role}, {tasks}, {token.customers_per_minute:,} customers a minute{told}, "
            f"until {token.expires:%Y-%m-%d}"
        )


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="whose token ends now")]) -> None:
    """End a token; workers that run know within a second."""
    tokens = read(token_file())
    kept = [token for token in tokens if token.name != name]
    if len(kept) == len(tokens):
        raise Closed(f"nobody of that name has a token; `{COMMAND} list` says who has")
    _write(token_file(), kept)
    print(f"{name} may no longer ask")


if __name__ == "__main__":
    run(app)
