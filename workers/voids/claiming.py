"""Claims of those who give money back: the payment, its charge and the attempt that is about to be sent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from psycopg_pool import AsyncConnectionPool

from shared.crash_points import reached
from shared.domain.ids import reference, uuid7
from shared.domain.payment import State
from shared.domain.returning import NewReturn
from shared.domain.snapshot import Attempt, Payment, Step
from shared.domain.words import AttemptKind, ProcessorName
from shared.store import payments, restores
from shared.store.payments import Connection, Locked, Owned
from workers.clock import elapsed_s
from workers.evidence import log_steps
from workers.processors.port import Processor, ReturnOrder
from workers.sending import Claimed

ACTOR = "voids"


@dataclass(frozen=True, slots=True, kw_only=True)
class Returner:
    """What giving back needs: connections, the processors, the environment's name for references, and time."""

    pool: AsyncConnectionPool
    processors: Mapping[ProcessorName, Processor]
    environment: str
    monotonic: Callable[[], float] = elapsed_s

    def order(self, payment: Payment, charge: Attempt) -> ReturnOrder:
        """The order to give back a charge, under the reference of the payment's next attempt."""
        assert charge.processor_ref
        return ReturnOrder(
            reference=reference(self.environment, payment.id, payment.attempts + 1),
            account=payment.account,
            charge_reference=charge.reference,
            charge_processor_ref=charge.processor_ref,
            charge_history_ref=charge.history_ref,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A payment whose money is to be given back and that nobody is at, with its charge and its open attempt."""

    row: Locked
    charge: Attempt
    open: Attempt | None

    @property
    def payment(self) -> Payment:
        return self.row.payment


@dataclass(frozen=True, slots=True)
class Claim:
    payment: Payment
    charge: Attempt
    attempt: Attempt
    claimed: Claimed


def new_return(
    asked: Asked, kind: AttemptKind, freeze: Callable[[ReturnOrder], str], *, returner: Returner
) -> NewReturn:
    """An attempt to give a charge back, under the reference of the payment's next attempt."""
    order = returner.order(asked.payment, asked.charge)
    return NewReturn(
        kind=kind,
        id=uuid7(),
        token=uuid4(),
        n=asked.payment.attempts + 1,
        reference=order.reference,
        request_text=freeze(order),
        lease=returner.processors[asked.payment.processor].timing.lease,
    )


async def lock_asked(connection: Connection, payment_id: UUID, state: State) -> Asked | None:
    """The locked payment, if it is in `state`, nobody is at it and its account may be sent for."""
    locked = await payments.lock(connection, [payment_id])
    if not locked or locked[0].payment.state is not state:
        return None
    row = locked[0]
    if row.payment.lease_until and row.payment.lease_until > row.now:
        return None
    if await restores.held(connection, row.payment.processor, row.payment.account):
        return None
    assert row.payment.current_attempt
    charge_id = row.payment.current_attempt
    charge = (await payments.attempts(connection, [charge_id]))[charge_id]
    return Asked(row, charge, await payments.open_return(connection, charge_id))


async def claim(
    payment_id: UUID,
    decide: Callable[[Asked, Connection], Awaitable[Step | None]],
    *,
    state: State,
    returner: Returner,
) -> Claim | None:
    """Decide under the row lock and commit what was decided; a Claim if that was to send."""
    began_s = returner.monotonic()
    async with returner.pool.connection() as connection:
        asked = await lock_asked(connection, payment_id, state)
        step = await decide(asked, connection) if asked else None
        if asked is None or step is None:
            return None
        await payments.write(connection, [step], actor=ACTOR, now=asked.row.now)
        reached("void_claim_written")
    reached("void_claim_committed")
    log_steps([step])
    if not (step.attempt and step.after.claim_token):
        return None
    owned = Owned(payment_id, step.after.claim_token, step.attempt.id, step.attempt.request_text)
    return Claim(step.after, asked.charge, step.attempt, Claimed(owned, began_s, returner.monotonic))
