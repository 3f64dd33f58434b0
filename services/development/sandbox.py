"""A whole Batchpay on this machine with simulated processors: for the demo, `batchpay up` and the journeys."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

import psycopg
from psycopg import sql

from services.development.local import free_port
from services.development.processes import answers, processes
from services.development.servers import Servers
from services.development.stack import Stack, Start, start_python
from shared.domain.words import ProcessorName
from shared.store.migrate import migrate

# What the simulated Vantage accepts; nobody else does.
_VANTAGE_BILLER = "4398071234567890"
_VANTAGE_TOKEN = "0b5ac43a-6d26-4f1e-9a6b-4a4d2e3f9c11"  # noqa: S105  # made up, for the simulator only
_VANTAGE_CERT_STRING = "5cb1f3a4e6d2470f8f2c"
_VANTAGE_REPORT_KEY = "rk-3f6d2a90"
# Long enough for the slowest simulated answer, short enough to wait for the ones that never come.
_TOTAL_DEADLINE_S = 6.0


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """Where the parts answer. `environment` is what another Batchpay process needs to take part."""

    api_url: str
    database_url: str
    simulators: dict[ProcessorName, str]
    environment: dict[str, str]
    stack: Stack

    def operators_url(self, process: str) -> str:
        """Where a process has its metrics and health since its last start."""
        lines = self.stack.logs(process).splitlines()
        opened = [json.loads(line) for line in lines if '"endpoint_opened"' in line]
        return f"http://{opened[-1]['host']}:{opened[-1]['port']}"

    def control(self, processor: ProcessorName, path: str, body: Any = None) -> Any:
        """Call a simulator's control interface: GET without a body, else POST."""
        return call(f"{self.simulators[processor]}/_control/{path}", body)


def call(url: str, body: Any = None, *, method: str | None = None, headers: dict[str, str] | None = None) -> Any:
    """One JSON request to a server of this machine. Raises HTTPError for a status of 400 and above."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(  # noqa: S310  # the address is ours
        url, data=data, method=method, headers={"Content-Type": "application/json", **(headers or {})}
    )
    with urlopen(request, timeout=60) as answer:  # noqa: S310  # the address is ours
        return json.load(answer)


@contextmanager
def sandbox(
    servers: Servers,
    *,
    vault: Path,
    run_directory: Path,
    api_port: int | None = None,
    name: str = "demo",
    webhooks: bool = False,
    start: Start = start_python,
    settings: Callable[[Mapping[str, str]], Mapping[str, Mapping[str, str]]] = lambda _common: {},
) -> Iterator[Sandbox]:
    """Run everything for the time of the block, on a new database of `servers`, as the environment `name`.

    With `webhooks` the simulated Stripe tells what happens; without, as in an outage, it only answers.
    `settings` is asked once, with the environment that all have in common, what single processes get on top of it.
    """
    database_url = new_database(servers.database_url)
    migrate(database_url)
    ports = {
        "submit": api_port or free_port(),
        "webhooks": free_port(),
        **{f"simulator-{each}": free_port() for each in ProcessorName},
    }
    simulators = {each: f"http://127.0.0.1:{ports[f'simulator-{each}']}" for each in ProcessorName}
    environment = {
        "BATCHPAY_ENVIRONMENT": name,
        "BATCHPAY_DATABASE_URL": database_url,
        "BATCHPAY_AMQP_URL": servers.amqp_url,
        **_common(ports),
        **_vantage(simulators[ProcessorName.VANTAGE]),
        **_stripe(simulators[ProcessorName.STRIPE]),
    }
    also = _simulators(ports, vault=vault, run_directory=run_directory)
    secret = f"whsec_{secrets.token_hex(16)}"
    also["webhooks"] = {"BATCHPAY_STRIPE_WEBHOOK_SECRET": secret}
    for process, own in settings(environment).items():
        also[process] = {**also.get(process, {}), **own}
    api_url, webhook_url = (f"http://127.0.0.1:{ports[name]}" for name in ("submit", "webhooks"))
    ready = {f"simulator-{each}": answers(f"{url}/_control/health") for each, url in simulators.items()}
    ready["submit"], ready["webhooks"] = answers(f"{api_url}/healthz"), answers(f"{webhook_url}/healthz")
    run_directory.mkdir(parents=True, exist_ok=True)
    with Stack(processes(environment, also=also, ready=ready), run_directory=run_directory, start=start) as stack:
        box = Sandbox(
            api_url=api_url, database_url=database_url, simulators=simulators, environment=environment, stack=stack
        )
        if webhooks:
            told = {"event": "webhooks", "url": f"{webhook_url}/webhooks/stripe", "secret": secret}
            box.control(ProcessorName.STRIPE, "faults", told)
        yield box


def _common(ports: Mapping[str, int]) -> dict[str, str]:
    return {
        "BATCHPAY_JWT_SECRET": secrets.token_urlsafe(48),
        "BATCHPAY_HTTP_PORT": str(ports["submit"]),
        "BATCHPAY_WEBHOOK_PORT": str(ports["webhooks"]),
        "BATCHPAY_LOG_FORMAT": "json",
        # A free one for each process, which its log tells.
        "BATCHPAY_METRICS_PORT": "0",
        # Few enough that a batch of the sample can be watched, and voided, while it runs.
        "BATCHPAY_IN_FLIGHT": "16",
    }


def _stripe(url: str) -> dict[str, str]:
    return {
        "BATCHPAY_STRIPE_API_BASE": url,
        "BATCHPAY_STRIPE_API_KEY": "sk_test_" + secrets.token_hex(12),
        "BATCHPAY_STRIPE_TOTAL_DEADLINE_S": str(_TOTAL_DEADLINE_S),
    }


def _simulators(ports: Mapping[str, int], *, vault: Path, run_directory: Path) -> dict[str, dict[str, str]]:
    """By process, what each gets on top of what all have."""
    return {
        f"simulator-{each}": {
            "BATCHPAY_SIMULATOR_PORT": str(ports[f"simulator-{each}"]),
            "BATCHPAY_SIMULATOR_VAULT": str(vault),
            "BATCHPAY_SIMULATOR_STATE": str(run_directory / f"simulator-{each}.jsonl"),
        }
        for each in ProcessorName
    }


def _vantage(url: str) -> dict[str, str]:
    return {
        "BATCHPAY_VANTAGE_REST_URL": url,
        "BATCHPAY_VANTAGE_XML_URL": f"{url}/API/PropayAPI.aspx",
        "BATCHPAY_VANTAGE_REPORT_URL": url,
        "BATCHPAY_VANTAGE_BILLER_ACCOUNT_ID": _VANTAGE_BILLER,
        "BATCHPAY_VANTAGE_AUTHENTICATION_TOKEN": _VANTAGE_TOKEN,
        "BATCHPAY_VANTAGE_CERT_STRING": _VANTAGE_CERT_STRING,
        "BATCHPAY_VANTAGE_REPORT_KEY": _VANTAGE_REPORT_KEY,
        "BATCHPAY_VANTAGE_AFFILIATE_ID": "12345",
        "BATCHPAY_VANTAGE_TOTAL_DEADLINE_S": str(_TOTAL_DEADLINE_S),
    }


def new_database(server_url: str) -> str:
    """Make a database of its own on a server, so that nothing that is there is touched; its URL."""
    name = f"batchpay_{secrets.token_hex(4)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
