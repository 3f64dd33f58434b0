"""The whole system at work: submitted over HTTP, relayed, charged, counted."""

import http.client
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from services.development.local import free_port
from services.development.processes import Process, answers
from services.development.stack import Stack
from services.submit.auth import mint
from tests.bench.charging import WARM_UP, first_starts, wait_finished
from tests.bench.contenders import Contender, engine, engine_environment, feeders, workers
from tests.bench.cpu import Cpu
from tests.bench.ground import Ground, Place, wait_until
from tests.bench.population import AMOUNT_MINOR, invoice_ids, populate, settle_down
from tests.bench.publishing import HandedOver

_PROCESSOR: Final = "vantage"
_SMALL: Final = 5
# The large batch is well under way, and its hints are as dense as they get.
_BEHIND_AFTER_S: Final = 2.0
_BETWEEN_PROBES_S: Final = 0.5


class NotAcceptedError(Exception):
    """The submit service refused a batch of the bench."""


@dataclass(frozen=True, kw_only=True)
class System:
    """Everything runs. `submit_url` answers, `leaders` are the processes to charge CPU to."""

    place: Place
    connection: psycopg.Connection[Any]
    submit_url: str
    secret: str
    leaders: dict[str, int]

    def submit(self, practice: int, places: range) -> tuple[str, float]:
        """Submit a batch over HTTP: its id, and the seconds from the first byte sent to the whole answer."""
        body = json.dumps(
            {
                "invoices": invoice_ids(practice, places),
                "control": {"count": len(places), "total_minor": len(places) * AMOUNT_MINOR},
            }
        )
        headers = {
            "Authorization": f"Bearer {self._token(practice)}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"places-{places.start}",
        }
        connection = http.client.HTTPConnection(urlsplit(self.submit_url).netloc, timeout=120)
        began_s = time.monotonic()
        connection.request("POST", "/v1/batches", body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        seconds = time.monotonic() - began_s
        connection.close()
        if answer.status != http.HTTPStatus.CREATED:
            raise NotAcceptedError(f"{answer.status}: {text[:500]!r}")
        return json.loads(text)["id"], seconds

    def _token(self, practice: int) -> str:
        return mint(
            self.secret,
            subject="bench",
            practice=f"practice-{practice}",
            permissions=["billing"],
            audience="batchpay",
            now=datetime.now(UTC),
            lifetime=timedelta(hours=1),
        )

    def unfinished(self, batch: str) -> int:
        row = self.connection.execute(
            "SELECT count(*) FROM payment WHERE batch_id = %s AND state IN ('queued', 'sending')", (batch,)
        ).fetchone()
        assert row
        return int(row[0])


@contextmanager
def system(ground: Ground, *, invoices: list[int], latency_ms: int, charging: bool = True) -> Iterator[System]:
    """The system for practices with so many open invoices; the first `WARM_UP` of practice 1 are charged already."""
    with ground.place() as place, place.connect() as connection:
        populate(connection, processor=_PROCESSOR, invoices=[invoices[0] + WARM_UP, *invoices[1:]])
        settle_down(connection)
        url = f"http://127.0.0.1:{free_port()}"
        secret = secrets.token_urlsafe(48)
        processes = [_submit_process(place, url, secret)]
        if charging:
            processes += [*workers(place, processor=_PROCESSOR), *feeders(place), _janitor(place)]
        place.stub.reset(latency_ms)
        with Stack(processes, run_directory=place.directory) as stack:
            leaders = first_starts(stack, [process.name for process in processes])
            running = System(place=place, connection=connection, submit_url=url, secret=secret, leaders=leaders)
            running.submit(1, range(1, 1 + WARM_UP))
            if charging:
                wait_finished(place, connection, _whole(), charges=WARM_UP)
            settle_down(connection)
            place.stub.reset(latency_ms)
            yield running


def _submit_process(place: Place, url: str, secret: str) -> Process:
    environment = {
        **engine_environment(place),
        "BATCHPAY_JWT_SECRET": secret,
        "BATCHPAY_HTTP_PORT": str(urlsplit(url).port),
    }
    return Process(name="submit", module="services.submit", environment=environment, ready=answers(f"{url}/healthz"))


def _janitor(place: Place) -> Process:
    return Process(name="janitor", module="workers.janitor", environment=engine_environment(place))


def _whole() -> Contender:
    return engine(_PROCESSOR)[0]


# --- Rounds -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class EndToEnd:
    """From the first byte of the submit request to the last payment recorded."""

    charges: int
    latency_ms: int
    submit_seconds: float
    seconds: float
    least_seconds: float
    cpu_us: dict[str, float]


def end_to_end(ground: Ground, *, charges: int, latency_ms: int, slots: int) -> EndToEnd:
    with system(ground, invoices=[charges], latency_ms=latency_ms) as running:
        place = running.place
        before = Cpu.read(place.server_pids | running.leaders)
        began_s = time.monotonic()
        _, submit_seconds = running.submit(1, range(1 + WARM_UP, 1 + WARM_UP + charges))
        finished_s = wait_finished(place, running.connection, _whole(), charges=charges)
        used = Cpu.read(place.server_pids | running.leaders).since(before)
    return EndToEnd(
        charges=charges,
        latency_ms=latency_ms,
        submit_seconds=submit_seconds,
        seconds=finished_s - began_s,
        least_seconds=charges * latency_ms / 1000 / slots,
        cpu_us={name: seconds / charges * 1e6 for name, seconds in used.items()},
    )


def submitted(ground: Ground, *, invoices: int) -> HandedOver:
    """The durable submit of one batch over HTTP, when nothing else runs."""
    with system(ground, invoices=[invoices], latency_ms=0, charging=False) as running:
        pids = running.place.server_pids | running.leaders
        before = Cpu.read(pids)
        _, seconds = running.submit(1, range(1 + WARM_UP, 1 + WARM_UP + invoices))
        used = Cpu.read(pids).since(before)
    return HandedOver(seconds=seconds, cpu_us=sum(used.values()) / invoices * 1e6)


@dataclass(frozen=True, kw_only=True)
class SmallBatch:
    """Seconds from submitting five invoices to all of them recorded: alone, and behind a large running batch."""

    alone_s: list[float]
    behind_s: list[float]
    large_left: int


def small_behind_large(ground: Ground, *, large: int, probes: int, latency_ms: int) -> SmallBatch:
    with system(ground, invoices=[large, 2 * probes * _SMALL], latency_ms=latency_ms) as running:
        alone = [_probe(running, place) for place in range(probes)]
        batch, _ = running.submit(1, range(1 + WARM_UP, 1 + WARM_UP + large))
        time.sleep(_BEHIND_AFTER_S)
        behind = [_probe(running, place) for place in range(probes, 2 * probes)]
        left = running.unfinished(batch)
    assert left, "the large batch must still run when the last small one is done"
    return SmallBatch(alone_s=alone, behind_s=behind, large_left=left)


def _probe(running: System, place: int) -> float:
    time.sleep(_BETWEEN_PROBES_S)
    began_s = time.monotonic()
    batch, _ = running.submit(2, range(1 + place * _SMALL, 1 + (place + 1) * _SMALL))
    return wait_until(lambda: not running.unfinished(batch), "the small batch is charged") - began_s
