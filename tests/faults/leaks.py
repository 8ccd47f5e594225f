"""Hostile requests with personal values in every place of a request, then a byte search of everything that was written.

python -m tests.faults.leaks --requests 10000        (make faults)

The service is the real one, over a shop in which five canaries have rows, scores and runs. Every request bears an id, a telephone, a
vehicle, a plate, a name or an address of strangers: in the path, the query, headers, the token, the method, ids, events, keys and values
of JSON, good, odd and broken, in several encodings. None of them may stand in what the processes said, in the audit trail, the
ledgers, the metrics, MLflow's files, an error or a header of any answer; an id alone may stand where scores given under it are kept.
"""

import json
import random
import socket
import tempfile
from base64 import b64encode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import msgspec
import typer

from features.sources import CANONICAL
from serving.call import ROLES
from serving.edge.askers import Stored
from serving.edge.system import SYSTEM
from serving.edge.table import full_path
from serving.routes import ROUTES
from tests.serving.canaries import CANARIES, lived_in_elsewhere, traces, words_of
from tests.serving.server import ask, serving
from tests.shop import given_or_new

__all__ = ["leaked"]

KEEP_IDS = ("score-log", "idempotency")  # scores given, under the ids they were asked by
KEEP_ROWS = ("warehouse", "features", "histories", "scores", *KEEP_IDS)
ASKING = 4  # at a time
HEADERS = ("user-agent", "referer", "cookie", "x-request-id", "traceparent", "tracestate", "baggage", "x-forwarded-for", "host",
           "forwarded", "idempotency-key", "accept-language", "from", "x-customer", "expect", "if-none-match", "upgrade")  # fmt: skip


class Person(NamedTuple):
    """A stranger whose values stand nowhere but in what is sent."""

    id: str
    phone: str
    vehicle: str
    plate: str
    name: str
    address: str


def strangers(dice: random.Random, count: int = 8) -> list[Person]:
    def drawn(alphabet: str, length: int) -> str:
        return "".join(dice.choice(alphabet) for _ in range(length))

    letters, digits = "ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789"
    return [
        Person(
            id=f"stranger-{drawn(digits + 'abcdef', 12)}",
            phone=f"139{drawn(digits, 8)}",
            vehicle=f"LSV{drawn(letters + digits, 14)}",
            plate=f"沪A·{drawn(letters, 2)}{drawn(digits, 5)}",
            name=f"诸葛{drawn('蓁翀赟旻昉珩', 4)}",
            address=f"{drawn(letters.lower(), 12)}@example.org",
        )
        for _ in range(count)
    ]


def spellings(word: str) -> set[bytes]:
    """The bytes under which a word could come out again."""
    plain = word.encode()
    escaped = json.dumps(word)[1:-1]
    return {
        plain,
        word.encode("utf-16-le"),
        word.encode("gb18030"),
        plain.decode("latin-1").encode(),
        escaped.encode(),
        escaped.upper().replace("\\U", "\\u").encode(),
        quote(word).encode(),
        quote(word).lower().encode(),
        repr(plain)[2:-1].encode(),
        b64encode(plain).rstrip(b"="),
    }


