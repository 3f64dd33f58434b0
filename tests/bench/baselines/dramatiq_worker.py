"""Plain Dramatiq, as its guide sets it up: RabbitMQ broker with the usual middleware, 2 processes of 32 threads.

Started with `python -m tests.bench.baselines.dramatiq_worker`; Dramatiq's own command line imports it again by name.
"""

import os
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.cli import main, make_argument_parser

from tests.bench.baselines.charging import PROCESSES, THREADS, worker
from tests.bench.baselines.queues import DRAMATIQ_QUEUE

if __name__ == "__main__":
    wanted = ["tests.bench.baselines.dramatiq_worker", "--processes", str(PROCESSES), "--threads", str(THREADS)]
    raise SystemExit(main(make_argument_parser().parse_args(wanted)))

broker = RabbitmqBroker(url=os.environ["BENCH_AMQP_URL"])
dramatiq.set_broker(broker)
run = worker()


@dramatiq.actor(queue_name=DRAMATIQ_QUEUE, actor_name=DRAMATIQ_QUEUE)
def charge(fields: dict[str, Any]) -> None:
    run(fields)
