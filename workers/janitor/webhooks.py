"""Looks into what webhooks are about. An event is a hint: what is believed is what the processor shows when asked.

So their order, their age and how often they come make no difference.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

import psycopg
import structlog

from shared.domain import sightings
from shared.domain.answers import Found, LookupFailed, Seen, Sighting
from shared.domain.finding_kinds import Kind
from shared.domain.payment import State
from shared.domain.reconciling import under_review
from shared.domain.refund_failed import refund_failed
from shared.domain.snapshot import Attempt, Step
from shared.domain.webhooks import is_news, is_of_dispute
from shared.logs import working_on
from shared.store import payments, webhooks
from shared.store.payments import Connection, Locked
from shared.store.webhooks import Charge, Webhook
from workers.evidence import log_steps, take_step
from workers.janitor.case import Case, read_case
from workers.janitor.disputes import record_dispute
from workers.janitor.janitor import ACTOR, Janitor
from workers.janitor.reports import Reports
from workers.janitor.unclear import find_out
from workers.looking import look_up

_log = structlog.get_logger()

# In these another worker has a request on its way, or looks up what became of it.
_LOOKED_UP: Final = (State.VOIDING, State.REFUNDING)
_IN_HAND: Final = (State.SENDING, *_LOOKED_UP)
# An event may be here before what it is about is written down. Half an hour later it is about something else.
_TRIES_MOST: Final = 15


async def handle_webhooks(*, janitor: Janitor) -> None:
    """Handle the events that wait, those about one charge together: they ask for one look."""
    async with janitor.pool.connection() as connection:
        waiting = await webhooks.take(connection)
    about = attrgetter("processor", "account", "charge_ref", "reference")
    for _, events in groupby(sorted(waiting, key=lambda one: tuple(map(str, about(one)))), key=about):
        try:
            await _handle(list(events), janitor=janitor)
        except Exception:  # noqa: BLE001  # one event's trouble must not keep the others waiting
            _log.exception("webhook_failed")


async def _handle(events: Sequence[Webhook], *, janitor: Janitor) -> None:
    first = events[0]
    async with janitor.pool.connection() as connection:
        charge = await webhooks.charge_of(connection, first)
    if charge is None:
        if first.tries >= _TRIES_MOST or not (first.charge_ref or first.reference):
            await _done(events, "not_ours", janitor=janitor)
        return
    with working_on(payment_id=charge.payment_id):
        if await _look(events, charge, janitor=janitor):
            await _done(events, "looked", janitor=janitor)


async def _look(events: Sequence[Webhook], charge: Charge, *, janitor: Janitor) -> bool:
    """Whether everything was seen that these events can be about."""
    if any(is_of_dispute(event.type) for event in events) and not await _see_disputes(
        events[0], charge, janitor=janitor
    ):
        return False
    if not any(is_news(event.type, charge.state) for event in events if not is_of_dispute(event.type)):
        return True
    if charge.state in _IN_HAND:
        async with janitor.pool.connection() as connection:
            await webhooks.look_soon(connection, charge.payment_id, _LOOKED_UP)
        return events[0].tries >= _TRIES_MOST
    if charge.state in (State.UNKNOWN, State.PROCESSING):
        await find_out(charge.payment_id, janitor=janitor, reports=Reports(janitor.processors))
        return True
    return await _look_again(charge, janitor=janitor)


async def _see_disputes(event: Webhook, charge: Charge, *, janitor: Janitor) -> bool:
    charge_ref = charge.processor_ref or event.charge_ref
    assert charge_ref is not None
    shown = await janitor.processors[event.processor].disputes(event.account, charge_ref)
    if isinstance(shown, LookupFailed):
        return False
    for dispute in shown:
        await record_dispute(dispute, processor=event.processor, account=event.account, janitor=janitor)
    return True


async def _look_again(charge: Charge, *, janitor: Janitor) -> bool:
    """Look a charge up whose outcome was known: something happened to it since."""
    case = await read_case(charge.payment_id, pool=janitor.pool, states=tuple(State))
    if case is None or case.attempt.id != charge.attempt_id:
        return True
    look = await look_up(janitor.processors[case.payment.processor], case.payment, case.attempt)
    if not isinstance(look, Found):
        return not isinstance(look, LookupFailed)
    if case.payment.state is State.REFUNDED and look.sighting.seen is Seen.SETTLED:
        await _undo_refund(case, janitor=janitor)
        return True
    await _record(case, look.sighting, janitor=janitor)
    return True


async def _record(case: Case, sighting: Sighting, *, janitor: Janitor) -> None:
    def decide(row: Locked, attempt: Attempt) -> Step | None:
        unchanged = row.payment.version == case.payment.version
        return sightings.seen(row.payment, attempt, sighting, unchanged=unchanged, now=row.now)

    try:
        await take_step(janitor.pool, *case.key, decide, actor=ACTOR)
    except psycopg.errors.UniqueViolation:
        reason = f"the processor's {sighting.processor_ref} is already known for another charge"
        await take_step(
            janitor.pool,
            *case.key,
            lambda row, attempt: under_review(row.payment, attempt, Kind.STATUS_DIFFERS, reason),
            actor=ACTOR,
        )


async def _undo_refund(case: Case, *, janitor: Janitor) -> None:
    """Nothing may have changed since before the look: a refund of that moment would not be shown by it."""
    steps = []
    async with janitor.pool.connection() as connection:
        locked = (await payments.lock(connection, [case.payment.id]))[0]
        if locked.payment.version != case.payment.version:
            return
        step = refund_failed(locked.payment, case.attempt, refund=await _our_refund(connection, case), now=locked.now)
        if step:
            steps.append(step)
            await payments.write(connection, steps, actor=ACTOR, now=locked.now)
    log_steps(steps)


async def _our_refund(connection: Connection, case: Case) -> Attempt | None:
    refund_id = await webhooks.confirmed_refund(connection, case.attempt.id)
    return (await payments.attempts(connection, [refund_id]))[refund_id] if refund_id else None


async def _done(events: Sequence[Webhook], outcome: str, *, janitor: Janitor) -> None:
    async with janitor.pool.connection() as connection:
        for event in events:
            await webhooks.handled(connection, event, outcome)
