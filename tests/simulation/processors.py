"""The two processors as our workers see them: adapters whose wire is the simulation's."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from enum import Enum
from typing import Any

import orjson

from shared.domain.answers import Denial, LookupFailed, NotFound, ReportAnswer, Seen
from shared.domain.words import ProcessorName
from tests.simulation.bank import Bank, Charge, Returned
from tests.simulation.gates import Process
from tests.simulation.world import World
from workers.processors.port import (
    AT_ONCE,
    Approved,
    Blame,
    ChargeAnswer,
    ChargeOrder,
    Declined,
    Departure,
    LookupAnswer,
    LookupOrder,
    NotExecuted,
    Processing,
    RefundAnswer,
    RefundConfirmed,
    RefundDenied,
    RefundRefused,
    ReturnOrder,
    Settled,
    Unknown,
    VoidAnswer,
    VoidConfirmed,
    VoidRefused,
)
from workers.turns import Turns

# Protocol: what left us executes before its absence can be final. Together with the deadline these stay under the hour
# that `settlement_day.days_of_send` adds: a pause between the last look at the send budget and the first byte, and a
# request that is executed after its answer was given up.
LONGEST_PAUSE_S = 25 * 60.0
LATEST_EXECUTION_S = 30 * 60.0

# A small number, so that connections are taken with a handful of payments.
CONNECTIONS = 2

_REFUSALS = (
    NotExecuted(code="not_connected", blame=Blame.NOTHING, detail="refused"),
    NotExecuted(code="rate_limited", blame=Blame.NOTHING, detail="later"),
    NotExecuted(code="method_gone", blame=Blame.METHOD, detail="no such method"),
    NotExecuted(code="bad_credentials", blame=Blame.MERCHANT, detail="who are you"),
    NotExecuted(code="bad_request", blame=Blame.US, detail="what is this"),
)
_KEPT_BACK = NotExecuted(code="kept_back", blame=Blame.NOTHING, detail="it may not be sent any more")
# Trouble that passes is more likely than trouble that stays.
_REFUSAL_WEIGHTS = (10, 5, 1, 1, 1)


class _Fate(Enum):
    """What becomes of one request."""

    ANSWERED = "answered"
    ANSWER_LOST = "answer_lost"
    NEVER_EXECUTED = "never_executed"
    EXECUTED_LATE = "executed_late"


class SimulatedProcessor:
    """Satisfies `Processor`, for one process of ours."""

    def __init__(self, name: ProcessorName, *, world: World, bank: Bank, process: Process) -> None:
        self.name = name
        self.timing = world.parts.timings[name]
        self._world = world
        self._bank = bank
        self._process = process
        self._turns = Turns(CONNECTIONS)

    def freeze_charge(self, order: ChargeOrder) -> str:
        return orjson.dumps(asdict(order), option=orjson.OPT_SORT_KEYS).decode()

    def freeze_void(self, order: ReturnOrder) -> str:
        return orjson.dumps(asdict(order), option=orjson.OPT_SORT_KEYS).decode()

    async def charge(self, request_text: str, departure: Departure = AT_ONCE) -> ChargeAnswer:
        request = orjson.loads(request_text)
        async with self._turns.first() if departure.first else self._turns:
            if not departure.may_go():
                return _KEPT_BACK
            await self._first_byte(f"charge {request['reference']}")
            return await self._charge(request, request_text)

    async def _charge(self, request: dict[str, Any], request_text: str) -> ChargeAnswer:
        answer = await self._charge_once(request, request_text)
        if isinstance(answer, Unknown) and self._world.parts.resends_by_itself:
            return await self._charge_once(request, request_text)
        if isinstance(answer, Unknown) and self._world.parts.silence_is_refusal:
            return NotExecuted(code=answer.code, blame=Blame.NOTHING, detail=answer.detail)
        return answer

    async def _charge_once(self, request: dict[str, Any], request_text: str) -> ChargeAnswer:
        world = self._world
        self._bank.arrive(self.name, request["reference"], request_text)
        if world.strikes("refused"):
            return await self._refused(request["reference"])
        results: list[Charge | None] = []
        answered = await self._carry_out(
            request["reference"], lambda: results.append(self._bank.execute(self.name, request))
        )
        return _charge_answer(results[0]) if answered else Unknown(code="no_answer", detail="the wire is silent")

    async def _refused(self, reference: str) -> NotExecuted:
        refusal = self._world.random.choices(_REFUSALS, _REFUSAL_WEIGHTS)[0]
        await self._process.gate("answer", f"{reference} {refusal.code}", after_s=self._world.random.uniform(0, 2))
        return refusal

    async def void(self, request_text: str, departure: Departure = AT_ONCE) -> VoidAnswer:
        request = orjson.loads(request_text)
        if not departure.may_go():
            return _KEPT_BACK
        await self._first_byte(f"void {request['charge_reference']}")
        if self._world.strikes("refused"):
            return await self._refused(request["charge_reference"])
        results: list[Returned] = []
        answered = await self._carry_out(
            request["charge_reference"], lambda: results.append(self._bank.void(request["charge_processor_ref"]))
        )
        if not answered:
            return Unknown(code="no_answer", detail="the wire is silent")
        if results[0] is Returned.DONE:
            return VoidConfirmed()
        return VoidRefused(code="551", detail="too late, or done already")

    def freeze_refund(self, order: ReturnOrder) -> str:
        return orjson.dumps(asdict(order), option=orjson.OPT_SORT_KEYS).decode()

    async def refund(self, request_text: str, departure: Departure = AT_ONCE) -> RefundAnswer:
        request = orjson.loads(request_text)
        if not departure.may_go():
            return _KEPT_BACK
        reference, charge_ref = request["reference"], request["charge_processor_ref"]
        await self._first_byte(f"refund {reference}")
        self._bank.arrive(self.name, reference, request_text)
        if self._world.strikes("refused"):
            return await self._refused(reference)
        if self._world.strikes("funds_short"):
            await self._process.gate("answer", f"{reference} funds short", after_s=self._world.random.uniform(0, 2))
            return RefundDenied(code="563", detail="the balance is short", denial=Denial.FUNDS_SHORT)
        results: list[Returned] = []

        def deed() -> None:
            results.append(self._bank.refund(self.name, reference, charge_ref))

        answered = await self._carry_out(reference, deed)
        if not answered and self._world.parts.refunds_again:
            answered = await self._carry_out(reference, deed)
        if not answered:
            return Unknown(code="no_answer", detail="the wire is silent")
        if results[0] is Returned.DONE:
            return RefundConfirmed(processor_ref=f"refund-{reference}")
        return RefundRefused(code="590", detail="not settled, or done already")

    async def lookup(self, order: LookupOrder) -> LookupAnswer:
        await self._process.gate("look", order.reference)
        answer = self._bank.look_up(order.reference)
        if isinstance(answer, NotFound) and order.processor_ref:
            answer = LookupFailed(code="contradiction", detail="what was seen is not there")
        await self._process.gate("looked", order.reference, after_s=self._world.random.uniform(0, 5))
        if self._world.strikes("look_fails"):
            return LookupFailed(code="not_reached", detail="the wire is silent")
        return answer

    async def day_report(self, account: str, day: date) -> ReportAnswer | None:
        if self.name is ProcessorName.STRIPE:
            return None
        await self._process.gate("report", str(day))
        report = self._bank.report(account, day)
        await self._process.gate("reported", str(day), after_s=self._world.random.uniform(0, 5))
        if self._world.strikes("look_fails"):
            return LookupFailed(code="not_reached", detail="the wire is silent")
        return report

    async def close(self) -> None:
        """Nothing is open."""

    async def _first_byte(self, what: str) -> None:
        await self._process.gate("first byte", what, at_most_s=LONGEST_PAUSE_S)

    async def _carry_out(self, reference: str, deed: Callable[[], None]) -> bool:
        """Let the deed happen or not, at its time; whether there is an answer to it, once it is there."""
        world, fate = self._world, self._draw_fate()
        deadline_s = self.timing.total_deadline.total_seconds()
        answer_s = world.random.uniform(0.05, deadline_s)
        if fate is _Fate.EXECUTED_LATE:
            world.clock.later(world.clock.in_s(deadline_s + world.random.uniform(0, LATEST_EXECUTION_S)), deed)
        elif fate is not _Fate.NEVER_EXECUTED:
            world.clock.later(world.clock.in_s(answer_s * world.random.random()), deed)
        await self._process.gate("answer", f"{reference} {fate.value}", after_s=answer_s)
        return fate is _Fate.ANSWERED

    def _draw_fate(self) -> _Fate:
        lost = (_Fate.NEVER_EXECUTED, _Fate.EXECUTED_LATE, _Fate.ANSWER_LOST)
        return next((fate for fate in lost if self._world.strikes(fate.value)), _Fate.ANSWERED)


def _charge_answer(charge: Charge | None) -> ChargeAnswer:
    """What the processor says at the moment of the answer about what it did before."""
    if charge is None:
        return Unknown(code="223", detail="an earlier send exists")
    match charge.seen:
        case Seen.SETTLED if charge.processor is ProcessorName.STRIPE:
            return Settled(processor_ref=charge.processor_ref)
        case Seen.PROCESSING:
            return Processing(processor_ref=charge.processor_ref)
        case Seen.DECLINED:
            assert charge.decline
            return Declined(decline=charge.decline, processor_ref=charge.processor_ref)
        case _:
            # A Vantage charge was approved, whatever happened to it since.
            return Approved(processor_ref=charge.processor_ref)
