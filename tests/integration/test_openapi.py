"""Every address of the interface, asked in hundreds of ways that the OpenAPI document allows and forbids.

schemathesis makes the requests from the document and holds every answer against it: no server error; no status code,
media type, header or body that the document does not have; nothing without a token; nothing that the document forbids.
The document is the application's own, so a new address is asked without a change here.

BATCHPAY_OPENAPI_EXAMPLES sets how many random requests each address gets on top of the bounds of its document.
"""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest
import schemathesis
from pydantic import SecretStr
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode

from services.submit.api import create_app
from services.submit.auth import Permission, mint
from shared.settings import SubmitSettings
from tests.conftest import broken_rules
from tests.shared_servers import Shared, create_database, database_url_of, drop_database, unique
from tests.submit_service import AUDIENCE, SECRET, bearer, seed, submit_service

EXAMPLES = int(os.environ.get("BATCHPAY_OPENAPI_EXAMPLES", "10"))
EVERYTHING = tuple(one for one in Permission if one is not Permission.OWN_CLIENTS)
DOCUMENT = create_app(SubmitSettings(database_url="postgresql://nowhere", jwt_secret=SecretStr(SECRET))).openapi()
CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 1,
        "generation": {"max-examples": EXAMPLES, "database": "none"},
        # Without names that exist most requests would end early.
        "dictionaries": {"invoices": {"values": ["oak-i3", "oak-i4"]}},
        "parameters": {"body.invoices.[*]": {"dictionary": "invoices", "probability": 0.7}},
        # 422 is how the interface says that an invoice cannot be charged, whatever the shape of the request.
        "checks": {"positive_data_acceptance": {"enabled": False}},
    }
)
schema = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)


@schemathesis.serializer("application/x-ndjson")
def lines(_: Any, value: Any) -> bytes:
    """A body for pushes: one JSON document a line."""
    rows = value if isinstance(value, list) else [value]
    return b"\n".join(json.dumps(row).encode() for row in rows)


class Service(threading.Thread):
    """The submit service on a real socket, in a loop of its own."""

    def __init__(self, database_url: str) -> None:
        super().__init__(daemon=True)
        self._database_url, self._ready, self._end = database_url, threading.Event(), asyncio.Event()
        self.url, self.names = "", dict[str, str]()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with submit_service(self._database_url) as caller:
            await caller.submit(["oak-i1", "oak-i2"], 300)
            await caller.sql("UPDATE practice SET approval_ceiling_minor = 1")
            await caller.submit(["oak-i5"], 500, key="key-2")
            [(payment,)] = await caller.sql("SELECT id::text FROM payment ORDER BY id LIMIT 1")
            keeper = caller.as_(bearer(permissions=(Permission.WEBHOOKS_WRITE,)))
            webhook = (await keeper.post("/v1/webhooks", {"url": "https://example.com/oak"})).body["id"]
            self.url = caller.url
            self.names = {"practice": "oak", "batch": "BP-1001", "payment": payment, "webhook": webhook}
            self._ready.set()
            await self._end.wait()

    def __enter__(self) -> Self:
        self.start()
        assert self._ready.wait(timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self.join(timeout=60)


@pytest.fixture(scope="module")
def service(shared: Shared) -> Iterator[Service]:
    name = unique("batchpay_openapi")
    database_url = database_url_of(shared.servers.database_url, name)
    create_database(shared.servers.database_url, name, template=shared.template)
    seed(database_url)
    with Service(database_url) as service:
        yield service
    assert broken_rules(database_url) == []
    drop_database(shared.servers.database_url, name)


@pytest.fixture(scope="module")
def authorization() -> dict[str, str]:
    """Lee's, who did not prepare the batch that waits for approval."""
    token = mint(
        SECRET,
        subject="lee",
        practice="oak",
        permissions=EVERYTHING,
        audience=AUDIENCE,
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )
    return {"Authorization": f"Bearer {token}"}


@schema.parametrize()
def test_the_answer_is_as_documented(service: Service, authorization: dict[str, str], case: Any) -> None:
    if case.meta.generation.mode is GenerationMode.POSITIVE:
        known = service.names | ({"batch": "BP-1002"} if "approvals" in case.path else {})
        case.path_parameters = {name: known.get(name, value) for name, value in case.path_parameters.items()}
    case.call_and_validate(base_url=service.url, headers=authorization)
