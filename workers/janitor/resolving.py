"""Answers what people say about payments under review: looks at the processor first, then takes the normal step."""

from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
import structlog

from shared.domain import resolving
from shared.domain.answers import Found, LookupFailed, NotFound
from shared.domain.payment import State
from shared.domain.resolving import Refused, Verdict
from shared.domain.snapshot import Attempt, Step
from shared.logs import working_on
from shared.store import audit, payments, resolutions
from shared.store.payments import Connection, Locked
from shared.store.resolutions import Resolution
from workers.evidence import take_step
from workers.janitor.absence import FinalAbsence, NotFinal, ReportShows, absence
from workers.janitor.case import Case, read_case
from workers.janitor.janitor import Janitor
from workers.janitor.reports import Reports
from workers.looking import look_up

_log = structlog.get_logger()

Judge = Callable[[Locked, Attempt], Step | Refused]


async def resolve(resolution: Resolution, *, janitor: Janitor, reports: Reports) -> None:
    """Believe one verdict, or refuse it with the reason."""
    with working_on(payment_id=resolution.payment_id):
        case = await read_case(resolution.payment_id, pool=janitor.pool, states=tuple(State))
        if case is None:
            return await _refuse(resolution, "nothing was ever sent for this payment", janitor=janitor)
        judge = await _look(resolution, case, janitor=janitor, reports=reports)
        if isinstance(judge, Refused):
            return await _refuse(resolution, judge.reason, janitor=janitor)
        decision = _Decision(resolution, judge)
        try:
            await take_step(
                janitor.pool, *case.key, decision.decide, actor=resolution.asked_by, also=decision.write_answer
            )
        except psycopg.errors.UniqueViolation:
            await _refuse(resolution, "the processor shows this charge for another payment too", janitor=janitor)


async def _look(resolution: Resolution, case: Case, *, janitor: Janitor, reports: Reports) -> Judge | Refused:
    match resolution.verdict:
        case Verdict.ACKNOWLEDGED:
            return await _judge_acknowledged(resolution, case, janitor=janitor)
        case Verdict.CHARGED:
            return await _judge_charged(resolution, case, janitor=janitor)
        case Verdict.NOT_EXECUTED:
            return await _judge_not_executed(case, janitor=janitor, reports=reports)


async def _judge_acknowledged(resolution: Resolution, case: Case, *, janitor: Janitor) -> Judge:
    async with janitor.pool.connection() as connection:
        surplus = bool(await payments.surplus_attempts(connection, [case.payment.id]))

    def judge(row: Locked, attempt: Attempt) -> Step | Refused:
        if row.payment.version != case.payment.version:
            return _CHANGED
        return resolving.acknowledged(row.payment, attempt, by=resolution.asked_by, surplus=surplus, now=row.now)

    return judge


async def _judge_charged(resolution: Resolution, case: Case, *, janitor: Janitor) -> Judge:
    said = resolution.processor_ref
    assert said is not None
    processor = janitor.processors[case.payment.processor]
    look = await look_up(processor, case.payment, case.attempt._replace(processor_ref=said))
    return lambda row, attempt: resolving.charged(row.payment, attempt, look, said, now=row.now)


async def _judge_not_executed(case: Case, *, janitor: Janitor, reports: Reports) -> Judge | Refused:
    processor = janitor.processors[case.payment.processor]
    match await look_up(processor, case.payment, case.attempt):
        case LookupFailed(code=code):
            return Refused(f"the processor could not be asked ({code}): try again later")
        case Found(sighting=shown):
            return Refused(f"the processor shows {shown.processor_ref} as {shown.seen}")
        case NotFound() as look:
            known = await absence(case, look, processor.timing, reports=reports, pool=janitor.pool)
            return _judge_absent(case, known)


def _judge_absent(case: Case, known: FinalAbsence | ReportShows | NotFinal) -> Judge | Refused:
    match known:
        case ReportShows(sighting=shown):
            return Refused(f"the settlement report shows {shown.processor_ref} as {shown.seen}")
        case NotFinal(fact=fact):
            return Refused(f"absence is not final: {fact}")
        case FinalAbsence(as_of=as_of):
            pass

    def judge(row: Locked, attempt: Attempt) -> Step | Refused:
        if row.payment.version != case.payment.version:
            return _CHANGED
        return resolving.not_executed(row.payment, attempt, as_of=as_of, now=row.now)

    return judge


_CHANGED = Refused("the payment changed meanwhile: look at it again")


@dataclass(slots=True)
class _Decision:
    """Decides under the row lock, and writes what follows from it in the same transaction."""

    resolution: Resolution
    judge: Judge
    refusal: str | None = field(default=None, init=False)

    def decide(self, row: Locked, attempt: Attempt) -> Step | None:
        judged = self.judge(row, attempt)
        if isinstance(judged, Refused):
            self.refusal = judged.reason
            return None
        return judged

    async def write_answer(self, connection: Connection, step: Step | None) -> None:
        if step:
            await _close_review(connection, self.resolution)
        await _answer(connection, self.resolution, self.refusal)


async def _close_review(connection: Connection, resolution: Resolution) -> None:
    """Take the payment from the list, unless more money was taken than it is for: that must be given back first."""
    locked = (await payments.lock(connection, [resolution.payment_id]))[0]
    payment = locked.payment
    surplus = await payments.surplus_attempts(connection, [payment.id])
    if surplus or payment.state is State.SURPLUS:
        return
    await resolutions.close_findings(connection, payment.id)
    if payment.review_reason is None:
        return
    assert payment.current_attempt
    attempt = (await payments.attempts(connection, [payment.current_attempt]))[payment.current_attempt]
    step = resolving.closed(payment, attempt, resolution.verdict, by=resolution.asked_by, now=locked.now)
    await payments.write(connection, [step], actor=resolution.asked_by, now=locked.now)


async def _refuse(resolution: Resolution, reason: str, *, janitor: Janitor) -> None:
    async with janitor.pool.connection() as connection:
        await _answer(connection, resolution, reason)


async def _answer(connection: Connection, resolution: Resolution, refusal: str | None) -> None:
    if not await resolutions.answer(connection, resolution.id, refusal=refusal):
        return
    detail = {
        "resolution": str(resolution.id),
        "verdict": resolution.verdict,
        "processor_ref": resolution.processor_ref,
    }
    await audit.write(
        connection,
        practice_id=resolution.practice_id,
        actor=resolution.asked_by,
        source=resolution.source,
        action="review.refused" if refusal else "review.resolved",
        payment_id=resolution.payment_id,
        detail=detail | ({"refusal": refusal} if refusal else {}),
    )
    _log.info("review_answered", verdict=resolution.verdict, refusal=refusal)
