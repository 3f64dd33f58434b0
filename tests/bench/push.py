"""`python -m tests.bench.push [ROWS]`: a large push of invoices in one call, and the memory of the service meanwhile.

Pushed three times: all new, again without a change, and again with every hundredth row changed.
"""

import http.client
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg

from services.development.local import free_port
from services.development.processes import Process, answers
from services.development.sandbox import new_database
from services.development.servers import development_servers
from services.development.stack import Stack
from services.submit.auth import mint
from shared.store.migrate import migrate
from tests.submit_service import AUDIENCE, SECRET, seed

_MOST_ROWS: Final = 100_000
_CLIENTS: Final = 1_000
_SAMPLED_EVERY_S: Final = 0.02
_MB: Final = 1024 * 1024


def rows(count: int, *, changed: bool) -> Iterator[bytes]:
    """Invoices of practice oak as NDJSON."""
    for n in range(count):
        due = 5_000 if changed and n % 100 == 0 else 10_000
        row = {
            "invoice_id": f"pushed-{n:06}",
            "invoice_number": f"INV-{n:06}",
            "client_id": f"oak-c{n % _CLIENTS + 1}",
            "currency": "USD",
            "total_minor": 10_000,
            "amount_due_minor": due,
            "issued_on": "2026-10-01",
            "status": "open",
        }
        yield json.dumps(row).encode() + b"\n"


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """The resident memory of a process over the time of the block, in bytes."""
    process, over = psutil.Process(pid), threading.Event()
    sizes = [process.memory_info().rss]

    def sample() -> None:
        while not over.wait(_SAMPLED_EVERY_S):
            sizes.append(process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield sizes
    finally:
        over.set()
        thread.join()
        sizes.append(process.memory_info().rss)


def push(port: int, token: str, body: bytes) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    connection.request("PUT", "/v1/practices/oak/invoices", body=body, headers=headers)
    answer = connection.getresponse()
    said: dict[str, Any] = json.load(answer)
    connection.close()
    assert answer.status == http.HTTPStatus.OK, said
    return said


def token() -> str:
    now = datetime.now(UTC)
    who = {"subject": "bench", "practice": "oak", "permissions": ["catalog:write"], "audience": AUDIENCE}
    return mint(SECRET, **who, now=now, lifetime=timedelta(hours=1))  # type: ignore[arg-type]  # a dict of its words


def measure(name: str, body: bytes, *, port: int, pid: int) -> None:
    with watched(pid) as sizes:
        began_s = time.monotonic()
        said = push(port, token(), body)
        took_s = time.monotonic() - began_s
    counts = {key: said[key] for key in ("added", "changed", "unchanged", "refused")}
    before, most, after = (round(size / _MB) for size in (sizes[0], max(sizes), sizes[-1]))
    sys.stdout.write(
        f"{name:<10} {took_s:6.1f} s  {said['rows'] / took_s:8,.0f} rows/s"
        f"  memory {before} -> {after} MB, at most {most} MB  {counts}\n"
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else _MOST_ROWS
    with development_servers() as servers, tempfile.TemporaryDirectory(prefix="batchpay-push-") as folder:
        database_url, port = new_database(servers.database_url), free_port()
        migrate(database_url)
        seed(database_url, clients=_CLIENTS)
        environment = {
            "BATCHPAY_DATABASE_URL": database_url,
            "BATCHPAY_AMQP_URL": servers.amqp_url,
            "BATCHPAY_JWT_SECRET": SECRET,
            "BATCHPAY_HTTP_PORT": str(port),
        }
        ready = answers(f"http://127.0.0.1:{port}/readyz")
        submit = Process(name="submit", module="services.submit", environment=environment, ready=ready)
        with Stack([submit], run_directory=Path(folder)) as stack:
            pid = stack.pid("submit")
            assert pid is not None
            push(port, token(), b"".join(rows(10, changed=False)))  # its first request loads what all need
            for name, changed in (("new", False), ("again", False), ("changed", True)):
                measure(name, b"".join(rows(count, changed=changed)), port=port, pid=pid)
        with psycopg.connect(database_url) as connection:
            found = connection.execute("SELECT count(*) FROM invoice WHERE external_id LIKE 'pushed-%'").fetchone()
            assert found == (count,), found


if __name__ == "__main__":
    main()
