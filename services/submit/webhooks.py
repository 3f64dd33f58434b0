"""Routes of webhooks: who is told of the practice's events, and what became of what was told."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Request, Response

from schemas import http
from schemas.events import WebhookTest
from services.submit.auth import Permission
from services.submit.caller import Caller, Pool, caller_with
from services.submit.cursors import next_cursor, order_of
from services.submit.documented import problems
from services.submit.problems import ProblemError, not_found
from shared.domain.delivering import OLD_SECRET_VALID
from shared.domain.receivers import new_secret, url_fault
from shared.store import deliveries, subscriptions
from shared.store.deliveries import Delivery, Event
from shared.store.paging import Cursor
from shared.store.subscriptions import Actor, Connection, Subscription

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


async def keeper(caller: Annotated[Caller, Depends(caller_with(Permission.WEBHOOKS_WRITE))]) -> Caller:
    """A caller who may decide who is told of everything in the practice."""
    if caller.scope.own_clients:
        raise ProblemError(
            403,
            "webhooks_not_allowed",
            "You see only your own clients, and a webhook is told of all. Nothing was done.",
        )
    return caller


Keeper = Annotated[Caller, Depends(keeper)]


@router.post("", status_code=201, responses=problems(409))
async def create_webhook(
    body: http.WebhookRequest, caller: Keeper, pool: Pool, request: Request, response: Response
) -> http.NewWebhook:
    """Send the practice's events to a URL from now on. The answer has the signing secret, which is shown only once."""
    if fault := url_fault(body.url, environment=request.app.state.environment):
        raise _url_refused(body.url, fault)
    secret = new_secret()
    async with pool.connection() as connection:
        created = await subscriptions.create(connection, _actor(caller), url=body.url, types=body.types, secret=secret)
    if created is None:
        raise ProblemError(
            409, "too_many_webhooks", f"A practice has at most {subscriptions.MOST} webhooks. Delete one first."
        )
    response.headers["Location"] = f"/v1/webhooks/{created.id}"
    return http.NewWebhook(**_fields(created), secret=secret)


@router.get("", responses=problems())
async def list_webhooks(query: Annotated[http.WebhookQuery, Query()], caller: Keeper, pool: Pool) -> http.WebhookPage:
    """The practice's webhooks, oldest first."""
    order = order_of(query)
    async with pool.connection() as connection:
        rows = await subscriptions.page(
            connection,
            practice_id=caller.scope.practice_id,
            limit=order.limit,
            after=order.after.id if order.after else None,
        )
    return http.WebhookPage(
        items=[_answer(row) for row in rows[: query.limit]],
        next_cursor=next_cursor([_cursor(row.id) for row in rows], query),
    )


@router.get("/{webhook}", responses=problems(404))
async def get_webhook(webhook: UUID, caller: Keeper, pool: Pool) -> http.Webhook:
    """One webhook, without its secret."""
    async with pool.connection() as connection:
        return _answer(await _own(connection, caller, webhook))


@router.delete("/{webhook}", status_code=204, response_class=Response, responses=problems(404))
async def delete_webhook(webhook: UUID, caller: Keeper, pool: Pool) -> Response:
    """Send nothing more, for ever."""
    async with pool.connection() as connection:
        if not await subscriptions.delete(connection, _actor(caller), webhook):
            raise not_found()
    return Response(status_code=204)


@router.post("/{webhook}/disable", responses=problems(404))
async def disable_webhook(webhook: UUID, caller: Keeper, pool: Pool) -> http.Webhook:
    """Send nothing more until it is enabled. What is not sent meanwhile is kept for 30 days and can be replayed."""
    async with pool.connection() as connection:
        await subscriptions.disable(connection, _actor(caller), webhook, why="asked")
        return _answer(await _own(connection, caller, webhook))


@router.post("/{webhook}/enable", responses=problems(404))
async def enable_webhook(webhook: UUID, caller: Keeper, pool: Pool) -> http.Webhook:
    """Send what comes from now on, with the failures forgotten."""
    async with pool.connection() as connection:
        await subscriptions.enable(connection, _actor(caller), webhook)
        return _answer(await _own(connection, caller, webhook))


