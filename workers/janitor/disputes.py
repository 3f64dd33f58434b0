"""Writes down how a dispute stands, once for each change, in the transaction that tells it."""

from shared.domain.books import Dispute, Standing
from shared.domain.disputing import disputed
from shared.domain.words import ProcessorName
from shared.store import disputes, payments
from workers.evidence import log_steps
from workers.janitor.janitor import ACTOR, Janitor


async def record_dispute(dispute: Dispute, *, processor: ProcessorName, account: str, janitor: Janitor) -> bool:
    """True if it is about a charge of ours."""
    steps = []
    async with janitor.pool.connection() as connection:
        charge = await disputes.charge_of(
            connection, processor=processor, account=account, charge_ref=dispute.charge_ref
        )
        if charge is None:
            return False
        locked = (await payments.lock(connection, [charge.payment_id]))[0]
        attempt = (await payments.attempts(connection, [charge.attempt_id]))[charge.attempt_id]
        was = await disputes.standing_of(connection, dispute, processor=processor, account=account)
        step = disputed(locked.payment, attempt, dispute, was=was)
        if step:
            steps.append(step)
            await payments.write(connection, steps, actor=ACTOR, now=locked.now)
            won = dispute.standing is Standing.WON
            name = "dispute_opened" if was is None and not won else f"dispute_{dispute.standing}"
            await disputes.tell(connection, step, name, now=locked.now)
            if won:
                await disputes.settle_finding(connection, charge.payment_id, dispute)
        await disputes.write(connection, dispute, charge, processor=processor, account=account)
    log_steps(steps)
    return True
