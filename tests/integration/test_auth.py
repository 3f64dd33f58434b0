import asyncio
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from services.submit.api import create_app
from services.submit.edge import MOST_BODY_BYTES
from shared.settings import SubmitSettings
from tests.submit_service import AUDIENCE, SECRET, Caller, bearer, seed, submit_service, with_service

CLAIMS: dict[str, Any] = {
    "sub": "pat",
    "aud": AUDIENCE,
    "practice": "oak",
    "permissions": ["billing"],
    "exp": datetime(2100, 1, 1, tzinfo=UTC),
}


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def jwks_url(rsa_key: rsa.RSAPrivateKey) -> Iterator[str]:
    key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key())) | {"kid": "one", "use": "sig"}

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [key]}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Keys)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/keys"
    server.shutdown()
    thread.join()
    server.server_close()


def signed(claims: dict[str, Any], *, key: Any = SECRET, algorithm: str = "HS256", **header: str) -> str:
    return jwt.encode({name: one for name, one in claims.items() if one is not None}, key, algorithm, headers=header)


def test_a_good_token_gets_in_and_every_bad_one_is_refused(database_url: str, rsa_key: rsa.RSAPrivateKey) -> None:
    seed(database_url)
    bad = {
        "none at all": None,
        "no JWT": "garbage",
        "alg none": signed(CLAIMS, key="", algorithm="none"),
        "another algorithm": signed(CLAIMS, key=SECRET * 2, algorithm="HS512"),
        "RS256 without a JWKS": signed(CLAIMS, key=rsa_key, algorithm="RS256", kid="one"),
        "another secret": signed(CLAIMS, key=SECRET[::-1]),
        "another audience": signed(CLAIMS | {"aud": "elsewhere"}),
        "no audience": signed(CLAIMS | {"aud": None}),
        "expired": signed(CLAIMS | {"exp": datetime.now(UTC) - timedelta(minutes=5)}),
        "no expiry": signed(CLAIMS | {"exp": None}),
        "no subject": signed(CLAIMS | {"sub": None}),
        "no practice": signed(CLAIMS | {"practice": None}),
        "no permissions": signed(CLAIMS | {"permissions": "billing"}),
        "own clients of nobody": signed(CLAIMS | {"permissions": ["billing", "own_clients"]}),
    }

    async def story(caller: Caller) -> None:
        assert (await caller.as_(signed(CLAIMS)).get("/v1/batches")).status == 200
        for why, token in bad.items():
            reply = await caller.as_(token).get("/v1/batches")
            assert (reply.status, reply.body["code"]) == (401, "token_refused"), why
            assert reply.headers["WWW-Authenticate"] == "Bearer"

    with_service(database_url, story)


def test_a_token_of_the_jwks_gets_in_and_its_public_key_is_no_secret(
    database_url: str, rsa_key: rsa.RSAPrivateKey, jwks_url: str
) -> None:
    seed(database_url)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    async def story(caller: Caller) -> None:
        async def status(token: str) -> int:
            return (await caller.as_(token).get("/v1/batches")).status

        assert await status(signed(CLAIMS, key=rsa_key, algorithm="RS256", kid="one")) == 200
        assert await status(signed(CLAIMS, key=stranger, algorithm="RS256", kid="one")) == 401
        assert await status(signed(CLAIMS, key=rsa_key, algorithm="RS256", kid="two")) == 401
        assert await status(signed(CLAIMS)) == 401

    with_service(database_url, story, jwt_secret=None, jwt_jwks_url=jwks_url)


def test_what_the_token_may_not_do_is_refused_with_the_permissions_name(database_url: str) -> None:
    seed(database_url)

    async def story(caller: Caller) -> None:
        nobody = await caller.as_(bearer(permissions=())).get("/v1/invoices")
        assert (nobody.status, nobody.body["code"]) == (403, "permission_missing")
        assert "`billing`" in nobody.body["detail"]
        assert (await caller.as_(bearer("ash")).get("/v1/invoices")).body["code"] == "practice_unknown"
        stranger = bearer(permissions=("billing", "own_clients"), clinician="elm-dr1")
        assert (await caller.as_(stranger).get("/v1/invoices")).body["code"] == "practice_unknown"

    with_service(database_url, story)