@router.post("/{webhook}/rotate-secret", responses=problems(404, 409))
async def rotate_secret(webhook: UUID, body: http.RotateRequest, caller: Keeper, pool: Pool) -> http.RotatedSecret:
    """A new secret. The old one signs beside it for a while, so that receivers can change theirs without losing any."""
    secret, old_valid = new_secret(), min(timedelta(hours=body.old_valid_hours), OLD_SECRET_VALID)
    async with pool.connection() as connection:
        rotated = await subscriptions.rotate(connection, _actor(caller), webhook, secret=secret, old_valid=old_valid)
    if rotated == "unknown":
        raise not_found()
    if rotated == "too_many":
        raise ProblemError(
            409,
            "too_many_secrets",
            f"{subscriptions.MOST_SECRETS} secrets are valid already. Nothing was changed. Wait until old ones have"
            " expired, or end them now with `old_valid_hours` 0.",
        )
    return http.RotatedSecret(secret=secret, old_valid_until=rotated)


@router.post("/{webhook}/test", status_code=202, responses=problems(404, 409))
async def send_test(webhook: UUID, caller: Keeper, pool: Pool) -> http.SentTest:
    """Send an event of the type `webhook.test`, whatever types the webhook wants."""
    async with pool.connection() as connection:
        await _own(connection, caller, webhook)
        practice = await subscriptions.practice_of(connection, webhook)
        if practice is None:
            raise not_found()
        event = _test_event(practice.external_id)
        if not await deliveries.add(connection, _actor(caller), webhook, event):
            raise ProblemError(409, "webhook_disabled", "The webhook is disabled. Nothing was sent. Enable it first.")
    return http.SentTest(event_id=event.event_id)


@router.get("/{webhook}/deliveries", responses=problems(404))
async def list_deliveries(
    webhook: UUID, query: Annotated[http.DeliveryQuery, Query()], caller: Keeper, pool: Pool
) -> http.WebhookDeliveryPage:
    """What this webhook was sent in the last 30 days, newest first."""
    order = order_of(query)
    async with pool.connection() as connection:
        await _own(connection, caller, webhook)
        rows = await deliveries.page(
            connection, subscription=webhook, limit=order.limit, after=order.after.id if order.after else None
        )
    return http.WebhookDeliveryPage(
        items=[_delivery(row) for row in rows[: query.limit]],
        next_cursor=next_cursor([_cursor(row.id) for row in rows], query),
    )


async def _own(connection: Connection, caller: Caller, webhook: UUID) -> Subscription:
    found = await subscriptions.one(connection, webhook, practice_id=caller.scope.practice_id)
    if found is None:
        raise not_found()
    return found


def _actor(caller: Caller) -> Actor:
    return Actor(practice_id=caller.scope.practice_id, by=caller.subject, source=caller.source)


def _cursor(row: UUID) -> Cursor:
    return Cursor(text="", number=0, id=row)


def _fields(row: Subscription) -> dict[str, object]:
    fields = asdict(row)
    del fields["practice_id"]
    return fields


def _answer(row: Subscription) -> http.Webhook:
    return http.Webhook.model_validate(_fields(row))


def _delivery(row: Delivery) -> http.WebhookDelivery:
    fields = asdict(row)
    del fields["id"]
    if row.state != "waiting":
        fields["next_try_at"] = None
    return http.WebhookDelivery(**fields)


def _test_event(practice: str) -> Event:
    event = WebhookTest(event_id=str(uuid4()), occurred_at=datetime.now(UTC), practice_id=practice)
    return Event(practice, event.event_id, event.type, event.model_dump_json())


def _url_refused(url: str, fault: str) -> ProblemError:
    return ProblemError(
        422,
        "url_refused",
        "The URL cannot be used. Nothing was saved.",
        errors=[
            http.Fault(
                field="url",
                value=url[:200],
                code="url_refused",
                message=f"It is refused: {fault}.",
                fix="Give an https:// address on the internet that takes POST requests.",
            )
        ],
    )
