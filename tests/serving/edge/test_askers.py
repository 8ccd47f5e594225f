"""Who may ask: every route for every role, tokens of every odd kind, quotas, revocation, and starts that are refused."""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from typer.testing import CliRunner

from features.errors import PropensityError
from serving.call import ROLES
from serving.edge import askers, jwt_askers
from serving.edge.askers import Asker, TokenFile, Unsafe, token_file
from serving.edge.door import Door, is_loopback
from serving.edge.problem import Problem
from serving.edge.system import SYSTEM
from serving.edge.table import full_path
from serving.routes import ROUTES
from tests.serving.edge.counter import client, edge

MAY = """
                                                crm  adviser  scientist  operator  nobody
GET  /livez                                      x      x         x          x        x
GET  /healthz                                    x      x         x          x        x
GET  /readyz                                     x      x         x          x
GET  /metrics                                                                x
GET  /openapi.json                               x      x         x          x
GET  /docs                                       x      x         x          x
POST /v1/scores                                  x      x         x
GET  /v1/tasks                                   x      x         x          x
POST /v1/scores/events                           x      x         x
POST /v1/scores/what-if                                 x         x
POST /v1/consents                                x      x
POST /v1/decisions                                      x
POST /v1/lists                                   x                x
GET  /v1/explanations/{score_id}                 x      x         x
GET  /v1/customers/{customer_id}/history                x         x
GET  /v1/models/{task}                           x      x         x          x
GET  /v1/features                                x      x         x          x
GET  /v1/filters                                 x      x         x
GET  /v1/drift                                   x      x         x          x
GET  /console                                    x      x         x          x
"""


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.edge.door.PAUSE_S", 0.0)


