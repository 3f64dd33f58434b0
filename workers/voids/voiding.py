"""One void from hint to record: claim, look where an earlier void may have worked, send, record."""

from uuid import UUID, uuid4

from shared.domain import returning, voiding
from shared.domain.answers import Found, VoidAnswer, VoidRefused
from shared.domain.payment import State
from shared.domain.snapshot import Attempt, Step
from shared.domain.words import AttemptKind
from shared.logs import working_on
from shared.store.payments import Connection, Locked
from workers.evidence import take_step
from workers.looking import look_up
from workers.processors.port import Processor
from workers.sending import send
from workers.voids.claiming import ACTOR, Asked, Claim, Returner, claim, new_return


async def void(payment_id: UUID, *, returner: Returner) -> None:
    """Void one payment's charge if that is still asked for.

    The charge is looked up before a void is sent again and after a refusal: a refusal alone may mean "voided
    already" as well as "settled already".
    """

    async def decide(asked: Asked, _connection: Connection) -> Step:
        return _claimed(asked, returner)

    claimed = await claim(payment_id, decide, state=State.VOIDING, returner=returner)
    if claimed is None:
        return
    with working_on(
        batch_id=claimed.payment.batch_id,
        payment_id=payment_id,
        practice_id=claimed.payment.practice_external_id,
        attempt=claimed.attempt.n,
    ):
        await _carry_out(claimed, returner=returner)


def _claimed(asked: Asked, returner: Returner) -> Step:
    payment, now = asked.payment, asked.row.now
    processor = returner.processors[payment.processor]
    if asked.open:
        # The same transaction cannot be voided twice.
        return returning.claim_again(payment, asked.open, token=uuid4(), lease=processor.timing.lease, now=now)
    new = new_return(asked, AttemptKind.VOID, processor.freeze_void, returner=returner)
    return returning.claim(payment, asked.charge, new, now=now)


async def _carry_out(claimed: Claim, *, returner: Returner) -> None:
    processor = returner.processors[claimed.payment.processor]
    if claimed.attempt.sends > 1 and await _seen_done(claimed, processor, returner=returner):
        return
    answer = await send(
        claimed.claimed, processor.void, what=f"{processor.name} void", budget=processor.timing.send_budget
    )
    await _record(claimed, answer, returner=returner)
    if isinstance(answer, VoidRefused):
        await _seen_done(claimed, processor, returner=returner)


async def _record(claimed: Claim, answer: VoidAnswer, *, returner: Returner) -> None:
    token = claimed.claimed.owned.token

    def decide(row: Locked, attempt: Attempt) -> Step | None:
        return voiding.answered(row.payment, attempt, answer, token=token, now=row.now)

    await take_step(returner.pool, claimed.payment.id, claimed.attempt.id, decide, actor=ACTOR)


async def _seen_done(claimed: Claim, processor: Processor, *, returner: Returner) -> bool:
    """Look the charge up and record what it shows; True when the void is over, one way or the other."""
    look = await look_up(processor, claimed.payment, claimed.charge)
    if not isinstance(look, Found):
        return False

    def decide(row: Locked, attempt: Attempt) -> Step | None:
        return voiding.seen(row.payment, attempt, look.sighting, now=row.now)

    return await take_step(returner.pool, claimed.payment.id, claimed.attempt.id, decide, actor=ACTOR) is not None
