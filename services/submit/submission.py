"""The use cases preview and submit: they open the transaction and commit it. HTTP and other doors call them."""

import hashlib
import time
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg.errors import UniqueViolation
from psycopg_pool import AsyncConnectionPool

from schemas.http import MOST_INVOICES, Selection, SubmitRequest
from shared.crash_points import reached
from shared.store import approvals, submissions
from shared.store.approvals import Approval
from shared.store.scope import Scope
from shared.store.submissions import Blocked, Connection, NextNumbers, Ready, Submission, Submitted, UsedNumber
from shared.telemetry import traces

# Each try lost to another submit that finished; three in a row are a fault, not bad luck.
_TRIES: Final = 3


class BusyError(Exception):
    """Other submits took the same rows again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Submitted now, or (`replayed`) before with the same key and the same request."""

    batch: Submitted
    used_number: UsedNumber | None
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Above the practice's ceiling: it waits for a second person, and nothing is charged until then."""

    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReused:
    """The key belongs to another request."""

    batch_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Some invoices cannot be charged; nothing was saved."""

    blocked: list[Blocked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """The control totals are not those of the selection now; nothing was saved."""

    now: Ready


@dataclass(frozen=True, slots=True, kw_only=True)
class TooMany:
    """The filter leaves more invoices than one batch may have; nothing was saved."""


SubmitAnswer = Accepted | Waits | KeyReused | Refused | Differs | TooMany


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    selected: int
    ready: Ready
    blocked: list[Blocked]
    used_number: UsedNumber | None
    next_numbers: NextNumbers


async def preview(pool: AsyncConnectionPool[Any], scope: Scope, selection: Selection) -> Previewed | TooMany:
    """What a submit of this selection would do now."""
    async with pool.connection() as connection:
        invoices = await _invoices(connection, scope, selection)
        if len(invoices) > MOST_INVOICES:
            return TooMany()
        return Previewed(
            selected=len(invoices),
            ready=await submissions.weigh(connection, scope, invoices=invoices),
            blocked=await submissions.blocked(connection, scope, invoices=invoices),
            used_number=await _used(connection, scope, selection.payment_number),
            next_numbers=await submissions.next_numbers(connection, scope),
        )


async def submit(
    pool: AsyncConnectionPool[Any],
    scope: Scope,
    request: SubmitRequest,
    *,
    idempotency_key: str,
    actor: str,
    source: str,
    retry_of: UUID | None = None,
) -> SubmitAnswer:
    """Submit a batch, or say why not. Raises BusyError after several lost races.

    `retry_of` is the batch that named invoices are tried again from; a request may say it by itself.

    After a lost connection nobody knows whether the commit took place: the same call again tells and does no harm.
    """
    digest, began_ns = fingerprint(scope, request), time.time_ns()
    for _ in range(_TRIES):
        try:
            async with pool.connection() as connection:
                answer = await _submit_once(
                    connection,
                    scope,
                    request,
                    key=idempotency_key,
                    digest=digest,
                    actor=actor,
                    source=source,
                    retry_of=request.retry_of or retry_of,
                )
                reached("batch_written")
            reached("batch_committed")
        except UniqueViolation:
            # Another submit took the key or one of the invoices and has committed: read again what is true now.
            continue
        if answer is not None:
            if isinstance(answer, Accepted) and not answer.replayed:
                tell_submit(answer.batch, began_ns=began_ns)
            return answer
    raise BusyError


def tell_submit(batch: Submitted, *, began_ns: int) -> None:
    """The first span of a batch's trace, below which its charges are."""
    about = {"batchpay.batch_id": str(batch.id), "batchpay.batch": f"BP-{batch.number}"}
    traces.tell("submit", "server", traces.root_of(batch.id), parent=None, start_ns=began_ns, attributes=about)


