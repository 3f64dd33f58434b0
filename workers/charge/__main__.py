"""`python -m workers.charge`: charges the payments of one processor (BATCHPAY_CHARGE_PROCESSOR)."""

from functools import partial
from uuid import UUID

from schemas.commands import CHARGE_ACTORS, CHARGE_QUEUES, FIRST_CHARGE_ACTORS, FIRST_CHARGE_QUEUES
from shared import logs
from shared.messaging.broker import HintBroker
from shared.messaging.worker import add_actor, run_worker
from shared.observation import observed
from shared.settings import ChargeSettings
from shared.store.group_commit import GroupCommit
from shared.store.pool import open_pool
from shared.telemetry.progress import Turning
from workers.charge.charging import charge
from workers.charge.claiming import Claimer, claim_group
from workers.charge.slots import Slots
from workers.evidence import record_until_done
from workers.processors.registry import MAKERS

# Payments in one transaction: beyond this a group is no cheaper, only later.
_GROUP_MOST = 200
# A transaction costs as much as some ten of its payments. With groups this far apart it is shared by more of them, and
# payments are claimed ahead of their slots by more than that. At 64 slots and 50 ms a charge cost 0.73 ms of all
# processes' time so, and 1.05 ms without a pace.
_GROUP_PACE_S = 0.05
# With so many the transaction's own cost is small beside theirs: they wait for nothing.
_GROUP_ENOUGH = 64
# Messages at work for each slot at the processor: one is sent while two are claimed ahead and one is recorded. The rest
# stays in the queue, so that a small batch that comes late waits for no more than these.
_MESSAGES_PER_SLOT = 4


def main() -> None:
    settings = ChargeSettings()
    name = settings.charge_processor
    process = f"charge-{name}"
    logs.configure(process, level=settings.log_level, format=settings.log_format)
    pool = open_pool(settings.database_url, process=process, most=settings.database_connections, keyed=True)
    processor = MAKERS[name](settings)
    claimer = Claimer(pool=pool, processor=processor, environment=settings.environment, actor=process)
    claim, record = partial(claim_group, claimer=claimer), partial(record_until_done, pool=pool, actor=process)
    claims = GroupCommit(claim, most=_GROUP_MOST, enough=_GROUP_ENOUGH, pace_s=_GROUP_PACE_S)
    records = GroupCommit(record, most=_GROUP_MOST, enough=_GROUP_ENOUGH, pace_s=_GROUP_PACE_S)
    # The first payments of a batch wait for no pace, and for no large group.
    first_claims, first_records = GroupCommit(claim, most=_GROUP_MOST), GroupCommit(record, most=_GROUP_MOST)
    slots = Slots(settings.in_flight)

    async def charge_hinted(payment_id: str) -> None:
        await charge(UUID(payment_id), claim=claims.submit, record=records.submit, processor=processor, slots=slots)

    async def charge_first_hinted(payment_id: str) -> None:
        await charge(
            UUID(payment_id),
            claim=first_claims.submit,
            record=first_records.submit,
            processor=processor,
            slots=slots,
            first=True,
        )

    turning = Turning()

    async def start() -> None:
        turning.begin()
        await pool.open()

    async def stop() -> None:
        await processor.close()
        await pool.close()

    broker = HintBroker(settings.amqp_url)
    add_actor(broker, charge_hinted, actor_name=CHARGE_ACTORS[name], queue_name=CHARGE_QUEUES[name])
    add_actor(broker, charge_first_hinted, actor_name=FIRST_CHARGE_ACTORS[name], queue_name=FIRST_CHARGE_QUEUES[name])
    with observed(process, settings, alive=turning.is_alive):
        run_worker(
            broker,
            queues=[CHARGE_QUEUES[name], FIRST_CHARGE_QUEUES[name]],
            in_flight=_MESSAGES_PER_SLOT * settings.in_flight,
            on_start=start,
            on_stop=stop,
            grace_s=settings.drain_s,
        )


if __name__ == "__main__":
    main()
