"""`python -m workers.voids`: gives money back: voids unsettled charges and refunds settled ones, where asked for."""

from functools import partial
from uuid import UUID

from schemas.commands import REFUND_ACTOR, REFUND_QUEUE, VOID_ACTOR, VOID_QUEUE
from shared import logs
from shared.messaging.broker import HintBroker
from shared.messaging.worker import add_actor, run_worker
from shared.observation import observed
from shared.settings import WorkerSettings
from shared.store.pool import open_pool
from shared.telemetry.progress import Turning
from workers.processors.registry import every_processor
from workers.voids.claiming import ACTOR, Returner
from workers.voids.refunding import refund
from workers.voids.voiding import void


def main() -> None:
    settings = WorkerSettings()
    logs.configure(ACTOR, level=settings.log_level, format=settings.log_format)
    pool = open_pool(settings.database_url, process=ACTOR, most=settings.database_connections, keyed=True)
    processors = every_processor(settings)
    returner = Returner(pool=pool, processors=processors, environment=settings.environment)
    run_void, run_refund = partial(void, returner=returner), partial(refund, returner=returner)

    async def void_hinted(payment_id: str) -> None:
        await run_void(UUID(payment_id))

    async def refund_hinted(payment_id: str) -> None:
        await run_refund(UUID(payment_id))

    turning = Turning()

    async def start() -> None:
        turning.begin()
        await pool.open()

    async def stop() -> None:
        for processor in processors.values():
            await processor.close()
        await pool.close()

    broker = HintBroker(settings.amqp_url)
    add_actor(broker, void_hinted, actor_name=VOID_ACTOR, queue_name=VOID_QUEUE)
    add_actor(broker, refund_hinted, actor_name=REFUND_ACTOR, queue_name=REFUND_QUEUE)
    with observed(ACTOR, settings, alive=turning.is_alive):
        run_worker(
            broker,
            queues=[VOID_QUEUE, REFUND_QUEUE],
            # Each adapter has a connection for each of `in_flight` requests, and both queues send over them.
            in_flight=max(1, settings.in_flight // 2),
            on_start=start,
            on_stop=stop,
            grace_s=settings.drain_s,
        )


if __name__ == "__main__":
    main()
