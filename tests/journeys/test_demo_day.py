"""`batchpay demo-day` as a person runs it: every payment ends as what moved, every finding names its cause."""

import os
import subprocess
import sys
from collections import Counter

from services.development.servers import Servers
from tests.journeys.sandboxes import SETTINGS, virtual_host

# On busy cores; on idle ones it takes less than a minute.
WITHIN_S = 240.0
FOUND = {"outside_refund": 2, "chargeback": 2, "outside_charge": 2}


def test_the_day_ends_with_every_payment_equal_and_every_cause_found(servers: Servers) -> None:
    with virtual_host(servers) as (own, _):
        environment = {
            **os.environ,
            **SETTINGS,
            "BATCHPAY_SERVERS": "environment",
            "BATCHPAY_DATABASE_URL": own.database_url,
            "BATCHPAY_AMQP_URL": own.amqp_url,
        }
        command = [sys.executable, "-c", "from services.cli.main import app; app()", "demo-day"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " no " not in done.stdout.partition("Every finding")[0], done.stdout
    words = Counter(done.stdout.partition("Every finding")[2].split())
    assert {kind: words[kind] for kind in FOUND} == FOUND, done.stdout
    for state in ("voided", "refunded", "settled,", "declined"):
        assert state in done.stdout, done.stdout
    assert "Traceback" not in done.stderr