async def earlier_answer(
    pool: AsyncConnectionPool[Any], scope: Scope, request: SubmitRequest, *, idempotency_key: str
) -> Accepted | Waits | KeyReused | None:
    """What this key was answered before; None if it is new. Nothing is submitted."""
    async with pool.connection() as connection:
        return await _earlier(connection, scope, key=idempotency_key, digest=fingerprint(scope, request))


def fingerprint(scope: Scope, request: SubmitRequest) -> bytes:
    """What makes two requests the same: everything they say, and whose clients they are about."""
    seen_by = str(scope.clinician_id or "")
    return hashlib.sha256(f"{seen_by}\n{request.model_dump_json()}".encode()).digest()


async def _submit_once(
    connection: Connection,
    scope: Scope,
    request: SubmitRequest,
    *,
    key: str,
    digest: bytes,
    actor: str,
    source: str,
    retry_of: UUID | None,
) -> SubmitAnswer | None:
    """None if nothing was written although nothing is wrong (any more): try again."""
    if earlier := await _earlier(connection, scope, key=key, digest=digest):
        return earlier
    invoices = await _invoices(connection, scope, request)
    if len(invoices) > MOST_INVOICES:
        return TooMany()
    used = await _used(connection, scope, request.payment_number)
    submission = Submission(
        invoices=invoices,
        payment_number=request.payment_number,
        control_count=request.control.count,
        control_minor=request.control.total_minor,
        idempotency_key=key,
        request_sha256=digest,
        actor=actor,
        source=source,
        retry_of=retry_of,
    )
    batch = await submissions.submit(connection, scope, submission)
    if batch is None:
        if approval := await approvals.request(connection, scope, submission):
            return Waits(approval=approval)
        # The same request may have been committed since the first look: then its own invoices are what is blocked.
        if before := await submissions.find_submitted(connection, scope, idempotency_key=key):
            return await _again(connection, scope, before, digest)
        return await _why_not(connection, scope, request, invoices)
    return Accepted(batch=batch, used_number=used, replayed=False)


async def _earlier(
    connection: Connection, scope: Scope, *, key: str, digest: bytes
) -> Accepted | Waits | KeyReused | None:
    if before := await submissions.find_submitted(connection, scope, idempotency_key=key):
        return await _again(connection, scope, before, digest)
    if asked := await approvals.find(connection, scope, idempotency_key=key):
        return Waits(approval=asked) if asked.request_sha256 == digest else KeyReused(batch_number=asked.number)
    return None


async def _again(connection: Connection, scope: Scope, before: Submitted, digest: bytes) -> Accepted | KeyReused:
    if before.request_sha256 != digest:
        return KeyReused(batch_number=before.number)
    used = await _used(connection, scope, before.payment_number, submitted=before)
    return Accepted(batch=before, used_number=used, replayed=True)


async def _why_not(
    connection: Connection, scope: Scope, request: SubmitRequest, invoices: list[str]
) -> Refused | Differs | None:
    if request.invoices and (blocked := await submissions.blocked(connection, scope, invoices=invoices)):
        return Refused(blocked=blocked)
    now = await submissions.weigh(connection, scope, invoices=invoices)
    differs = (now.ready, now.ready_minor) != (request.control.count, request.control.total_minor)
    return Differs(now=now) if differs else None


async def _invoices(connection: Connection, scope: Scope, selection: Selection) -> list[str]:
    if selection.invoices is not None:
        return selection.invoices
    if selection.retry_of is not None:
        return (await submissions.retryable(connection, scope, batch_id=selection.retry_of)).invoices
    assert selection.matching is not None
    return await submissions.matching_ready(
        connection, scope, wanted=selection.matching.wanted(), limit=MOST_INVOICES + 1
    )


async def _used(
    connection: Connection, scope: Scope, number: str | None, *, submitted: Submitted | None = None
) -> UsedNumber | None:
    if number is None:
        return None
    return await submissions.used_number(connection, scope, number=number, submitted=submitted)