class _Hostile:
    """Requests drawn by dice, each as the bytes that are sent."""

    def __init__(self, dice: random.Random, persons: list[Person], tokens: list[str]) -> None:
        self.dice, self.persons, self.tokens = dice, persons, tokens
        self.rows = [(row.method, full_path(row)) for row in (*ROUTES, *SYSTEM)]

    def word(self) -> str:
        return self.dice.choice(self.dice.choice(self.persons))

    def id(self) -> str:
        return self.dice.choice([self.dice.choice(self.persons).id, self.dice.choice(CANARIES), "C00001"])

    def request(self) -> bytes:
        dice = self.dice
        method, path = dice.choice(self.rows)
        if dice.random() < 0.03:
            method = dice.choice([self.word(), "PUT", "DELETE", "TRACE", "OPTIONS", "HEAD"])
        while "{" in path:
            path = path.replace(path[path.index("{") : path.index("}") + 1], self._in_path(), 1)
        if dice.random() < 0.1:
            path += "/" + self._in_path()
        if dice.random() < 0.3:
            path += f"?{self._in_path()}={self._in_path()}&customer_id={self._in_path()}"
        body = self._body(path) if method == "POST" or dice.random() < 0.05 else b""
        headers = {"host": "localhost", "connection": "close", "content-length": str(len(body)),
                   "content-type": "application/json", "authorization": f"Bearer {dice.choice(self.tokens)}"}  # fmt: skip
        for name in dice.sample(HEADERS, dice.choice([0, 0, 1, 3])):
            headers[name] = self._in_header()
        headers |= self._odd_headers()
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode(errors="surrogatepass") + body

    def _in_path(self) -> str:
        word = self.word()
        return self.dice.choice(
            [quote(word, safe=""), quote(quote(word, safe=""), safe=""), word, f"..%2f{quote(word)}"]
        )

    def _in_header(self) -> str:
        word = self.word()
        return self.dice.choice(
            [word, quote(word), f'{{"id":"{word}"}}', f"{word}\t{word}", f"\x1b[31m{word}"]
        )

    def _odd_headers(self) -> dict[str, str]:
        word, odds = self.word(), self.dice.random()
        if odds < 0.005:
            return {"authorization": f"Bearer {word}"}
        if odds < 0.01:
            return {"authorization": "Basic " + b64encode(f"{word}:{word}".encode()).decode()}
        if odds < 0.02:
            return {quote(word): "1"}
        if odds < 0.03:
            return {word: "1"}
        if odds < 0.04:
            return {"content-type": f"multipart/form-data; boundary={word}"}
        if odds < 0.05:
            return {"content-length": word}
        if odds < 0.06:
            return {"transfer-encoding": word}
        return {}

    def _body(self, path: str) -> bytes:
        asked = json.dumps(self._asked(path), ensure_ascii=self.dice.random() < 0.5)
        word, odds = self.word(), self.dice.random()
        if odds < 0.65:
            return asked.encode()
        if odds < 0.70:
            return asked[: self.dice.randrange(1, len(asked))].encode()
        if odds < 0.75:
            return asked.encode(self.dice.choice(["utf-16", "gb18030"]))
        if odds < 0.80:
            return (asked[:-1] + f',"{word}":1,"{word}":2}}').encode()
        if odds < 0.85:
            return (f'{{"{word}":' * 120 + "1" + "}" * 120).encode()
        if odds < 0.88:
            return asked.replace('"', f'"{word}\\ud800', 1).encode()
        if odds < 0.90:
            return f'{{"customer_ids":["{word}{"x" * 70_000}"]}}'.encode()
        if odds < 0.95:
            return f'{{"customer_ids":"{word}","as_of":"{word}","task":"{word}","tasks":["{word}"],"n":1e999}}'.encode()
        return f"{word}\r\n{word}".encode()

    def _asked(self, path: str) -> Any:
        dice, word = self.dice, self.word()
        wrong = (
            {}
            if dice.random() < 0.6
            else {dice.choice(["customer_id", "task", "x", word]): dice.choice([word, [word], {word: word}])}
        )
        match path.split("?", maxsplit=1)[0].removeprefix("/v1/"):
            case "scores":
                asked: dict[str, Any] = {
                    "customer_ids": [dice.choice([self.id(), word]) for _ in range(dice.randint(1, 4))]
                }
            case "scores/events":
                asked = {"customer_id": self.id(), "as_of": "2024-06-19T00:00:00Z", "events": self._events(),
                         "history": dice.choice(["given", "stored"]), "idempotency_key": quote(word)[:64]}  # fmt: skip
            case "scores/what-if":
                asked = {
                    "customer_id": dice.choice([self.id(), word]),
                    "suppose": {"events": self._events(), "features": {word: 1}},
                }
            case "consents":
                asked = {"changes": [{"customer_id": self.dice.choice(self.persons).id, "purpose": dice.choice(["marketing", word]), "state": dice.choice(["withdrawn", "granted", word])}]}  # fmt: skip
            case "decisions":
                asked = {"decisions": [{"customer_id": dice.choice([self.id(), word]), "task": dice.choice(["churn", word]), "decision": dice.choice(["contested", "settled", word])}]}  # fmt: skip
            case "lists":
                asked = {
                    "task": dice.choice(["churn", word]),
                    "capacity": 10,
                    "filters": {dice.choice(["region", word]): [word]},
                }
            case _:
                asked = {word: word}
        return asked | wrong

    def _events(self) -> dict[str, Any]:
        """Rows of a source with a personal value in every column that takes text."""
        source = self.dice.choice([*CANONICAL.values()])
        texts = [
            c.name for c in source.columns if c.type == "string" and not c.values and c.name != "customer_id"
        ]
        row: dict[str, Any] = {name: quote(self.word())[:64] for name in texts if self.dice.random() < 0.8}
        row |= {c.name: sorted(c.values)[0] for c in source.columns if c.required and c.values}
        row |= {source.key: quote(self.word())[:64], "happened_at": "2024-06-18T00:00:00Z"}
        return {source.name: [row]}


