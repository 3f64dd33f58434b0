"""Compares our books with a processor's: what it shows is caught up with, what remains is put before people."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import psycopg
import structlog

from shared.domain import reconciling
from shared.domain.answers import LookupFailed
from shared.domain.books import BooksAnswer, DayBooks, Line
from shared.domain.books_day import days_between, end_of, last_complete
from shared.domain.finding_kinds import Kind
from shared.domain.reconciling import Known, Matched, Shown, match, under_review
from shared.domain.snapshot import Attempt, Payment, Step
from shared.store import findings, reconciliations
from shared.store.payments import Locked
from shared.store.reconciliations import Run
from workers.evidence import take_step
from workers.janitor.disputes import record_dispute
from workers.janitor.janitor import ACTOR, Janitor
from workers.processors.port import Processor

_log = structlog.get_logger()

# A settlement day has 25 hours when clocks go back; the rest is for clocks that differ and late executions.
_SPAN = timedelta(hours=29)
_MARGIN = timedelta(hours=2)


async def plan(*, janitor: Janitor) -> None:
    """Ask for the comparison of every practice's newest complete day, unless it was asked for before."""
    now = datetime.now(UTC)
    newest = {name: last_complete(name, now) for name in janitor.processors}
    async with janitor.pool.connection() as connection:
        await reconciliations.plan(connection, newest, asked_by=ACTOR)


async def reconcile_due(*, janitor: Janitor) -> None:
    """Make the comparisons that are asked for."""
    async with janitor.pool.connection() as connection:
        runs = await reconciliations.take(connection)
    for run in runs:
        try:
            await reconcile(run, janitor=janitor)
        except Exception:  # noqa: BLE001  # one account's trouble must not keep the others from being compared
            _log.exception("reconciliation_failed", account=run.account, day=run.day.isoformat())


async def reconcile(run: Run, *, janitor: Janitor) -> None:
    """Make one comparison. What was planned waits for complete books; a person gets what there is."""
    reader = _Reader(janitor.processors[run.processor], run.account)
    books = await reader.of(run.day)
    if isinstance(books, LookupFailed):
        return await _unread(run, books, janitor=janitor)
    if run.planned and not books.complete:
        return None
    known = await _known(run, books.lines, janitor=janitor)
    matched = match(books.lines, known)
    steps = [await _catch_up(shown, janitor=janitor) for shown in matched.shown if reconciling.differs(shown)]
    if books.complete:
        await _find_missing(run, known, reader=reader, janitor=janitor)
    for dispute in books.disputes:
        await record_dispute(dispute, processor=run.processor, account=run.account, janitor=janitor)
    caught_up = sum(step is not None and step.moved for step in steps)
    await _answer(run, books, matched, caught_up=caught_up, janitor=janitor)
    return None


async def _answer(run: Run, books: DayBooks, matched: Matched, *, caught_up: int, janitor: Janitor) -> None:
    async with janitor.pool.connection() as connection:
        for line in matched.strangers:
            finding = reconciling.stranger(line, currency=run.currency)
            if finding:
                subject = f"{run.processor} {run.account} {line.own_ref}"
                await findings.open_stranger(connection, finding, practice_id=run.practice_id, subject=subject)
        await reconciliations.keep_fees(connection, reconciling.fees(matched.shown))
        await reconciliations.answer(
            connection, run.id, complete=books.complete, lines=len(books.lines), caught_up=caught_up
        )
    _log.info(
        "reconciled",
        account=run.account,
        day=run.day.isoformat(),
        complete=books.complete,
        lines=len(books.lines),
        caught_up=caught_up,
    )


@dataclass(slots=True)
class _Reader:
    """The account's books, each day read once."""

    processor: Processor
    account: str
    _read: dict[date, BooksAnswer] = field(default_factory=dict)
    _shown: dict[date, dict[UUID, Shown]] = field(default_factory=dict)

    async def of(self, day: date) -> BooksAnswer:
        if day not in self._read:
            self._read[day] = await self.processor.day_books(self.account, day)
        return self._read[day]

    async def shown(self, day: date, known: Sequence[Known]) -> Mapping[UUID, Shown] | None:
        """What a day's books show of these charges, by attempt; None where they are not complete."""
        books = await self.of(day)
        if isinstance(books, LookupFailed) or not books.complete:
            return None
        if day not in self._shown:
            self._shown[day] = {one.known.attempt_id: one for one in match(books.lines, known).shown}
        return self._shown[day]


async def _unread(run: Run, failed: LookupFailed, *, janitor: Janitor) -> None:
    _log.warning("books_unread", account=run.account, day=run.day.isoformat(), code=failed.code, detail=failed.detail)
    if not run.planned:
        async with janitor.pool.connection() as connection:
            await reconciliations.refuse(connection, run.id, failure=f"{failed.code}: {failed.detail}")


async def _known(run: Run, lines: Sequence[Line], *, janitor: Janitor) -> list[Known]:
    end = end_of(run.processor, run.day)
    async with janitor.pool.connection() as connection:
        return await reconciliations.known(connection, run, lines, since=end - _SPAN, until=end + _MARGIN)


async def _catch_up(shown: Shown, *, janitor: Janitor) -> Step | None:
    def decide(row: Locked, attempt: Attempt) -> Step | None:
        return reconciling.caught_up(shown, row.payment, attempt, now=row.now)

    try:
        return await _take(shown.known, decide, janitor=janitor)
    except psycopg.errors.UniqueViolation:
        reason = f"the processor's {shown.lines[0].charge_ref} is already known for another charge"
        return await _take(
            shown.known,
            lambda row, attempt: under_review(row.payment, attempt, Kind.STATUS_DIFFERS, reason),
            janitor=janitor,
        )


async def _take(known: Known, decide: Callable[[Locked, Attempt], Step | None], *, janitor: Janitor) -> Step | None:
    return await take_step(janitor.pool, known.payment_id, known.attempt_id, decide, actor=ACTOR)


async def _find_missing(run: Run, known: Sequence[Known], *, reader: _Reader, janitor: Janitor) -> None:
    """Put before people what the complete books of all its days do not show. Its last day is when that can be said."""
    deadline = reader.processor.timing.total_deadline
    for expected in _expected(run, known, deadline):
        if expected.days[-1] == run.day and await _is_missing(expected, known, reader):
            await _take(expected.known, expected.decide, janitor=janitor)


@dataclass(frozen=True, slots=True)
class _Expected:
    """Something that the books of one of `days` must show."""

    known: Known
    days: Sequence[date]
    shows: Callable[[Shown], bool]
    missing: Callable[[Payment, Attempt], Step | None]

    def decide(self, row: Locked, charge: Attempt) -> Step | None:
        return self.missing(row.payment, charge)


def _expected(run: Run, known: Iterable[Known], deadline: timedelta) -> Iterator[_Expected]:
    for one in known:
        if one.took_money:
            days = days_between(run.processor, one.first_send_at, one.last_send_at + deadline)
            yield _Expected(one, days, lambda shown: shown.charge, reconciling.charge_missing)
        if one.refunded_at:
            days = days_between(run.processor, one.refunded_at, one.refunded_at + deadline)
            yield _Expected(one, days, lambda shown: shown.money_back, reconciling.return_missing)


async def _is_missing(expected: _Expected, known: Sequence[Known], reader: _Reader) -> bool:
    for day in expected.days:
        shown = await reader.shown(day, known)
        if shown is None:
            return False
        here = shown.get(expected.known.attempt_id)
        if here and expected.shows(here):
            return False
    return True
