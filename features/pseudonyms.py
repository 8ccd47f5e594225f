"""Names under which records and logs may speak of customers: keyed, so that nobody without the key can try out ids.

A plain hash of a telephone number falls to trying them all; a keyed one (HMAC-SHA-256, 128 bits of it) does not. The key lies
in a file only its owner reads (`PSEUDONYM_KEY`, default `pseudonym.key` in the data folder) and is made at first use. Losing
it cuts every record off from its customer; that is how a trail outlives what it speaks about.
"""

import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path

from features.errors import BadData
from features.home import data_folder

__all__ = ["Pseudonyms", "key_file"]

BYTES = 32


def key_file() -> Path:
    return Path(os.environ.get("PSEUDONYM_KEY") or data_folder() / "pseudonym.key")


class Pseudonyms:
    """Pseudonyms under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def open(cls, file: Path | None = None) -> "Pseudonyms":
        """With the key of a file, which is made when it is not there. Raises `BadData` when others may read it or it is no key."""
        file = file or key_file()
        if not file.exists():
            _make(file)
        if file.stat().st_mode & 0o077:
            raise BadData(f"{file} can be read by others than its owner; run `chmod 600 {file}`")
        try:
            key = bytes.fromhex(file.read_text().strip())
        except ValueError:
            key = b""
        if len(key) < BYTES:
            raise BadData(f"{file} holds no key of {BYTES} bytes in hexadecimal; restore it from a copy")
        return cls(key)

    @property
    def name(self) -> str:
        """Tells one key from another, and nothing of it."""
        return hmac.digest(self._key, b"which key is this", "sha256")[:6].hex()

    def of(self, customer_id: str) -> str:
        """22 characters for an id, always the same under one key."""
        digest = hmac.digest(self._key, customer_id.encode(), "sha256")[:16]
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def all(self, customer_ids: Iterable[str]) -> list[str]:
        return [self.of(one) for one in customer_ids]


def _make(file: Path) -> None:
    """A new key, whole or not at all; of several processes that make one at once, one wins and all use it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(secrets.token_hex(BYTES))
        opened.flush()
        os.fsync(opened.fileno())
    try:
        os.link(beside, file)
    except FileExistsError:
        pass
    finally:
        beside.unlink()
