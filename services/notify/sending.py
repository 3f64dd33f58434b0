"""Sends what is due, again after a pause where that fails, and gives up receivers that answer nobody."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import random
from typing import Any, Final
from uuid import UUID

import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from services.notify.keeping import RETRY_S, TRY_AGAIN
from services.notify.posting import ANSWERED_WITHIN_S, Answer
from shared.domain.delivering import is_budget_spent, pause_after
from shared.store import deliveries, subscriptions
from shared.store.deliveries import Taken
from shared.store.subscriptions import Actor, Why
from shared.telemetry.metrics import WEBHOOK_SEND_SECONDS, WEBHOOK_SENDS
from shared.waiting import set_within

ACTOR: Final = "notify"
# Requests of one subscription at a time: enough for a quick receiver, few enough not to burden one.
ABREAST: Final = 8
# Requests at a time. Receivers that fail get one each, so it takes hundreds of them to hold up the others.
IN_FLIGHT: Final = 500
# A taken delivery is nobody else's for so long: a request, and its record while PostgreSQL restarts.
LEASE: Final = timedelta(seconds=60)
# Longer than this a record is not tried: the lease is about to be over, and the delivery made again.
RECORDED_WITHIN_S: Final = LEASE.total_seconds() - ANSWERED_WITHIN_S
# What was written by other processes is found by looking; what finishes together is one look.
LOOK_EVERY_S: Final = 1.0
PACE_S: Final = 0.02
# A process that stops lets its requests come to their answer; those cut short are sent again.
DRAIN_WITHIN_S: Final = 10.0

Post = Callable[[Taken], Awaitable[Answer]]

_log = structlog.get_logger()


class Sender:
    """Requests under way, and how many of them each subscription has."""

    def __init__(self, pool: AsyncConnectionPool[Any], post: Post) -> None:
        self._pool, self._post = pool, post
        self._busy: Counter[UUID] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stirred = asyncio.Event()

    def wake(self) -> None:
        """There is something new to send."""
        self._stirred.set()

    async def send_until(self, stop: asyncio.Event) -> None:
        """Send what is due until told to stop, then let what is under way come to its end."""
        try:
            while not stop.is_set():
                self._stirred.clear()
                try:
                    await self._begin_due()
                except TRY_AGAIN as error:
                    _log.warning("deliveries_untaken", error=type(error).__name__)
                await set_within(self._stirred, LOOK_EVERY_S)
                await asyncio.sleep(PACE_S)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=DRAIN_WITHIN_S)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _begin_due(self) -> None:
        room = IN_FLIGHT - len(self._tasks)
        if room <= 0:
            return
        async with self._pool.connection() as connection:
            taken = await deliveries.take(connection, busy=self._busy, abreast=ABREAST, at_most=room, lease=LEASE)
        for one in taken:
            self._busy[one.subscription_id] += 1
            task = asyncio.create_task(self._deliver(one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, one: Taken) -> None:
        try:
            began_s = time.monotonic()
            answer = await self._post(one)
            WEBHOOK_SEND_SECONDS.observe(time.monotonic() - began_s)
            WEBHOOK_SENDS.labels(answer.outcome).inc()
            await self._record(one, answer)
        except Exception:  # noqa: BLE001  # one receiver's trouble must not keep the others from theirs
            _log.exception("delivery_failed", delivery=str(one.id), subscription=str(one.subscription_id))
        finally:
            self._busy[one.subscription_id] -= 1
            if not self._busy[one.subscription_id]:
                del self._busy[one.subscription_id]
            self.wake()

    async def _record(self, one: Taken, answer: Answer) -> None:
        give_up_at = time.monotonic() + RECORDED_WITHIN_S
        while True:
            try:
                async with self._pool.connection() as connection:
                    await record(connection, one, answer)
            except TRY_AGAIN as error:
                if time.monotonic() > give_up_at:
                    raise
                _log.warning("delivery_recorded_later", delivery=str(one.id), error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                return


async def record(connection: AsyncConnection[Any], one: Taken, answer: Answer) -> None:
    """Write down how a try ended: delivered, to be tried again, or given up, and perhaps its subscription with it."""
    if answer.outcome == "delivered":
        assert answer.status is not None
        await deliveries.delivered(connection, one.id, status=answer.status)
        return
    pause = pause_after(one.attempts, jitter=random())  # noqa: S311  # it spreads load, it keeps no secret
    failing = await deliveries.failed(
        connection, one.id, attempts=one.attempts, status=answer.status, failure=answer.outcome, pause=pause
    )
    told = {"subscription": str(one.subscription_id), "outcome": answer.outcome, "status": answer.status}
    _log.info("webhook_not_delivered", **told, event_id=one.event_id, attempts=one.attempts, last=pause is None)
    if failing is None:
        return
    why: Why | None = "gone" if answer.outcome == "gone" else None
    if is_budget_spent(failing.failures, failing.failing_since, now=failing.now):
        why = why or "failing"
    actor = Actor(practice_id=failing.practice_id, by=ACTOR, source=ACTOR)
    if why and await subscriptions.disable(connection, actor, one.subscription_id, why=why):
        _log.warning("webhook_disabled", **told, why=why, failures=failing.failures)
