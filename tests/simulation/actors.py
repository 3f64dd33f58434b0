"""Our processes, wired as their `__main__` modules wire them, around simulated connections, messages and processors."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Self
from uuid import UUID

import psycopg
from dramatiq import Message as HintMessage

from schemas.commands import AGGREGATOR_QUEUE, CHARGE_QUEUES, FIRST_CHARGE_QUEUES, REFUND_QUEUE, VOID_QUEUE
from services.aggregator.aggregator import aggregate
from services.relay.feed import POLL_S
from services.relay.relay import lines_of
from shared.domain.words import ProcessorName
from shared.store.batch_status import recompute
from shared.store.group_commit import GroupCommit
from tests.simulation.bank import Bank
from tests.simulation.bus import Bus, Message
from tests.simulation.gates import Process
from tests.simulation.pool import Pool, RelayConnection
from tests.simulation.processors import CONNECTIONS, SimulatedProcessor
from tests.simulation.world import World
from workers.charge.charging import charge
from workers.charge.claiming import Claimer, claim_group
from workers.charge.slots import Slots
from workers.evidence import record_until_done
from workers.janitor.janitor import Janitor
from workers.janitor.sweeping import sweep_for_ever
from workers.voids.claiming import Returner
from workers.voids.refunding import refund
from workers.voids.voiding import void

ENVIRONMENT = "sim"
# A small number, so that groups are full with a handful of payments.
_GROUP_MOST = 3
_QUEUED_AT_MOST = 50
# Rows that are due later are looked for this seldom: the relay looks at each notice anyway.
_POLL_S = 60.0
_LOOK_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What every process stands on."""

    world: World
    bus: Bus
    bank: Bank

    def processor(self, name: ProcessorName, process: Process) -> SimulatedProcessor:
        return SimulatedProcessor(name, world=self.world, bank=self.bank, process=process)

    def processors(self, process: Process) -> dict[ProcessorName, SimulatedProcessor]:
        return {name: self.processor(name, process) for name in ProcessorName}


def charge_worker(process: Process, ground: Ground, *, name: ProcessorName) -> None:
    world, pool = ground.world, Pool(ground.world, process)
    processor = ground.processor(name, process)
    claimer = Claimer(
        pool=pool,
        processor=processor,
        environment=ENVIRONMENT,
        actor=process.name,
        new_token=world.parts.new_token,
        monotonic=world.clock.monotonic,
    )
    claim, record = partial(claim_group, claimer=claimer), partial(record_until_done, pool=pool, actor=process.name)
    claims, first_claims = GroupCommit(claim, most=_GROUP_MOST), GroupCommit(claim, most=_GROUP_MOST)
    records, first_records = GroupCommit(record, most=_GROUP_MOST), GroupCommit(record, most=_GROUP_MOST)
    slots = Slots(CONNECTIONS)

    run = partial(charge, processor=processor, slots=slots)
    in_turn = partial(run, claim=claims.submit, record=records.submit)
    ahead = partial(run, claim=first_claims.submit, record=first_records.submit, first=True)
    process.start(_consume(process, ground.bus, CHARGE_QUEUES[name], in_turn))
    process.start(_consume(process, ground.bus, FIRST_CHARGE_QUEUES[name], ahead))


def void_worker(process: Process, ground: Ground) -> None:
    returner = Returner(
        pool=Pool(ground.world, process),
        processors=ground.processors(process),
        environment=ENVIRONMENT,
        monotonic=ground.world.clock.monotonic,
    )
    process.start(_consume(process, ground.bus, VOID_QUEUE, partial(void, returner=returner)))
    process.start(_consume(process, ground.bus, REFUND_QUEUE, partial(refund, returner=returner)))


def janitor(process: Process, ground: Ground) -> None:
    made = Janitor(
        pool=Pool(ground.world, process),
        processors=ground.processors(process),
        monotonic=ground.world.clock.monotonic,
    )
    process.start(sweep_for_ever(janitor=made, every_s=math.inf, stop=_Turn(process)))


def relay(process: Process, ground: Ground) -> None:
    process.start(_relay(process, ground))


def aggregator(process: Process, ground: Ground) -> None:
    run = partial(recompute, Pool(ground.world, process), actor=process.name)
    process.start(aggregate(_Events(process, ground.bus), recompute=run, clock=ground.world.clock.monotonic))


class _Turn:
    """The janitor's pause between two sweeps ends when its turn comes."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def is_set(self) -> bool:
        return False

    async def wait(self) -> None:
        await self._process.gate("sweep")


async def _consume(process: Process, bus: Bus, queue: str, work: Callable[[UUID], Awaitable[None]]) -> None:
    while True:
        await process.gate("receive", queue, ready=lambda: bus.has(queue))
        process.start(_work_on(process, bus, bus.take(process, queue), work))


async def _work_on(process: Process, bus: Bus, message: Message, work: Callable[[UUID], Awaitable[None]]) -> None:
    """Acknowledged when its work is over, however that ended."""
    (payment_id,) = HintMessage.decode(message.body).args
    bus.world.trace.add(f"  {process.name} got {payment_id}")
    try:
        await work(UUID(payment_id))
    except psycopg.OperationalError as error:
        bus.world.trace.add(f"  {process.name} gave {payment_id} up: {error}")
    bus.acknowledge(process, message)


async def _relay(process: Process, ground: Ground) -> None:
    world, session = ground.world, ground.world.session
    lines = lines_of(queued_at_most=_QUEUED_AT_MOST, monotonic=world.clock.monotonic, below=world.random.randrange)
    known: set[str] = set()
    connection = RelayConnection(world, process)
    poll_s = 0.0
    while True:
        await process.gate("round", ready=_ready_to_relay(world, world.clock.in_s(poll_s)))
        session.relay_is_told()
        session.set_time(world.clock.now.isoformat())
        try:
            submitted = [row[0] for row in connection.execute("SELECT id::text FROM batch ORDER BY id")]
            told = [batch for batch in submitted if batch not in known]
            known.update(told)
            next_in_s = min(line.relay(connection, ground.bus, told) for line in lines)
        except psycopg.OperationalError:
            next_in_s = 0.0
        poll_s = _LOOK_AGAIN_S if next_in_s < POLL_S else _POLL_S


def _ready_to_relay(world: World, look_at: datetime) -> Callable[[], bool]:
    return lambda: world.session.to_relay or world.clock.now >= look_at


class _Events:
    """The aggregator's groups: asking for the next one acknowledges the last."""

    def __init__(self, process: Process, bus: Bus) -> None:
        self._process = process
        self._bus = bus
        self._group: list[Message] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[bytes]:
        for message in self._group:
            self._bus.acknowledge(self._process, message)
        await self._process.gate("receive", AGGREGATOR_QUEUE, ready=lambda: self._bus.has(AGGREGATOR_QUEUE))
        self._group = [self._bus.take(self._process, AGGREGATOR_QUEUE)]
        while self._bus.has(AGGREGATOR_QUEUE) and len(self._group) < _GROUP_MOST:
            self._group.append(self._bus.take(self._process, AGGREGATOR_QUEUE))
        return [message.body for message in self._group]
