"""Batch requests from RabbitMQ: the same submit as over HTTP, answered as a message and told as an event."""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import orjson
import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import ValidationError

from schemas.http import Fault
from schemas.requests import MOST_FAULTS, MOST_REQUEST_BYTES, BatchRequest, RequestAnswer
from services.submit import refusals, submission
from services.submit.auth import Permission, Token, TokenRefusedError, Verifier
from services.submit.explain import batch_number
from services.submit.problems import ProblemError, fault_of
from services.submit.submission import Accepted, BusyError, SubmitAnswer, Waits
from shared.messaging.answering import Request
from shared.store import outbox
from shared.store.scope import Scope, resolve

# What PostgreSQL's absence, restart or a deadlock raise: the same request may be tried again.
TRY_AGAIN: Final = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
# A restart of PostgreSQL is waited for; a request that fails for a minute must not keep others waiting.
PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 20.0)
# Faults of these fields quote what was sent; others could quote a client's name or a typed payment number.
_QUOTED: Final = ("invoices", "control", "retry_of", "schema_version")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

_log = structlog.get_logger()

Pool = AsyncConnectionPool[Any]


async def answer_request(pool: Pool, verifier: Verifier, request: Request) -> bytes:
    """The answer to one request, whatever it holds. The same request again gets the same answer, and one batch."""
    answer = await _patiently(pool, verifier, request) or _rejected(request, _unavailable())
    _log.info(
        "request_answered",
        practice_id=answer.practice_id,
        outcome=answer.outcome,
        code=answer.code,
        batch_id=str(answer.batch_id),
        size_bytes=len(request.body),
    )
    return answer.model_dump_json().encode()


async def _patiently(pool: Pool, verifier: Verifier, request: Request) -> RequestAnswer | None:
    """Decide and tell; None if PostgreSQL is away for longer than a restart takes."""
    for pause_s in PAUSES_S:
        try:
            answer = await _decide(pool, verifier, request)
            await _tell(pool, answer)
        except TRY_AGAIN as error:
            _log.warning("request_retried", error=type(error).__name__)
            await asyncio.sleep(pause_s)
        else:
            return answer
    return None


async def _tell(pool: Pool, answer: RequestAnswer) -> None:
    """Tell the practice's listeners. A stranger's request is nobody's event."""
    if answer.practice_id is not None:
        async with pool.connection() as connection:
            await outbox.write_event(
                connection, batch_id=answer.batch_id, routing_key=answer.type, body=answer.model_dump_json()
            )


async def _decide(pool: Pool, verifier: Verifier, request: Request) -> RequestAnswer:
    token: Token | None = None
    key: str | None = None
    try:
        body = _read(request)
        token = await _verify(verifier, request, body)
        batch = _validate(request)
        key = batch.idempotency_key
        answer = await _submit(pool, token, batch, _source(request))
    except ProblemError as problem:
        return _rejected(request, problem, practice=token.practice if token else None, key=key)
    return _accepted(request, answer, practice=token.practice, key=key)


def _read(request: Request) -> Mapping[str, Any]:
    if len(request.body) > MOST_REQUEST_BYTES:
        raise ProblemError(413, "body_too_large", f"A request may have {MOST_REQUEST_BYTES} bytes. Nothing was done.")
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise ProblemError(422, "invalid_request", "The body is not JSON. Nothing was done.") from error
    if not isinstance(body, dict):
        raise ProblemError(422, "invalid_request", "The body is not a JSON object. Nothing was done.")
    return body


async def _verify(verifier: Verifier, request: Request, body: Mapping[str, Any]) -> Token:
    scheme, _, text = str(request.headers.get("authorization", "")).partition(" ")
    given = text if scheme.lower() == "bearer" else body.get("token")
    if not isinstance(given, str) or not given:
        raise ProblemError(
            401,
            "token_refused",
            "Send a token in the body, or in the message header `authorization`: `Bearer <token>`.",
        )
    try:
        token = await verifier.verify(given, even_expired=True)
    except TokenRefusedError as error:
        raise ProblemError(401, "token_refused", str(error)) from error
    if Permission.BILLING not in token.permissions:
        raise ProblemError(403, "permission_missing", f"This needs the permission `{Permission.BILLING}`.")
    return token


