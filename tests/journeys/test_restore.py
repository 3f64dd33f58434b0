"""A PostgreSQL that is restored from a base backup, with processors that know more than it does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from services.development.local import as_account
from services.development.postgresql import own_postgresql, unprivileged_account
from services.development.sandbox import Sandbox
from services.development.servers import Servers
from shared.domain.words import ProcessorName
from tests.journeys.exports import Export
from tests.journeys.journey import Journey
from tests.journeys.sandboxes import running, virtual_host
from tests.waiting import eventually

STRIPE: Final = ProcessorName.STRIPE
# As after a recovery from an archive: PostgreSQL goes on where the backup ends, under a new timeline.
RECOVERY: Final = """
restore_command = 'false'
recovery_target = 'immediate'
recovery_target_action = 'promote'
"""


@pytest.fixture
def own_servers(servers: Servers) -> Iterator[Servers]:
    """A PostgreSQL that this test may lose. RabbitMQ is everybody's: the test leaves it alone."""
    with virtual_host(servers) as (own, _), own_postgresql() as (postgresql, url):
        yield replace(own, database_url=url, postgresql=postgresql)


@pytest.fixture
def own_box(own_servers: Servers, tmp_path: Path) -> Iterator[Sandbox]:
    with running(own_servers, tmp_path / "box") as box:
        yield box


def back_up(servers: Servers) -> Path:
    """A base backup beside the data."""
    assert servers.postgresql
    program, _, data = servers.postgresql.command
    address = urlsplit(servers.database_url)
    backup = Path(data).with_name("backup")
    command = [
        str(Path(program).with_name("pg_basebackup")), "--pgdata", str(backup), "--checkpoint=fast", "--no-sync",
        "--host", "127.0.0.1", "--port", str(address.port), "--username", "postgres", "--no-password",
    ]  # fmt: skip
    environment = {**servers.postgresql.environment, "PGPASSWORD": address.password or ""}
    account = unprivileged_account()
    backup.mkdir(mode=0o700)
    if account:
        os.chown(backup, account.pw_uid, account.pw_gid)
    subprocess.run(command, env=environment, cwd=backup, check=True, timeout=60, **as_account(account))
    return backup


def restore(servers: Servers, backup: Path) -> None:
    """PostgreSQL dies, its data is lost, and the backup takes its place."""
    assert servers.postgresql
    servers.postgresql.kill()
    data = Path(servers.postgresql.command[-1])
    shutil.rmtree(data)
    backup.rename(data)
    (data / "recovery.signal").touch()
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(RECOVERY)
    servers.postgresql.start()


def batchpay(box: Sandbox, *arguments: str) -> tuple[int, Any]:
    """A command's exit code and its JSON."""
    program = "from services.cli.main import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **box.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if "--json" in arguments else done.stdout


def test_12_a_restored_backup_charges_nothing_that_it_has_forgotten(
    own_servers: Servers, own_box: Sandbox, tmp_path: Path
) -> None:
    """Batch one is submitted before the backup and charged after it; batch two happens after it altogether."""
    practice = Journey(box=own_box, export=Export(processor=STRIPE), folder=tmp_path / "export")
    known = [practice.export.client() for _ in range(3)]
    lost = practice.export.client()
    later = practice.export.client()
    practice.push()
    assert batchpay(own_box, "restore-drill", "--once")[0] == 0
    assert batchpay(own_box, "pause", "stripe", "--reason", "the batch shall wait for the backup")[0] == 0
    one = practice.submit([invoice for client in known for invoice in client.invoices])

    backup = back_up(own_servers)
    assert batchpay(own_box, "resume", "stripe")[0] == 0
    practice.until(one, {"settled": 3})
    two = practice.submit(lost.invoices)
    practice.until(two, {"settled": 1})
    restore(own_servers, backup)

    # The backup remembers batch one as waiting, and a pause; without the pause only the hold keeps it from charging.
    eventually(lambda: practice.states(one) == {"queued": 3}, within_s=60, what="the backup is what counts")
    assert batchpay(own_box, "resume", "stripe")[0] == 0
    code, held = batchpay(own_box, "restore-drill", "--once", "--json")
    assert code == 1
    (account,) = [hold for hold in held if hold["account"] == practice.export.account]
    assert account["released_at"] is None
    three = practice.submit(later.invoices)

    # Requests that were on the wire are waited for; the time of a lease is taken off here.
    practice.rows("UPDATE restore_hold SET found_at = found_at - interval '1 hour', next_try_at = now()")
    practice.until(one, {"settled": 3}, within_s=90)
    assert practice.states(three) == {"queued": 1}
    assert practice.charges_sent() == 4

    # Nobody but a person knows what became of batch two.
    def stranger() -> Any:
        practice.rows("UPDATE restore_hold SET next_try_at = now() WHERE released_at IS NULL")
        found = practice.rows("SELECT id FROM finding WHERE kind = 'forgotten_charge' AND resolved_at IS NULL")
        return found and found[0][0]

    finding = eventually(stranger, within_s=60, what="the charge of batch two is found")
    assert batchpay(own_box, "findings", "resolve", str(finding), "--by", "pat", "--note", "entered by hand")[0] == 0
    practice.rows("UPDATE restore_hold SET next_try_at = now() WHERE released_at IS NULL")
    assert batchpay(own_box, "restore-drill")[0] == 0
    # Its hint was dropped while the account was held, and comes again after a minute, which passes here at once.
    practice.rows("UPDATE payment SET next_check_at = clock_timestamp() WHERE state = 'queued'")
    practice.until(three, {"settled": 1})
    assert len(practice.executed()) == 5
    executions = own_box.control(STRIPE, "ledger")["executions"]
    assert set(executions.values()) == {1}, "a charge was made twice"