def declared() -> dict[str, set[str]]:
    first, *rows = MAY.strip("\n").splitlines()
    places = {name: first.index(name) + len(name) // 2 for name in first.split()}
    said = {}
    for row in rows:
        marks = [match.start() for match in re.finditer(r"\bx\b", row[44:])]
        near = {min(places, key=lambda name: abs(places[name] - mark - 44)) for mark in marks}
        said[" ".join(row[:44].split())] = near
    return said


def test_every_row_of_the_tables_is_declared_for_every_role() -> None:
    rows = {f"{row.method} {full_path(row)}": row for row in (*ROUTES, *SYSTEM)}
    assert declared().keys() == rows.keys()
    for name, row in rows.items():
        may = {*ROLES, "nobody"} if row.may is None else set(row.may)
        assert may == declared()[name], name


def make(*given: str) -> str:
    done = CliRunner().invoke(askers.app, ["make", *given])
    assert done.exit_code == 0, done.output
    return done.output.strip()


def door() -> Door:
    return Door.configured("127.0.0.1")


def bearer(token: str | bytes) -> dict[str, Any]:
    return {"authorization": b"Bearer " + (token.encode() if isinstance(token, str) else token)}


def test_a_token_lets_its_role_in_and_no_other() -> None:
    crm, operator = make("north"), make("watch", "--role", "operator")
    asking = client(edge(door()))
    sums = {"customer_ids": ["a"]}
    assert asking.post("/v1/sums", json=sums, headers=bearer(crm)).json()["asker"] == "north"
    assert asking.post("/v1/sums", json=sums, headers=bearer(operator)).status_code == 403
    assert asking.get("/metrics", headers=bearer(crm)).status_code == 403
    assert asking.get("/metrics", headers=bearer(operator)).status_code == 200
    for path in ("/readyz", "/metrics", "/docs", "/openapi.json", "/v1/numbers/1"):
        assert asking.get(path).status_code == 401, path
    assert asking.get("/livez").status_code == 200


def test_a_browser_may_bring_the_token_as_a_password() -> None:
    given = base64.b64encode(b"me:" + make("north").encode()).decode()
    asking = client(edge(door()))
    assert asking.get("/docs").headers["www-authenticate"].startswith("Basic")
    shown = asking.get("/docs", headers={"authorization": f"Basic {given}"})
    assert shown.status_code == 200
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert not re.search(r"(src|href)=[\"']?(https?:)?//|url\(|@import|<script", shown.text)


def test_every_odd_token_gets_the_same_401() -> None:
    token = make("north")
    asking = client(edge(door()))
    odd: list[Any] = [
        {}, bearer(""), bearer(" "), bearer(token[:-1]), bearer(token + "x"), bearer(token.upper()), bearer(b"\xff\xfe"),
        bearer("ü".encode()), bearer("x" * 7_000), bearer("x" * 100_000), bearer("a.b.c"), {"authorization": token},
        {"authorization": f"Basic {token}"}, {"authorization": "Basic !!!"}, {"authorization": f"Token {token}"},
        [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")],
    ]  # fmt: skip
    bodies = set()
    for headers in odd:
        answered = asking.get("/v1/numbers/1", headers=headers)
        assert answered.status_code == 401, headers
        assert answered.headers["www-authenticate"].startswith("Bearer")
        bodies.add(answered.text)
    assert len(bodies) == 1
    assert asking.get(f"/v1/numbers/1?access_token={token}").status_code == 401
    assert asking.get("/v1/numbers/1", headers=bearer(token)).status_code == 200


def test_after_ten_failures_others_fail_slowly_and_a_token_that_counts_never_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token, now, slept = make("crm-1"), 1_000.0, list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("serving.edge.door.pause", sleep)
    monkeypatch.setattr("serving.edge.door.monotonic", lambda: now)
    at = door()

    def fails() -> None:
        with pytest.raises(Problem, match="Bearer"):
            asyncio.run(at.asker([(b"authorization", b"Bearer wrong")]))

    for _ in range(10):
        fails()
    assert slept == []
    monkeypatch.setattr("serving.edge.door.PAUSE_S", 1.0)
    fails()
    assert slept == [1.0]
    assert asyncio.run(at.asker([(b"authorization", f"Bearer {token}".encode())])).name == "crm-1"
    assert slept == [1.0]
    now += 61.0
    fails()
    assert slept == [1.0]


def test_tasks_of_a_token_narrow_what_it_asks() -> None:
    asking = client(edge(door_of(make("north", "--tasks", "churn,upgrade"))), bearer(LAST[0]))
    assert asking.post("/v1/sums", json={"customer_ids": ["a"]}).json()["tasks"] == ["churn", "upgrade"]
    assert asking.post("/v1/sums", json={"customer_ids": ["a"], "tasks": ["churn"]}).json()["tasks"] == [
        "churn"
    ]
    other = asking.post("/v1/sums", json={"customer_ids": ["a"], "tasks": ["churn", "purchase_intent"]})
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (403, "/tasks/1")


LAST: list[str] = []


def door_of(token: str) -> Door:
    LAST[:] = [token]
    return door()


def test_a_quota_counts_customers_and_says_when_to_come_back() -> None:
    asking = client(edge(door_of(make("north", "--customers-per-minute", "100"))), bearer(LAST[0]))
    hundred = {"customer_ids": [f"c{n}" for n in range(100)]}
    assert asking.post("/v1/sums", json=hundred).status_code == 200
    refused = asking.post("/v1/sums", json=hundred)
    assert refused.status_code == 429
    assert 50 <= int(refused.headers["retry-after"]) <= 61


def test_a_quota_refills_steadily(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    asker = Asker("n", ["crm"], customers_per_minute=60)
    assert asker.spend(60) == 0
    assert asker.spend(10) == 10
    now[0] += 10
    assert asker.spend(10) == 0
    now[0] += 600
    assert asker.spend(1_000) == 0
    assert asker.spend(1) == 1


def test_a_revoked_token_stops_within_a_second_and_an_expired_one_at_once() -> None:
    token = make("north")
    app = edge(door())
    asking = client(app, bearer(token))
    assert asking.get("/v1/numbers/1").status_code == 200
    assert CliRunner().invoke(askers.app, ["revoke", "north"]).exit_code == 0
    time.sleep(1.1)
    assert asking.get("/v1/numbers/1").status_code == 401
    stored = askers.Stored(
        name="late",
        role="crm",
        sha256=askers.sha256(b"x" * 40).hexdigest(),
        made=datetime.now(UTC),
        expires=datetime.now(UTC) - timedelta(seconds=1),
    )
    assert TokenFile(Path("none"), stored).asker(b"x" * 40) is None


def test_the_file_holds_no_token_and_only_its_owner_reads_it() -> None:
    token = make("north")
    assert token not in token_file().read_text()
    assert token_file().stat().st_mode & 0o777 == 0o600
    token_file().chmod(0o644)
    with pytest.raises(Unsafe, match="chmod 600"):
        door()
    token_file().chmod(0o600)
    token_file().write_text("[{}]")
    with pytest.raises(Unsafe, match="not a file of tokens"):
        door()


@pytest.mark.parametrize("name", ["north"])
def test_making_twice_and_revoking_nobody_are_refused(name: str) -> None:
    make(name)
    for command in (["make", name], ["make", "other", "--role", "king"], ["revoke", "nobody"]):
        assert isinstance(CliRunner().invoke(askers.app, command).exception, PropensityError), command
    assert "crm, all tasks" in CliRunner().invoke(askers.app, ["list"]).output


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org", ""])
def test_without_a_token_it_starts_nowhere_but_on_loopback(host: str) -> None:
    with pytest.raises(Unsafe, match=r"serving\.edge\.askers make"):
        Door.configured(host)
    assert not is_loopback(host)
    assert Door.configured("127.0.0.1").is_open
    assert Door.configured("::1").is_open
    make("north")
    assert not Door.configured(host).is_open


@pytest.mark.parametrize(
    "secret", ["", "short", "a" * 64, "changeme" * 8, "secret-0123456789-abcdefghijkl-xyz"]
)
def test_a_short_or_well_known_secret_is_refused_everywhere(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPENSITY_TOKEN", secret)
    for host in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(Unsafe, match="openssl rand"):
            Door.configured(host)
    monkeypatch.setenv("PROPENSITY_TOKEN", os.urandom(32).hex())
    assert not Door.configured("0.0.0.0").is_open
    monkeypatch.setenv("PROPENSITY_TOKEN_ROLE", "king")
    with pytest.raises(Unsafe, match="PROPENSITY_TOKEN_ROLE"):
        Door.configured("0.0.0.0")


# JSON web tokens

RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.fixture
def by_jwt(monkeypatch: pytest.MonkeyPatch) -> Door:
    keys = [
        RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "rsa"},
        ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "ec"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
    ]
    Path("keys.json").write_text(json.dumps({"keys": keys}))
    monkeypatch.setenv("PROPENSITY_JWKS", "keys.json")
    monkeypatch.setenv("PROPENSITY_JWT_ISSUER", "https://login.example")
    monkeypatch.setenv("PROPENSITY_JWT_AUDIENCE", "propensity")
    return Door.configured("0.0.0.0")


def claims(**changed: Any) -> dict[str, Any]:
    said = {"sub": "north", "role": "crm", "iss": "https://login.example", "aud": "propensity"}
    return {
        key: value for key, value in {**said, "exp": time.time() + 60, **changed}.items() if value is not None
    }


def signed(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str = "rsa", **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm, headers={"kid": kid})


def test_a_web_token_of_a_published_key_is_let_in(by_jwt: Door) -> None:
    asking = client(edge(by_jwt))
    for token in (signed(), signed(EC_KEY, "ES256", "ec"), signed(tasks=["churn"])):
        answered = asking.post("/v1/sums", json={"customer_ids": ["a"]}, headers=bearer(token))
        assert answered.json()["asker"] == "north"
    assert answered.json()["tasks"] == ["churn"]
    assert asking.get("/metrics", headers=bearer(signed())).status_code == 403


def unsigned(**changed: Any) -> str:
    return jwt.encode(claims(**changed), None, "none", headers={"kid": "rsa"})


def confused() -> str:
    """Signed with the public key as if it were a shared secret."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "rsa"}).encode()).rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=")
    from cryptography.hazmat.primitives import hashes, hmac, serialization  # noqa: PLC0415

    public = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    mac = hmac.HMAC(public, hashes.SHA256())
    mac.update(head + b"." + body)
    return (head + b"." + body + b"." + base64.urlsafe_b64encode(mac.finalize()).rstrip(b"=")).decode()


def test_every_odd_web_token_gets_a_401(by_jwt: Door) -> None:
    asking = client(edge(by_jwt))
    odd = {
        "expired by a second": signed(exp=time.time() - 1),
        "never expires": signed(exp=None),
        "not yet": signed(nbf=time.time() + 60),
        "other audience": signed(aud="other"),
        "several audiences": signed(aud=["propensity", "other"]),
        "no audience": signed(aud=None),
        "other issuer": signed(iss="https://elsewhere.example"),
        "no issuer": signed(iss=None),
        "nobody": signed(sub=None),
        "no role": signed(role=None),
        "unknown role": signed(role="king"),
        "roles in a list": signed(role=["crm"]),
        "tasks of another type": signed(tasks="churn"),
        "no tasks": signed(tasks=[]),
        "no signature": unsigned(),
        "another key": signed(OTHER_KEY),
        "unknown key id": signed(kid="other"),
        "another algorithm": signed(algorithm="RS512"),
        "another kind of key": signed(EC_KEY, "ES256", "rsa"),
        "a shared secret": jwt.encode(claims(), b"secret" * 8, "HS256", headers={"kid": "shared"}),
        "the public key as a secret": confused(),
        "long": signed(sub="x" * 10_000),
        "broken": signed()[:-3],
    }
    for name, token in odd.items():
        assert asking.get("/v1/numbers/1", headers=bearer(token)).status_code == 401, name


def test_new_keys_are_taken_up_and_keys_that_vanish_still_count(
    by_jwt: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = client(edge(by_jwt))
    new = RSAAlgorithm.to_jwk(OTHER_KEY.public_key(), as_dict=True) | {"kid": "new"}
    Path("keys.json").write_text(json.dumps({"keys": [new]}))
    assert asking.get("/v1/numbers/1", headers=bearer(signed(OTHER_KEY, kid="new"))).status_code == 401
    by_jwt.keys._due = 0
    assert asking.get("/v1/numbers/1", headers=bearer(signed(OTHER_KEY, kid="new"))).status_code == 200
    Path("keys.json").unlink()
    by_jwt.keys._due = 0
    assert asking.get("/v1/numbers/1", headers=bearer(signed(OTHER_KEY, kid="new"))).status_code == 200


def test_half_a_configuration_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPENSITY_JWKS", "keys.json")
    with pytest.raises(Unsafe, match="PROPENSITY_JWT_ISSUER"):
        jwt_askers.configured()
    monkeypatch.setenv("PROPENSITY_JWT_ISSUER", "i")
    monkeypatch.setenv("PROPENSITY_JWT_AUDIENCE", "a")
    monkeypatch.setenv("PROPENSITY_JWKS", "http://login.example/keys")
    with pytest.raises(Unsafe, match="https"):
        jwt_askers.configured()
    Path("keys.json").write_text('{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}]}')
    monkeypatch.setenv("PROPENSITY_JWKS", "keys.json")
    with pytest.raises(Unsafe, match="no key"):
        jwt_askers.configured()


def test_tokens_are_compared_as_digests_in_constant_time() -> None:
    for module in (askers, jwt_askers):
        source = Path(str(module.__file__)).read_text()
        assert not re.search(r"(token|secret|digest)\w* (==|!=) ", source.replace("token.name", "")), module
    assert "compare_digest(one[0], digest)" in Path(str(askers.__file__)).read_text()


def test_the_edge_needs_no_web_tokens_to_be_installed() -> None:
    code = "import sys; sys.modules['jwt'] = None; from serving.edge.door import Door; print(Door.configured('::1').is_open)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
