"""One refund from hint to record: look at the charge, claim, send once, record.

What becomes of a refund whose answer is lost is the janitor's to find out.
"""

from uuid import UUID

from shared.domain import refunding, returning
from shared.domain.answers import LookupAnswer, RefundAnswer
from shared.domain.payment import State
from shared.domain.snapshot import Attempt, Step
from shared.domain.words import AttemptKind
from shared.logs import working_on
from shared.store import disputes
from shared.store.payments import Connection, Locked
from workers.evidence import take_step
from workers.looking import look_up
from workers.sending import send
from workers.voids.claiming import ACTOR, Asked, Claim, Returner, claim, lock_asked, new_return


async def refund(payment_id: UUID, *, returner: Returner) -> None:
    """Refund one payment's charge if that is still asked for and no refund of it is open.

    The charge is looked up immediately before: what was given back in the processor's dashboard a moment ago must not
    be given back again.
    """
    async with returner.pool.connection() as connection:
        asked = await lock_asked(connection, payment_id, State.REFUNDING)
    if asked is None or asked.open:
        return
    payment = asked.payment
    with working_on(
        batch_id=payment.batch_id,
        payment_id=payment_id,
        practice_id=payment.practice_external_id,
        attempt=payment.attempts + 1,
    ):
        look = await look_up(returner.processors[payment.processor], payment, asked.charge)
        claimed = await _claim(asked, look, returner=returner)
        if claimed:
            await _carry_out(claimed, returner=returner)


async def _claim(before: Asked, look: LookupAnswer, *, returner: Returner) -> Claim | None:
    async def decide(asked: Asked, connection: Connection) -> Step | None:
        if asked.payment.version != before.payment.version:
            return None
        disputed = bool(await disputes.disputed(connection, [asked.payment.id]))
        held_back = refunding.held_back(asked.payment, asked.charge, look, disputed=disputed, now=asked.row.now)
        return held_back or _claimed(asked, returner)

    return await claim(before.payment.id, decide, state=State.REFUNDING, returner=returner)


def _claimed(asked: Asked, returner: Returner) -> Step:
    freeze = returner.processors[asked.payment.processor].freeze_refund
    new = new_return(asked, AttemptKind.REFUND, freeze, returner=returner)
    return returning.claim(asked.payment, asked.charge, new, now=asked.row.now)


async def _carry_out(claimed: Claim, *, returner: Returner) -> None:
    processor = returner.processors[claimed.payment.processor]
    answer: RefundAnswer = await send(
        claimed.claimed, processor.refund, what=f"{processor.name} refund", budget=processor.timing.send_budget
    )
    token = claimed.claimed.owned.token

    def decide(row: Locked, attempt: Attempt) -> Step | None:
        return refunding.answered(row.payment, attempt, answer, token=token, now=row.now)

    await take_step(returner.pool, claimed.payment.id, claimed.attempt.id, decide, actor=ACTOR)
