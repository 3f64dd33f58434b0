"""A charge that is looked into, as it was before the look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from shared.domain.payment import State
from shared.domain.snapshot import Attempt, Payment
from shared.store import payments


@dataclass(frozen=True, slots=True)
class Case:
    """A payment and its charge as they were before the look; `now` is the database's clock then."""

    payment: Payment
    attempt: Attempt
    now: datetime

    @property
    def key(self) -> tuple[UUID, UUID]:
        return self.payment.id, self.attempt.id


async def read_case(payment_id: UUID, *, pool: AsyncConnectionPool, states: Sequence[State]) -> Case | None:
    """The payment with its current charge; None unless it is in one of `states` and was ever sent."""
    async with pool.connection() as connection:
        locked = await payments.lock(connection, [payment_id])
        if not locked or locked[0].payment.state not in states:
            return None
        row = locked[0]
        attempt_id = row.payment.current_attempt
        if attempt_id is None:
            return None
        return Case(row.payment, (await payments.attempts(connection, [attempt_id]))[attempt_id], row.now)
