"""What steps mean beyond their own payment, written in their transaction: for cards, and for money taken before."""

from collections.abc import Sequence
from datetime import datetime

from shared.domain import claiming, taken
from shared.domain.declines import Category
from shared.domain.payment import NEVER_CHARGED, State
from shared.domain.reasons import Reason
from shared.domain.snapshot import Step
from shared.store import payments
from shared.store.payments import Connection


async def follow(connection: Connection, steps: Sequence[Step], *, actor: str, now: datetime) -> list[Step]:
    """What these steps mean for other payments on their cards, and for money that an older attempt took."""
    return [
        *await _spare_cards(connection, steps, actor=actor, now=now),
        *await _fall_back_on_surplus(connection, steps, actor=actor, now=now),
    ]


async def _spare_cards(connection: Connection, steps: Sequence[Step], *, actor: str, now: datetime) -> list[Step]:
    """Spare a card that was just refused: its other queued payments are skipped.

    For good if the refusal was not soft; for the rest of the batch after soft refusals in a row. Returns the steps that
    were written.
    """
    declined = [step.after for step in steps if step.after.state is State.DECLINED and step.moved]
    hard = {p.token for p in declined if p.reason_category in (Category.HARD, Category.DATA, Category.CLIENT)}
    soft = {p.token: p.batch_id for p in declined if p.reason_category == Category.SOFT}
    resting = await payments.resting_cards(connection, soft) if soft else set()
    if not hard and not resting:
        return []
    waiting = await payments.lock(connection, await payments.queued_on_cards(connection, hard | resting))
    skipped: list[Step] = []
    for row in waiting:
        payment = row.payment
        if payment.state is not State.QUEUED:
            continue
        if payment.token in hard:
            skipped.append(claiming.skip(payment, Reason.CARD_DECLINED, now=now))
        elif payment.batch_id == soft[payment.token]:
            skipped.append(claiming.skip(payment, Reason.CARD_ON_HOLD, now=now))
    await payments.write(connection, skipped, actor=actor, now=now)
    return skipped


async def _fall_back_on_surplus(
    connection: Connection, steps: Sequence[Step], *, actor: str, now: datetime
) -> list[Step]:
    """A payment ends without money although an older attempt of it took some: that attempt pays it.

    Otherwise its invoice would be open again, and the next batch would charge the client a second time.
    """
    ended = {
        step.after.id: step.after for step in steps if step.after.review_reason and step.after.state in NEVER_CHARGED
    }
    if not ended:
        return []
    surplus = await payments.surplus_attempts(connection, ended)
    paid = [
        step
        for payment_id, attempt in surplus.items()
        if (step := taken.surplus_pays(ended[payment_id], attempt, now=now))
    ]
    await payments.write(connection, paid, actor=actor, now=now)
    return paid