def _sent(port: int, request: bytes) -> bytes:
    """The whole answer: status, headers and body; nothing where the connection was cut."""
    found = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            line.sendall(request)
            # Whoever closes its half may be taken for gone: such an answer counts as cut.
            line.shutdown(socket.SHUT_WR)
            while more := line.recv(65_536):
                found += more
    except OSError:  # cut, or silent for too long
        pass
    return found


def leaked(shop: Path, scratch: Path, requests: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Ask so many hostile requests; returns how many answers had which status, and every place where a personal value stood."""
    dice = random.Random(seed)
    persons, here, words = strangers(dice), scratch / "here", scratch / "words"
    words.mkdir()
    lived_in_elsewhere(shop, here, words / "nights.txt")
    temporary = scratch / "temporary"
    temporary.mkdir()
    env = {"TMPDIR": str(temporary), "BENTOML_HOME": str(scratch / "bentoml")}
    tokens = _tokens(here / "var/tokens.json")
    with serving(here, env=env, said=words / "service.txt", token=tokens["crm"]) as port:
        hostile = _Hostile(dice, persons, list(tokens.values()))
        asked = [hostile.request() for _ in range(requests)]
        with ThreadPoolExecutor(ASKING) as pool:
            answers = list(pool.map(lambda one: _sent(port, one), asked))
        status, metrics = ask(port, "/metrics", token=tokens["operator"])
        assert status == 200
        (words / "metrics.txt").write_text(metrics)
        (words / "errors-and-headers.bin").write_bytes(b"\n".join(map(_may_name_nobody, answers)))
        found = _in_temporary(temporary, scratch / "bentoml", persons)  # while it is there
    return Counter(map(_status, answers)), found + _in_folders(here / "var", words, persons)


def _tokens(file: Path) -> dict[str, str]:
    """A token for each role, set up in a file."""
    made, now = {role: f"hostile-{role}-0123456789-abcdefghij" for role in ROLES}, datetime.now(UTC)
    stored = [
        Stored(name=f"a-{role}", role=role, sha256=sha256(token.encode()).hexdigest(), customers_per_minute=10**9,
               made=now, expires=now + timedelta(days=1))
        for role, token in made.items()
    ]  # fmt: skip
    file.write_bytes(msgspec.json.encode(stored))
    file.chmod(0o600)
    return made


def _status(answer: bytes) -> str:
    return answer.split(b" ")[1].decode() if answer.startswith(b"HTTP") else "cut"


def _may_name_nobody(answer: bytes) -> bytes:
    """Headers, and the body of whatever is no success: an answer about a customer names the customer."""
    return answer.partition(b"\r\n\r\n")[0] if _status(answer) == "200" else answer


def _every(persons: list[Person], *, ids: bool = True) -> set[bytes]:
    return {spelling for one in persons for word in one[0 if ids else 1 :] for spelling in spellings(word)}


KNOWN = {spelling for canary in CANARIES for word in words_of(canary) for spelling in spellings(word)}


def _in_temporary(temporary: Path, bentoml: Path, persons: list[Person]) -> list[str]:
    return [file for place in (temporary, bentoml) for file in traces(place, _every(persons) | KNOWN)]


def _in_folders(var: Path, words: Path, persons: list[Person]) -> list[str]:
    found = traces(words, _every(persons) | KNOWN)
    for place in sorted(var.iterdir()):
        needles = _every(persons, ids=place.name not in KEEP_IDS)
        found += traces(place, needles if place.name in KEEP_ROWS else needles | KNOWN)
    return found


app = typer.Typer(add_completion=False)


@app.command()
def main(
    requests: Annotated[int, typer.Option()] = 10_000,
    seed: Annotated[int, typer.Option(help="0: drawn")] = 0,
    shop: Annotated[Path | None, typer.Option(help="a shop that is there already")] = None,
) -> None:
    """Ask, search, and print what was counted."""
    seed = seed or random.SystemRandom().randrange(1, 10**6)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        statuses, found = leaked(given_or_new(shop, scratch), scratch, requests, seed)
        print(
            f"{requests:,} hostile requests, answers by status {dict(sorted(statuses.items()))}: {len(found)} leaks"
        )
        assert not found, f"seed {seed}: {found[:10]}"


if __name__ == "__main__":
    app()
