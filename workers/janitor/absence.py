"""Whether a charge that a lookup does not show never executed: each processor's rule of final absence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from shared.domain.answers import NotFound, Sighting
from shared.domain.payment import State
from shared.domain.snapshot import Attempt, Payment
from shared.store import payments
from workers.janitor.reports import Reports, absence_is_final, sighting_of
from workers.processors.port import Timing

# A key is forgotten after a day: only then can a list that shows nothing prove that no late execution comes.
KEY_FORGOTTEN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Case:
    """A payment and its charge as they were before the look; `now` is the database's clock then."""

    payment: Payment
    attempt: Attempt
    now: datetime

    @property
    def key(self) -> tuple[UUID, UUID]:
        return self.payment.id, self.attempt.id


@dataclass(frozen=True, slots=True)
class FinalAbsence:
    """It never executed, and never will; `as_of` is the processor's clock."""

    as_of: datetime


@dataclass(frozen=True, slots=True)
class ReportShows:
    """The settlement report shows what the lookup did not."""

    sighting: Sighting


@dataclass(frozen=True, slots=True)
class NotFinal:
    """It may still execute, or show."""

    fact: str


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


async def absence(
    case: Case, look: NotFound, timing: Timing, *, reports: Reports, pool: AsyncConnectionPool
) -> FinalAbsence | ReportShows | NotFinal:
    """What it means that `look`, begun after `case` was read, found nothing."""
    if timing.key_lifetime is None:
        return await _by_reports(case, timing, reports=reports, pool=pool)
    if case.now - case.attempt.last_send_at >= KEY_FORGOTTEN:
        return FinalAbsence(look.as_of)
    return NotFinal("not found, and the key may still be used")


async def _by_reports(
    case: Case, timing: Timing, *, reports: Reports, pool: AsyncConnectionPool
) -> FinalAbsence | ReportShows | NotFinal:
    processor, account = case.payment.processor, case.payment.account
    read = await reports.of_send(processor, account, case.attempt.last_send_at, timing.total_deadline)
    if not read:
        return NotFinal("not found, and its settlement report could not be read")
    sighting = sighting_of(read, case.attempt.reference)
    if sighting:
        return ReportShows(sighting)
    if await absence_is_final(read, processor=processor, account=account, pool=pool):
        return FinalAbsence(max(report.as_of for report in read))
    return NotFinal("not found, and its settlement report is not complete")
