"""Routes of batches: preview, submit, history, one batch and its report."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response

from schemas import http
from services.submit import answers, refusals, submission
from services.submit.caller import Biller, Caller, Pool
from services.submit.cursors import next_cursor, order_of
from services.submit.documented import problems
from services.submit.problems import ProblemError, not_found
from services.submit.submission import Accepted, BusyError, TooMany, Waits
from shared.domain.batch import Posting
from shared.store import batches, report
from shared.store.batches import LONGEST_NUMBER, NEWEST_FIRST, Batch, Connection
from shared.store.paging import Cursor
from shared.store.scope import Scope, seeing

router = APIRouter(prefix="/v1/batches", tags=["batches"])
IdempotencyKey = Annotated[
    str, Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")
]

BatchId = Annotated[str, Path(description="The batch's id, or its number: `BP-1048`.", max_length=40)]


@router.post("/preview", responses=problems(413))
async def preview_batch(body: http.PreviewRequest, caller: Biller, pool: Pool) -> http.Preview:
    """What a submit of this selection would do: control totals, every reason of every blocked invoice, warnings."""
    previewed = await submission.preview(pool, caller.scope, body)
    if isinstance(previewed, TooMany):
        raise refusals.too_many()
    return answers.preview(previewed, number=body.payment_number)


@router.post(
    "",
    status_code=201,
    response_model=http.SubmittedBatch,
    responses={200: {"model": http.SubmittedBatch}, 202: {"model": http.WaitingBatch}, **problems(409, 413, 429)},
)
async def submit_batch(
    request: Request, *, body: http.SubmitRequest, key: IdempotencyKey, caller: Biller, pool: Pool, response: Response
) -> Any:
    """Submit a batch: all selected invoices or none. The same key with the same request answers 200 with the batch.

    Above the practice's ceiling nothing is charged: the answer is 202, and a second person approves or sends back.
    """
    refusals.count_submit(request, caller)
    try:
        answer = await submission.submit(
            pool, caller.scope, body, idempotency_key=key, actor=caller.subject, source=caller.source
        )
    except BusyError as error:
        raise refusals.busy() from error
    match answer:
        case Accepted():
            response.status_code = 200 if answer.replayed else 201
            response.headers["Location"] = f"/v1/batches/{answer.batch.id}"
            return answers.submitted(answer)
        case Waits():
            return Response(
                answers.waiting(answer.approval).model_dump_json(), status_code=202, media_type="application/json"
            )
        case _:
            raise refusals.refusal(body, key, answer)


@router.get("", responses=problems())
async def list_batches(query: Annotated[http.BatchQuery, Query()], caller: Biller, pool: Pool) -> http.BatchPage:
    """Batch Payment History."""
    order = order_of(query)
    if caller.scope.own_clients and (order.sort, order.descending) != (NEWEST_FIRST, True):
        raise refusals.sort_not_available(query.sort)
    posting = None if query.show == "all" else Posting(query.show)
    async with seeing(pool, caller.scope) as connection:
        rows = await batches.page(connection, caller.scope, posting=posting, order=order)
    return http.BatchPage(
        items=[answers.batch(row) for row in rows[: query.limit]],
        next_cursor=next_cursor([row.cursor for row in rows], query),
    )


@router.get("/{batch}", responses=problems(404))
async def read_batch(batch: BatchId, caller: Biller, pool: Pool) -> http.BatchItem:
    async with seeing(pool, caller.scope) as connection:
        return answers.batch(await visible_batch(connection, caller.scope, batch))


@router.get("/{batch}/payments", responses=problems(404))
async def list_payments(
    batch: BatchId, query: Annotated[http.PaymentQuery, Query()], caller: Biller, pool: Pool
) -> http.PaymentPage:
    """The batch report: a row per payment, in the order of the selection."""
    order = order_of(query)
    async with seeing(pool, caller.scope) as connection:
        found = await visible_batch(connection, caller.scope, batch)
        rows = await report.payments(
            connection,
            caller.scope,
            batch_id=found.id,
            after=order.after.id if order.after else None,
            limit=order.limit,
        )
        await caller.note_view(connection, "report.viewed", batch_id=found.id, rows=len(rows))
    return http.PaymentPage(
        items=[answers.payment(row) for row in rows[: query.limit]],
        next_cursor=next_cursor([Cursor(text="", number=0, id=row.id) for row in rows], query),
    )


async def visible_batch(connection: Connection, scope: Scope, name: str) -> Batch:
    """The batch of this id or number. Raises the problem 404 if the caller sees nothing of it."""
    found = None
    number = number_of(name)
    if number is not None:
        found = await batches.find(connection, scope, number=number)
    elif (batch_id := _uuid(name)) is not None:
        found = await batches.find(connection, scope, batch_id=batch_id)
    if found is None:
        raise not_found()
    return found


async def whole_batch(pool: Pool, caller: Caller, name: str, *, to: Literal["void", "refund"]) -> Batch:
    """This batch, for who wants to give all of it back. Raises the problem 403 for who sees own clients only."""
    async with seeing(pool, caller.scope) as connection:
        found = await visible_batch(connection, caller.scope, name)
    if caller.scope.own_clients:
        raise ProblemError(
            403,
            f"batch_{to}_not_allowed",
            f"You see only your own clients, so you cannot {to} a whole batch. {to.title()} the payments one by one.",
        )
    return found


def number_of(name: str) -> int | None:
    """1048 for `BP-1048`; None for any other text."""
    digits = name.upper().removeprefix("BP-")
    fits = digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER
    return int(digits) if fits and digits != name.upper() else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
