"""Who may ask, as an identity provider says: JSON web tokens checked against its published keys (extra `jwt`).

    PROPENSITY_JWKS          the key set, a file or an https address
    PROPENSITY_JWT_ISSUER    the `iss` that counts
    PROPENSITY_JWT_AUDIENCE  the `aud` that counts

Algorithms are pinned by the key and never taken from the token; `exp`, `aud` and `iss` must be there. The claim `role` names
one of our roles, `tasks` (a list) the tasks it may ask about, `decimals` how many its answers have; `sub` is the asker's name.
"""

import json
import logging
import os
import time
import urllib.request
from pathlib import Path
from typing import Any

import jwt

from serving.call import ROLES
from serving.edge.askers import MOST_DECIMALS, QUOTA, Asker, Unsafe

__all__ = ["KeySet", "configured"]

ALGORITHMS = {"RSA": "RS256", "P-256": "ES256", "P-384": "ES384", "Ed25519": "EdDSA"}
RENEWED_S = 300
RETRIED_S = 30
MOST_BYTES = 1_000_000
LONGEST = 8_192
MOST_ASKERS = 10_000

log = logging.getLogger(__name__)


class KeySet:
    """Published keys by their id, read again every five minutes; askers by name, so that quotas last."""

    def __init__(self, source: str, issuer: str, audience: str, shares: int = 1) -> None:
        if "://" in source and not source.startswith("https://"):
            raise Unsafe("PROPENSITY_JWKS must be a file or an https address")
        self.source, self.issuer, self.audience, self._shares = source, issuer, audience, shares
        self._askers: dict[tuple[str, str, tuple[str, ...], int | None], Asker] = {}
        self._keys = self._fetched()
        self._due = time.monotonic() + RENEWED_S

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._due

    def renew(self) -> None:
        """Read the keys again; keys that cannot be had leave the old ones. May block on the network."""
        try:
            self._keys = self._fetched()
            self._due = time.monotonic() + RENEWED_S
        except (OSError, ValueError, KeyError, Unsafe, jwt.PyJWTError) as error:
            self._due = time.monotonic() + RETRIED_S
            log.warning(
                "the key set cannot be read (%s); the keys from before still count", type(error).__name__
            )

    def asker(self, token: bytes) -> Asker | None:
        """Whose token this is; None unless every check holds."""
        if len(token) > LONGEST:
            return None
        try:
            key = self._keys[str(jwt.get_unverified_header(token).get("kid"))]
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                audience=self.audience,
                issuer=self.issuer,
                options={"require": ["exp", "aud", "iss", "sub"], "strict_aud": True},
            )
        except (jwt.PyJWTError, KeyError, ValueError, RecursionError):
            return None
        role, tasks = claims.get("role"), claims.get("tasks", [])
        if role not in ROLES or not isinstance(tasks, list) or not all(isinstance(t, str) for t in tasks):
            return None
        if "tasks" in claims and not tasks:
            return None
        decimals = claims.get("decimals")
        if "decimals" in claims and (type(decimals) is not int or not 1 <= decimals <= MOST_DECIMALS):
            return None
        known = (str(claims["sub"]), str(role), tuple(tasks), decimals)
        if known not in self._askers and len(self._askers) >= MOST_ASKERS:
            self._askers.clear()
        return self._askers.setdefault(known, Asker(known[0], [role], tasks, QUOTA / self._shares, decimals))

    def _fetched(self) -> dict[str, jwt.PyJWK]:
        if self.source.startswith("https://"):
            with urllib.request.urlopen(self.source, timeout=5) as answer:
                text = answer.read(MOST_BYTES)
        else:
            text = Path(self.source).read_bytes()
        keys = {}
        for one in json.loads(text)["keys"]:
            if algorithm := _algorithm(one):
                keys[str(one["kid"])] = jwt.PyJWK(one, algorithm)
        if not keys:
            raise Unsafe(f"{self.source} holds no key of a kind that counts: {', '.join(ALGORITHMS)}")
        return keys


def _algorithm(key: dict[str, Any]) -> str | None:
    """The one algorithm a key may be used with; symmetric keys and keys without an id never count."""
    if "kid" not in key or key.get("use", "sig") != "sig":
        return None
    kind = "RSA" if key.get("kty") == "RSA" else str(key.get("crv", ""))
    return ALGORITHMS.get(kind)


def configured(shares: int = 1) -> KeySet | None:
    """The key set of the environment. Raises `Unsafe` when only part of it is named."""
    source = os.environ.get("PROPENSITY_JWKS")
    if not source:
        return None
    issuer, audience = os.environ.get("PROPENSITY_JWT_ISSUER"), os.environ.get("PROPENSITY_JWT_AUDIENCE")
    if not issuer or not audience:
        raise Unsafe("with PROPENSITY_JWKS also name PROPENSITY_JWT_ISSUER and PROPENSITY_JWT_AUDIENCE")
    return KeySet(source, issuer, audience, shares)