def _validate(request: Request) -> BatchRequest:
    try:
        return BatchRequest.model_validate_json(request.body)
    except ValidationError as error:
        raise ProblemError(
            422,
            "invalid_request",
            "The request is not as described in schemas/json/batch_request.v1.json. Nothing was done.",
            errors=[fault_of(one) for one in error.errors()],
        ) from error


async def _submit(pool: Pool, token: Token, batch: BatchRequest, source: str) -> Accepted | Waits:
    if batch.practice != token.practice:
        raise ProblemError(403, "practice_differs", "The token is for another practice. Nothing was done.")
    async with pool.connection() as connection:
        scope = await resolve(connection, practice=token.practice, clinician=token.clinician)
    if scope is None:
        raise ProblemError(403, "practice_unknown", "The token's practice, or its clinician, is not known here.")
    answer = await _submit_as(pool, token, scope, batch, source)
    if isinstance(answer, Accepted | Waits):
        return answer
    raise refusals.refusal(batch.submit_request(), batch.idempotency_key, answer)


async def _submit_as(pool: Pool, token: Token, scope: Scope, batch: BatchRequest, source: str) -> SubmitAnswer:
    key = batch.idempotency_key
    if token.expires_at <= datetime.now(UTC):
        # It may be a delivered-again request whose answer was lost: that answer must not change into a refusal.
        earlier = await submission.earlier_answer(pool, scope, batch.submit_request(), idempotency_key=key)
        if earlier is None:
            raise ProblemError(401, "token_refused", "The token has expired. Send the request again with a new one.")
        return earlier
    try:
        return await submission.submit(
            pool, scope, batch.submit_request(), idempotency_key=key, actor=token.subject, source=source
        )
    except BusyError as error:
        raise refusals.busy() from error


def _source(request: Request) -> str:
    """From where, for the audit log."""
    known = request.correlation_id is not None and _PLAIN.fullmatch(request.correlation_id)
    return f"amqp {request.correlation_id}" if known else "amqp"


def _unavailable() -> ProblemError:
    return ProblemError(
        503, "database_unavailable", "We do not know if the request took effect. Send it again with the same key."
    )


# --- Answers ----------------------------------------------------------------------------------------------------------


def _accepted(request: Request, answer: Accepted | Waits, *, practice: str, key: str) -> RequestAnswer:
    batch = answer.batch if isinstance(answer, Accepted) else answer.approval
    outcome = "submitted" if isinstance(answer, Accepted) else "waiting_for_approval"
    return RequestAnswer(
        event_id=f"request.{batch.id}.{outcome}",
        type="request.accepted",
        occurred_at=datetime.now(UTC),
        practice_id=practice,
        idempotency_key=key,
        correlation_id=request.correlation_id,
        outcome=outcome,
        batch_id=batch.id,
        batch_number=batch_number(batch.number),
        count=batch.total,
        total_minor=batch.total_minor,
        currency=batch.currency,
    )


def _rejected(
    request: Request, problem: ProblemError, *, practice: str | None = None, key: str | None = None
) -> RequestAnswer:
    return RequestAnswer(
        event_id=f"request.{uuid4()}",
        type="request.rejected",
        occurred_at=datetime.now(UTC),
        practice_id=practice,
        idempotency_key=key,
        correlation_id=request.correlation_id,
        outcome="rejected",
        code=problem.code,
        detail=problem.detail,
        faults=len(problem.errors),
        errors=[_discreet(fault) for fault in problem.errors[:MOST_FAULTS]],
    )


def _discreet(fault: Fault) -> Fault:
    quoted = fault.field.partition(".")[0] in _QUOTED
    return fault if quoted else fault.model_copy(update={"value": None})
