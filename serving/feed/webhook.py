"""Delivering lines to a webhook: signed, retried, acknowledged, and gone on with after a kill.

    POST  content-type: application/x-ndjson
          idempotency-key: of the lines in this request; the same lines always bring the same
          x-propensity-signature: t=1782777600,v1=HEX    HMAC-SHA256 of "t.body" with the shared secret

A request counts as delivered with a 2xx answer and is then never sent again. One that was not answered may have been received: it is
sent again with the same key, which is how a receiver knows it. Answers 408, 425, 429, 5xx and none at all are retried with growing
pauses (`Retry-After` is kept); any other answer stops the delivery.
"""

import hashlib
import hmac
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
import urllib3

from features.durable import put
from features.errors import NotDelivered
from features.home import without_secrets

__all__ = ["Delivery", "deliver", "signature"]

LINES_PER_REQUEST = 500
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
SHORTEST_SECRET = 16


class Delivery(msgspec.Struct, frozen=True):
    """What a receiver has acknowledged of a feed: `lines` of it, from the first."""

    feed: str
    lines: int
    complete: bool = False


@dataclass(frozen=True)
class Patience:
    """How often a request is tried again, how long the pauses grow (seconds, doubling), and how long an answer may take."""

    retries: int = 6
    pause_s: float = 0.5
    longest_pause_s: float = 60.0
    answer_s: float = 30.0


def signature(secret: bytes, body: bytes, at: int) -> str:
    """What the receiver compares, in constant time, with what it computes itself."""
    return f"t={at},v1={hmac.new(secret, f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def deliver(
    lines: Iterable[msgspec.Struct],
    url: str,
    secret: bytes,
    feed: str,
    state: Path,
    patience: Patience = Patience(),
) -> Delivery:
    """Send the lines of the feed named `feed` that `state` does not know as acknowledged; returns what is now.

    Raises `NotDelivered` when the receiver refuses or stays silent; what it acknowledged stays acknowledged.
    """
    if len(secret) < SHORTEST_SECRET:
        raise NotDelivered(f"the shared secret is shorter than {SHORTEST_SECRET} bytes; nothing was sent")
    done = _state(state, feed)
    retry = urllib3.Retry(
        total=patience.retries, backoff_factor=patience.pause_s, backoff_max=patience.longest_pause_s,
        backoff_jitter=patience.pause_s, status_forcelist=TRY_AGAIN, allowed_methods={"POST"}, redirect=0,
        raise_on_status=False, respect_retry_after_header=True,
    )  # fmt: skip
    with urllib3.PoolManager(retries=retry, timeout=urllib3.Timeout(patience.answer_s)) as pool:
        for some in _requests(islice(lines, done.lines, None)):
            _send(pool, url, secret, some, done)
            done = Delivery(feed, done.lines + len(some))
            put(state, msgspec.json.encode(done))
    done = Delivery(feed, done.lines, complete=True)
    put(state, msgspec.json.encode(done))
    return done


def _send(pool: urllib3.PoolManager, url: str, secret: bytes, lines: list[bytes], done: Delivery) -> None:
    body = b"".join(line + b"\n" for line in lines)
    headers = {
        "content-type": "application/x-ndjson",
        "idempotency-key": hashlib.sha256(body).hexdigest(),
        "x-propensity-signature": signature(secret, body, int(time.time())),
    }
    where = f"{without_secrets(url)}; {done.lines:,} lines are acknowledged, calling again goes on there"
    try:
        answer = pool.request("POST", url, body=body, headers=headers)
    except urllib3.exceptions.HTTPError as error:
        raise NotDelivered(f"no answer ({type(error).__name__}) from {where}") from error
    if not 200 <= answer.status < 300:
        raise NotDelivered(f"answer {answer.status} from {where}")


def _requests(lines: Iterable[msgspec.Struct]) -> Iterator[list[bytes]]:
    waiting = iter(lines)
    while some := [msgspec.json.encode(line) for line in islice(waiting, LINES_PER_REQUEST)]:
        yield some


def _state(file: Path, feed: str) -> Delivery:
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Delivery)
    except FileNotFoundError:
        return Delivery(feed, 0)
    return found if found.feed == feed else Delivery(feed, 0)
