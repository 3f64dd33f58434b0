"""One void from hint to record: claim, look where an earlier void may have worked, send, record."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from psycopg_pool import AsyncConnectionPool

from shared.crash_points import reached
from shared.domain import voiding
from shared.domain.answers import Found, NotExecuted, Unknown, VoidAnswer, VoidRefused
from shared.domain.ids import reference, uuid7
from shared.domain.payment import State
from shared.domain.snapshot import Attempt, Payment, Step
from shared.domain.voiding import NewVoid
from shared.domain.words import ProcessorName
from shared.logs import working_on
from shared.store import payments
from shared.store.payments import Connection, Locked, Owned
from workers.evidence import log_steps, take_step
from workers.looking import look_up
from workers.processors.port import Processor, VoidOrder
from workers.sending import Claimed, send

ACTOR = "voids"


@dataclass(frozen=True, slots=True, kw_only=True)
class Voider:
    """What voids need: connections, the processors, the environment's name for references, and time."""

    pool: AsyncConnectionPool
    processors: Mapping[ProcessorName, Processor]
    environment: str
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class _Claim:
    payment: Payment
    charge: Attempt
    void: Attempt
    claimed: Claimed


async def void(payment_id: UUID, *, voider: Voider) -> None:
    """Void one payment's charge if that is still asked for.

    The charge is looked up before a void is sent again and after a refusal: a refusal alone may mean "voided
    already" as well as "settled already".
    """
    claim = await _claim(payment_id, voider=voider)
    if claim is None:
        return
    with working_on(
        batch_id=claim.payment.batch_id,
        payment_id=payment_id,
        practice_id=claim.payment.practice_external_id,
        attempt=claim.void.n,
    ):
        await _carry_out(claim, voider=voider)


async def _carry_out(claim: _Claim, *, voider: Voider) -> None:
    processor = voider.processors[claim.payment.processor]
    if claim.void.sends > 1 and await _seen_done(claim, processor, voider=voider):
        return
    answer = await send(claim.claimed, processor.void, budget=processor.timing.send_budget)
    await _record(claim, answer, voider=voider)
    if isinstance(answer, VoidRefused):
        await _seen_done(claim, processor, voider=voider)


# --- Claim ------------------------------------------------------------------------------------------------------------


async def _claim(payment_id: UUID, *, voider: Voider) -> _Claim | None:
    began_s = voider.monotonic()
    async with voider.pool.connection() as connection:
        found = await _voiding(connection, payment_id)
        if found is None:
            return None
        row, charge, open_void = found
        processor = voider.processors[row.payment.processor]
        if open_void:
            token = uuid4()
            lease = processor.timing.lease
            step = voiding.claim_again(row.payment, open_void, token=token, lease=lease, now=row.now)
        else:
            new = _new_void(row.payment, charge, processor, environment=voider.environment)
            step = voiding.claim(row.payment, charge, new, now=row.now)
        await payments.write(connection, [step], actor=ACTOR, now=row.now)
        reached("void_claim_written")
    reached("void_claim_committed")
    log_steps([step])
    assert step.attempt
    assert step.after.claim_token
    owned = Owned(payment_id, step.after.claim_token, step.attempt.id, step.attempt.request_text)
    return _Claim(step.after, charge, step.attempt, Claimed(owned, began_s, voider.monotonic))


async def _voiding(connection: Connection, payment_id: UUID) -> tuple[Locked, Attempt, Attempt | None] | None:
    """The locked payment, its charge and its open void, if it is to be voided and nobody else is at it."""
    locked = await payments.lock(connection, [payment_id])
    if not locked or locked[0].payment.state is not State.VOIDING:
        return None
    row = locked[0]
    if row.payment.lease_until and row.payment.lease_until > row.now:
        return None
    assert row.payment.current_attempt
    charge_id = row.payment.current_attempt
    charge = (await payments.attempts(connection, [charge_id]))[charge_id]
    return row, charge, (await payments.open_voids(connection, [charge_id])).get(charge_id)


def _new_void(payment: Payment, charge: Attempt, processor: Processor, *, environment: str) -> NewVoid:
    assert charge.processor_ref
    n = payment.attempts + 1
    order = VoidOrder(
        reference=reference(environment, payment.id, n),
        account=payment.account,
        charge_reference=charge.reference,
        charge_processor_ref=charge.processor_ref,
        charge_history_ref=charge.history_ref,
    )
    return NewVoid(
        id=uuid7(),
        token=uuid4(),
        n=n,
        reference=order.reference,
        request_text=processor.freeze_void(order),
        lease=processor.timing.lease,
    )


# --- Record -----------------------------------------------------------------------------------------------------------


async def _record(claim: _Claim, answer: VoidAnswer | NotExecuted | Unknown, *, voider: Voider) -> None:
    token = claim.claimed.owned.token

    def decide(row: Locked, attempt: Attempt) -> Step | None:
        return voiding.answered(row.payment, attempt, answer, token=token, now=row.now)

    await take_step(voider.pool, claim.payment.id, claim.void.id, decide, actor=ACTOR)


async def _seen_done(claim: _Claim, processor: Processor, *, voider: Voider) -> bool:
    """Look the charge up and record what it shows; True when the void is over, one way or the other."""
    look = await look_up(processor, claim.payment, claim.charge)
    if not isinstance(look, Found):
        return False

    def decide(row: Locked, attempt: Attempt) -> Step | None:
        return voiding.seen(row.payment, attempt, look.sighting, now=row.now)

    return await take_step(voider.pool, claim.payment.id, claim.void.id, decide, actor=ACTOR) is not None
