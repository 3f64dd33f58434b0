"""Celery with its thread pool, 2 processes of 32 threads: `python -m tests.bench.baselines.celery_worker`.

Acknowledged after the work, as Dramatiq does and a payment needs; without gossip, mingling and stored results.
"""

import os
import subprocess
import sys
from typing import Any

from celery import Celery

from tests.bench.baselines.charging import PROCESSES, THREADS, worker
from tests.bench.baselines.queues import CELERY_QUEUE, CELERY_TASK

app = Celery("bench", broker=os.environ["BENCH_AMQP_URL"])
app.conf.update(
    task_default_queue=CELERY_QUEUE,
    task_acks_late=True,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)

if __name__ == "__main__":
    command = [
        sys.executable, "-m", "celery", "--app", "tests.bench.baselines.celery_worker", "worker", "--pool", "threads",
        "--concurrency", str(THREADS), "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel",
        "warning",
    ]  # fmt: skip
    nodes = [subprocess.Popen([*command, "--hostname", f"bench{n}@%h"]) for n in range(PROCESSES)]
    for node in nodes:
        node.wait()
else:
    run = worker()

    @app.task(name=CELERY_TASK)
    def charge(fields: dict[str, Any]) -> None:
        run(fields)
