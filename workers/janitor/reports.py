"""Settlement reports, read once per pass: they settle charges and make absence final."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from psycopg_pool import AsyncConnectionPool

from shared.domain.answers import DayReport, Sighting
from shared.domain.settlement_day import CLOCK_MARGIN, cut_off, days_of_send, report_is_out
from shared.domain.words import ProcessorName
from shared.store import sweeps
from workers.processors.port import Processor


@dataclass(slots=True)
class Reports:
    """The reports that one pass of the janitor has read, so that a thousand charges of a day cost one request."""

    processors: Mapping[ProcessorName, Processor]
    _read: dict[tuple[ProcessorName, str, date], DayReport | None] = field(default_factory=dict)

    async def of_day(self, processor: ProcessorName, account: str, day: date) -> DayReport | None:
        """The report of one day, None where there is none or it could not be read."""
        key = (processor, account, day)
        if key not in self._read:
            answer = await self.processors[processor].day_report(account, day)
            self._read[key] = answer if isinstance(answer, DayReport) else None
        return self._read[key]

    async def of_send(
        self, processor: ProcessorName, account: str, last_send_at: datetime, total_deadline: timedelta
    ) -> list[DayReport] | None:
        """The reports of every day in which a send can have executed; None unless all of them could be read."""
        days = days_of_send(last_send_at, total_deadline)
        reports = [await self.of_day(processor, account, day) for day in days]
        return None if None in reports else [report for report in reports if report]


def sighting_of(reports: list[DayReport], reference: str) -> Sighting | None:
    """How a charge stands in these reports; the latest report that shows it wins."""
    shown = [seen for report in reports for seen in report.sightings if seen.reference == reference]
    return shown[-1] if shown else None


async def absence_is_final(
    reports: list[DayReport], *, processor: ProcessorName, account: str, pool: AsyncConnectionPool
) -> bool:
    """Whether these reports, which do not show a charge, prove that it never executed.

    Each must be out by the processor's own clock, and must show every charge of the account which we know was taken in
    the middle of its day: a report that misses one of those is late or torn and proves nothing.
    """
    if not all(report_is_out(report.day, report.as_of) for report in reports):
        return False
    shown = {seen.reference for report in reports for seen in report.sightings}
    first = cut_off(reports[0].day - timedelta(days=1)) + CLOCK_MARGIN
    last = cut_off(reports[-1].day) - CLOCK_MARGIN
    async with pool.connection() as connection:
        known = await sweeps.known_taken(connection, processor, account, first=first, last=last)
    return known <= shown
