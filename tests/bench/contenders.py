"""Who is compared: the engine in several compositions, and the baselines."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import dramatiq
from celery import Celery
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from schemas.commands import CHARGE_ACTORS, CHARGE_QUEUES
from services.development.processes import Process, logged
from shared.messaging.publish import Outgoing, Publisher
from tests.bench.baselines.queues import CELERY_QUEUE, CELERY_TASK, DRAMATIQ_QUEUE
from tests.bench.ground import Place
from tests.bench.population import Job

IN_FLIGHT: Final = 64
_NEVER_SLOW_S: Final = "75"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """`processes` are started for a round; `publish` gives them work, `None` where the relay does.

    `books` tells whether payments are found charged in the database at the end.
    """

    name: str
    title: str
    processor: str
    processes: Callable[[Place], list[Process]]
    publish: Callable[[Place, Sequence[Job]], None] | None
    books: bool = True


# --- The engine -------------------------------------------------------------------------------------------------------


def engine_environment(place: Place) -> dict[str, str]:
    return {
        "BATCHPAY_ENVIRONMENT": "bench",
        "BATCHPAY_DATABASE_URL": place.database_url,
        "BATCHPAY_AMQP_URL": place.amqp_url,
        "BATCHPAY_LOG_FORMAT": "json",
        "BATCHPAY_VANTAGE_REST_URL": place.stub.url,
        "BATCHPAY_VANTAGE_XML_URL": place.stub.url,
        "BATCHPAY_VANTAGE_REPORT_URL": place.stub.url,
        "BATCHPAY_VANTAGE_BILLER_ACCOUNT_ID": "bench",
        "BATCHPAY_VANTAGE_AUTHENTICATION_TOKEN": "bench",
        "BATCHPAY_VANTAGE_CERT_STRING": "bench",
        "BATCHPAY_VANTAGE_REPORT_KEY": "bench",
        "BATCHPAY_VANTAGE_AFFILIATE_ID": "bench",
        "BATCHPAY_VANTAGE_TOTAL_DEADLINE_S": _NEVER_SLOW_S,
        "BATCHPAY_STRIPE_API_KEY": "sk_test_bench",
        "BATCHPAY_STRIPE_API_BASE": place.stub.url,
    }


def workers(place: Place, *, processor: str, processes: int = 1, module: str = "workers.charge") -> list[Process]:
    """The real charge worker, `IN_FLIGHT` in all."""
    environment = {
        **engine_environment(place),
        "BATCHPAY_CHARGE_PROCESSOR": processor,
        "BATCHPAY_IN_FLIGHT": str(IN_FLIGHT // processes),
    }
    return [Process(name=f"worker-{n + 1}", module=module, environment=environment) for n in range(processes)]


def feeders(place: Place) -> list[Process]:
    """The rest of what a charge and its events pass through."""
    environment = engine_environment(place)
    return [
        Process(name="relay", module="services.relay", environment=environment, ready=logged("relay_started")),
        Process(
            name="aggregator",
            module="services.aggregator",
            environment=environment,
            ready=logged("aggregator_started"),
        ),
        Process(name="notify", module="services.notify", environment=environment, ready=logged("notify_started")),
    ]


def publish_hints(processor: str) -> Callable[[Place, Sequence[Job]], None]:
    queue, actor = CHARGE_QUEUES[processor], CHARGE_ACTORS[processor]
    return lambda place, jobs: _publish(place, queue, actor, [(job.payment_id,) for job in jobs])


def engine(processor: str, *, processes: int = 1) -> list[Contender]:
    """The engine with relay, aggregator and notify at work, and its worker alone with hints that lie ready."""
    spread = f", {processes} workers x {IN_FLIGHT // processes}" if processes > 1 else ""
    suffix = f"-x{processes}" if processes > 1 else ""
    return [
        Contender(
            name=f"engine{suffix}",
            title=f"Batchpay, relay, aggregator and notify included{spread}",
            processor=processor,
            processes=lambda place: [*workers(place, processor=processor, processes=processes), *feeders(place)],
            publish=None,
        ),
        Contender(
            name=f"engine-hinted{suffix}",
            title=f"Batchpay, hints published beforehand{spread}",
            processor=processor,
            processes=lambda place: workers(place, processor=processor, processes=processes),
            publish=publish_hints(processor),
        ),
    ]


def engine_without_books(processor: str) -> Contender:
    return Contender(
        name="engine-no-books",
        title="Batchpay's worker, claims and records kept in memory only",
        processor=processor,
        processes=lambda place: workers(place, processor=processor, module="tests.bench.worker_without_books"),
        publish=publish_hints(processor),
        books=False,
    )


# --- The baselines ----------------------------------------------------------------------------------------------------

_TITLES: Final = {
    "none": "no bookkeeping",
    "light": "one statement before and after",
    "same_rows": "one statement before and after, the engine's rows",
}
_CHARGERS: Final = {"vantage": "", "stripe": ", SDK default", "stripe_tuned": ", SDK on a keep-alive client"}


def baseline(kind: str, charger: str, books: str) -> Contender:
    """`kind` is dramatiq, celery or pool; `charger` a name of `chargers()`; `books` none, light or same_rows."""
    module, title, publish = {
        "dramatiq": ("dramatiq_worker", "Dramatiq 2x32", _publish_dramatiq),
        "celery": ("celery_worker", "Celery threads 2x32", _publish_celery),
        "pool": ("pool_worker", "ThreadPoolExecutor 2x32", _publish_file),
    }[kind]
    processor = charger.partition("_")[0]

    def processes(place: Place) -> list[Process]:
        environment = {
            "BENCH_AMQP_URL": place.amqp_url,
            "BENCH_DATABASE_URL": place.database_url,
            "BENCH_STUB_URL": place.stub.url,
            "BENCH_JOBS": str(place.directory),
            "BENCH_CHARGER": charger,
            "BENCH_BOOKS": books,
            "BENCH_STATE": "approved" if processor == "vantage" else "settled",
        }
        return [Process(name="worker-1", module=f"tests.bench.baselines.{module}", environment=environment)]

    return Contender(
        name=f"{kind}-{books}" + charger.removeprefix(processor).replace("_", "-"),
        title=f"{title}{_CHARGERS[charger]}, {_TITLES[books]}",
        processor=processor,
        processes=processes,
        publish=publish,
        books=books != "none",
    )


def _publish_dramatiq(place: Place, jobs: Sequence[Job]) -> None:
    broker = RabbitmqBroker(url=place.amqp_url)
    broker.declare_queue(DRAMATIQ_QUEUE, ensure=True)
    broker.close()
    _publish(place, DRAMATIQ_QUEUE, DRAMATIQ_QUEUE, [(asdict(job),) for job in jobs])


def _publish_celery(place: Place, jobs: Sequence[Job]) -> None:
    with Celery("bench", broker=place.amqp_url, set_as_current=False) as app, app.producer_or_acquire() as producer:
        for job in jobs:
            app.send_task(CELERY_TASK, args=(asdict(job),), queue=CELERY_QUEUE, producer=producer)


def _publish_file(place: Place, jobs: Sequence[Job]) -> None:
    """Complete at once under its name, because the workers look for it."""
    n = len(list(place.directory.glob("[0-9]*.json")))
    unfinished = place.directory / "next"
    unfinished.write_text(json.dumps([asdict(job) for job in jobs]))
    unfinished.rename(place.directory / f"{n}.json")


def _publish(place: Place, queue: str, actor: str, arguments: Sequence[tuple[object, ...]]) -> None:
    messages = [
        dramatiq.Message(queue_name=queue, actor_name=actor, args=args, kwargs={}, options={}) for args in arguments
    ]
    outgoing = [Outgoing("", queue, message.encode(), message.message_id) for message in messages]
    with Publisher(place.amqp_url) as publisher:
        assert all(publisher.publish(outgoing)), f"{queue} took every message"
