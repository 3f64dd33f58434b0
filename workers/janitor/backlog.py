"""Reads from PostgreSQL how much work waits and for how long, for the metrics: no process sees that by itself."""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog
from psycopg_pool import AsyncConnectionPool

from shared.domain.finding_kinds import Kind
from shared.domain.payment import UNFINISHED
from shared.domain.words import ProcessorName
from shared.store import deliveries, pauses, queues
from shared.store.deliveries import Backlog as Deliveries
from shared.store.queues import Lane, Waiting
from shared.telemetry import metrics
from shared.waiting import set_within
from workers.evidence import TRY_AGAIN

# About as often as metrics are collected.
EVERY_S: Final = 10.0
_LANES: Final = (*(f"charge.{name}" for name in ProcessorName), "void", "refund", "event")

_log = structlog.get_logger()


async def watch_backlog(pool: AsyncConnectionPool, *, stop: asyncio.Event, every_s: float = EVERY_S) -> None:
    """Set the gauges again and again until told to stop. While PostgreSQL is away they keep what they last told."""
    while not stop.is_set():
        try:
            await read_backlog(pool)
        except TRY_AGAIN as error:
            _log.warning("backlog_unread", error=type(error).__name__)
        await set_within(stop, every_s)


async def read_backlog(pool: AsyncConnectionPool) -> None:
    """Set every gauge once. What has no rows is nought: a gauge that kept its last value would be an alarm for ever."""
    async with pool.connection() as connection:
        lanes, waiting = await queues.lanes(connection), await queues.payments(connection)
        paused = {pause.processor for pause in await pauses.paused(connection)}
        in_review, found = await queues.in_review(connection), await queues.findings(connection)
        webhooks = await deliveries.backlog(connection)
    _tell_lanes(lanes)
    _tell_payments(waiting)
    for name in ProcessorName:
        metrics.PROCESSOR_PAUSED.labels(name).set(name in paused)
    metrics.PAYMENTS_IN_REVIEW.set(in_review)
    for kind in Kind:
        metrics.FINDINGS.labels(kind).set(found.get(kind, 0))
    _tell_deliveries(webhooks)
    metrics.BACKLOG_READ.set_to_current_time()


def _tell_lanes(lanes: Iterable[Lane]) -> None:
    found = {lane.lane: lane for lane in lanes}
    for name in _LANES:
        lane = found.get(name)
        metrics.OUTBOX_ROWS.labels(name).set(lane.waiting if lane else 0)
        metrics.OUTBOX_OLDEST.labels(name).set(lane.oldest_s if lane else 0)


def _tell_payments(waiting: Iterable[Waiting]) -> None:
    found = {(one.processor, one.state): one for one in waiting}
    for processor in ProcessorName:
        for state in UNFINISHED:
            one = found.get((processor, state))
            metrics.PAYMENTS.labels(processor, state).set(one.payments if one else 0)
            metrics.PAYMENTS_OLDEST.labels(processor, state).set(one.oldest_s if one else 0)


def _tell_deliveries(webhooks: Deliveries) -> None:
    metrics.DELIVERIES.set(webhooks.due)
    metrics.DELIVERIES_OLDEST.set(webhooks.oldest_s)
    metrics.SUBSCRIPTIONS_DISABLED.set(webhooks.disabled)