@pytest.mark.parametrize("secret", [None, SecretStr("short")])
def test_the_service_does_not_start_without_a_way_to_verify(secret: SecretStr | None) -> None:
    with pytest.raises(ValueError, match="BATCHPAY_JWT_SECRET"):
        create_app(SubmitSettings(database_url="postgresql://nowhere", jwt_secret=secret))


def test_every_failure_of_the_framework_is_a_problem_with_the_requests_id(database_url: str) -> None:
    seed(database_url)

    async def story(caller: Caller) -> None:
        too_long = io.BytesIO(b" " * (MOST_BODY_BYTES + 1))
        replies = {
            404: await caller.send("GET", "/nowhere", headers={"X-Request-Id": "mine-1"}),
            405: await caller.send("DELETE", "/v1/batches", headers={"X-Request-Id": "mine-1"}),
            413: await caller.send(
                "POST",
                "/v1/batches/preview",
                data=too_long,
                headers={"X-Request-Id": "mine-1"},
            ),
            422: await caller.send("POST", "/v1/batches/preview", data=b"{", headers={"X-Request-Id": "mine-1"}),
        }
        for status, reply in replies.items():
            assert (reply.status, reply.body["status"]) == (status, status)
            assert reply.headers["Content-Type"] == "application/problem+json"
            assert reply.headers["X-Request-Id"] == reply.body["request_id"] == "mine-1"
            assert reply.body["type"] == f"urn:batchpay:problem:{reply.body['code']}"
        strange = await caller.send("GET", "/nowhere", headers={"X-Request-Id": "a b"})
        assert re.fullmatch(r"[0-9a-f]{32}", strange.headers["X-Request-Id"])

        async def endless() -> Any:
            for _ in range(6):
                yield b" " * 1024 * 1024

        chunked = await caller.send("POST", "/v1/batches/preview", data=endless())
        assert (chunked.status, chunked.body["code"]) == (413, "body_too_large")

    with_service(database_url, story)


def test_health_needs_no_token_and_readiness_needs_the_database(database_url: str) -> None:
    async def story(caller: Caller) -> None:
        anybody = caller.as_(None)
        assert (await anybody.get("/healthz")).status == 200
        assert (await anybody.get("/readyz")).status == 200
        await caller.sql("ALTER VIEW invoice_eligibility RENAME TO gone")
        assert (await anybody.get("/healthz")).status == 200
        assert (await anybody.get("/readyz")).status == 503

    with_service(database_url, story)


def test_openapi_documents_every_status_and_refers_only_to_what_it_holds(database_url: str) -> None:
    async def story() -> None:
        async with submit_service(database_url) as caller:
            document = (await caller.get("/openapi.json")).body
        assert set(document["paths"]) == {
            "/v1/approvals",
            "/v1/approvals/{batch}/approve",
            "/v1/approvals/{batch}/send-back",
            "/v1/refund-approvals",
            "/v1/refund-approvals/{refund}/approve",
            "/v1/refund-approvals/{refund}/send-back",
            "/v1/batches",
            "/v1/batches/preview",
            "/v1/batches/{batch}",
            "/v1/batches/{batch}/money",
            "/v1/batches/{batch}/payments",
            "/v1/batches/{batch}/refund",
            "/v1/batches/{batch}/retry",
            "/v1/batches/{batch}/void",
            "/v1/invoices",
            "/v1/money",
            "/v1/payments/{payment}",
            "/v1/payments/{payment}/refund",
            "/v1/payments/{payment}/void",
            "/v1/practices/{practice}/clients",
            "/v1/practices/{practice}/clinicians",
            "/v1/practices/{practice}/invoices",
            "/v1/practices/{practice}/payment-methods",
            "/v1/practices/{practice}/sessions",
            "/v1/webhooks",
            "/v1/webhooks/{webhook}",
            "/v1/webhooks/{webhook}/deliveries",
            "/v1/webhooks/{webhook}/disable",
            "/v1/webhooks/{webhook}/enable",
            "/v1/webhooks/{webhook}/rotate-secret",
            "/v1/webhooks/{webhook}/test",
        }
        submit = document["paths"]["/v1/batches"]["post"]
        assert set(submit["responses"]) == {"200", "201", "202", "401", "403", "409", "413", "422", "429", "503"}
        assert "application/problem+json" in submit["responses"]["409"]["content"]
        text = json.dumps(document)
        named = set(re.findall(r'"#/components/schemas/(\w+)"', text))
        assert named <= set(document["components"]["schemas"])
        assert "HTTPValidationError" not in text

    asyncio.run(story())
