"""The door: from a request's headers to whom it comes from, or a 401 that is the same whatever was wrong.

Without any token the service answers everybody, which is for development and only on a loopback address; on another
address it refuses to start.
"""

import asyncio
import base64
import binascii
import ipaddress
import os
from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import Any

from serving.call import ROLES
from serving.edge.askers import Asker, TokenFile, Unsafe, from_environment, token_file
from serving.edge.problem import Problem

__all__ = ["Door", "is_loopback"]

LONGEST = 8_192
pause = asyncio.sleep
FAILURES, WITHIN_S, PAUSE_S = 10, 60.0, 1.0
BEARER = 'Bearer realm="propensity"'
BASIC = 'Basic realm="propensity", charset="UTF-8"'


class Door:
    """`tokens` and `keys` (of JSON web tokens) say who someone is; with neither, everybody is `development`."""

    def __init__(self, tokens: TokenFile | None, keys: Any = None) -> None:
        self.tokens, self.keys = tokens, keys
        self._failed: deque[float] = deque(maxlen=FAILURES)
        self._development = Asker("development", ROLES)

    @classmethod
    def open_on_loopback(cls) -> "Door":
        """The door of tests and of development."""
        return cls(None)

    @classmethod
    def configured(cls, host: str, shares: int = 1) -> "Door":
        """As the environment and the token file say. Raises `Unsafe` for a start that would let strangers ask."""
        extra = from_environment()
        keys = _keys(shares)
        tokens = TokenFile(token_file(), extra, shares)
        if len(tokens) or keys:
            return cls(tokens, keys)
        if not is_loopback(host):
            raise Unsafe(
                f"there is no token and the address {host} can be reached from elsewhere: make one with "
                "`python -m serving.edge.askers make NAME --role crm`, or stay on 127.0.0.1"
            )
        return cls(None)

    @property
    def is_open(self) -> bool:
        return self.tokens is None and self.keys is None

    async def asker(self, headers: Iterable[tuple[bytes, bytes]], *, page: bool = False) -> Asker:
        """Who asks. Raises `Problem` 401; after ten failures within a minute, whoever's, only after a pause. Whoever has a token
        that counts never waits."""
        if self.is_open:
            return self._development
        given = [value for name, value in headers if name == b"authorization"]
        token = _token(given[0]) if len(given) == 1 else b""
        found = self.tokens.asker(token) if token and self.tokens else None
        if found is None and token and self.keys and token.count(b".") == 2:
            if self.keys.due:
                await asyncio.to_thread(self.keys.renew)
            found = self.keys.asker(token)
        if found is None:
            await self._slow_down()
            raise Problem(
                401,
                "ask with `Authorization: Bearer TOKEN`",
                headers={"www-authenticate": BASIC if page else BEARER},
                reason="unauthenticated",
            )
        return found

    async def _slow_down(self) -> None:
        now = monotonic()
        many = len(self._failed) == FAILURES and now - self._failed[0] < WITHIN_S
        self._failed.append(now)
        if many:
            await pause(PAUSE_S)


def _token(given: bytes) -> bytes:
    """The token of a header's value; of a browser, the password it asked for."""
    scheme, _, rest = given.partition(b" ")
    if len(given) > LONGEST:
        return b""
    if scheme.lower() == b"bearer":
        return rest.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _keys(shares: int) -> Any:
    try:
        from serving.edge.jwt_askers import configured  # noqa: PLC0415  the extra `jwt`
    except ImportError:
        if os.environ.get("PROPENSITY_JWKS"):
            raise Unsafe("PROPENSITY_JWKS needs the extra: pip install 'car-propensity[jwt]'") from None
        return None
    return configured(shares)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
