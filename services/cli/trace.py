"""`batchpay trace BATCH|PAYMENT`: the whole timeline, for support: who did what, when, and what the processor said."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from psycopg import AsyncConnection

from services.cli.database import connected
from services.cli.names import batch_number_of, uuid_of
from services.cli.printing import USAGE, Json, fail, print_json, print_table
from services.cli.trace_words import said
from shared.domain import money
from shared.store import trace as store
from shared.store.trace import Moment, TracedBatch, TracedPayment, Unclear

Connection = AsyncConnection[Any]
_TIME: Final = "%Y-%m-%d %H:%M:%S.%f"


def trace(
    what: Annotated[str, typer.Argument(metavar="BATCH|PAYMENT", help="BP-1048, a batch's id or a payment's id.")],
    *,
    practice: Annotated[str | None, typer.Option(help="Upstream's id: batch numbers are a practice's own.")] = None,
    as_json: Json = False,
) -> None:
    """Print all that happened to a batch or payment, with BATCHPAY_DATABASE_URL. Times are UTC."""
    asyncio.run(_trace(what, practice=practice, as_json=as_json))


async def _trace(what: str, *, practice: str | None, as_json: bool) -> None:
    async with connected() as connection:
        subject = uuid_of(what) or await _numbered(connection, what, practice=practice)
        if payment := await store.payment(connection, subject):
            moments = await store.payment_moments(connection, subject)
            _show(payment, _facts_of_payment(payment), moments, as_json=as_json)
        elif batch := await store.batch(connection, subject):
            moments, unclear = await store.batch_moments(connection, subject), await store.unclear(connection, subject)
            _show(batch, _facts_of_batch(batch), moments, unclear, as_json=as_json)
        else:
            fail(f"There is no batch and no payment {what}.")


async def _numbered(connection: Connection, what: str, *, practice: str | None) -> UUID:
    number = batch_number_of(what)
    if number is None:
        fail(f"{what!r} is neither a batch's number, as BP-1048, nor an id.", code=USAGE)
    found = await store.batches_named(connection, number, practice=practice)
    if not found:
        fail(f"There is no batch BP-{number}" + (f" of practice {practice}." if practice else "."))
    if len(found) > 1:
        fail(f"BP-{number} exists in {', '.join(one.practice for one in found)}: add --practice.", code=USAGE)
    return found[0].id


def _show(
    subject: TracedPayment | TracedBatch,
    facts: list[str],
    moments: list[Moment],
    unclear: list[Unclear] | None = None,
    *,
    as_json: bool,
) -> None:
    if as_json:
        timeline = [{**asdict(moment), "said": said(moment)} for moment in moments]
        more = {} if unclear is None else {"unclear": [asdict(one) for one in unclear]}
        print_json({**asdict(subject), "timeline": timeline, **more})
        return
    for fact in facts:
        typer.echo(fact)
    rows = [(moment.at.strftime(_TIME)[:-3], moment.who, said(moment)) for moment in moments]
    print_table(rows, columns=("When", "Who", "What"))
    if unclear:
        _show_unclear(unclear)


def _show_unclear(unclear: list[Unclear]) -> None:
    typer.echo("Payments to look at, each with a trace of its own:")
    rows = [
        (str(one.id), one.state, one.review_reason or one.reason_code or "", str(one.next_check_at or ""))
        for one in unclear
    ]
    print_table(rows, columns=("Payment", "State", "Why", "Next look"))


def _facts_of_payment(payment: TracedPayment) -> list[str]:
    amount = money.words(payment.amount_minor, payment.currency)
    facts = [
        f"Payment {payment.id} of BP-{payment.number}, practice {payment.practice}, invoice {payment.invoice}",
        f"{amount} through {payment.processor} account {payment.account}: {payment.state.upper()}",
    ]
    if payment.paused_at:
        facts.append(
            f"It waits: {payment.processor} is paused by {payment.paused_by} since {payment.paused_at:{_TIME}}"
        )
    if payment.on_wire:
        facts.append(f"Its request may be on the wire; its owner's lease ends {payment.lease_until:{_TIME}}")
    if payment.review_reason:
        facts.append(f"Under review: {payment.review_reason}. `batchpay review list` says what can be done.")
    if payment.next_check_at:
        facts.append(f"Looked after again at {payment.next_check_at:{_TIME}}")
    return facts


def _facts_of_batch(batch: TracedBatch) -> list[str]:
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(batch.states.items()))
    return [
        f"Batch {batch.id}, BP-{batch.number}, practice {batch.practice}, {batch.processor} account {batch.account}",
        f"{batch.total:,} payments, {money.words(batch.total_minor, batch.currency)}: {batch.status}, {batch.posting}",
        f"Payments now: {states}" + (f"; {batch.in_review:,} under review" if batch.in_review else ""),
    ]
