"""Whether a charge that a lookup does not show never executed: each processor's rule of final absence."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg_pool import AsyncConnectionPool

from shared.domain.answers import NotFound, Sighting
from workers.janitor.case import Case
from workers.janitor.reports import Reports, absence_is_final, sighting_of
from workers.processors.port import Timing

# A key is forgotten after a day: only then can a list that shows nothing prove that no late execution comes.
KEY_FORGOTTEN = timedelta(hours=24)


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
