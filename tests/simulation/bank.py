"""The truth: what really moved at the two simulated processors, and what they tell who asks.

A charge that would take an invoice's money a second time while the first is not given back ends the simulation.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

from shared.domain.answers import DayReport, Found, LookupAnswer, NotFound, Seen, Sighting
from shared.domain.declines import Decline, NeutralCode
from shared.domain.settlement_day import REPORT_DELAY, cut_off, settlement_day
from shared.domain.words import ProcessorName
from tests.simulation.world import World

# What is charged twice within this time Vantage takes for the same charge.
DUPLICATE_WINDOW = timedelta(seconds=60)
# Vantage's charges of a day are settled this long after its cut-off; until then they can be voided.
SETTLED_AFTER = timedelta(hours=3)
_LONGEST_PROCESSING = timedelta(days=4)
_NEVER = datetime.min.replace(tzinfo=UTC)
_TAKEN = (Seen.APPROVED, Seen.SETTLED, Seen.PROCESSING)
_DECLINES = (
    Decline(code=NeutralCode.INSUFFICIENT_FUNDS, raw_code="51"),
    Decline(code=NeutralCode.DO_NOT_HONOR, raw_code="5"),
    Decline(code=NeutralCode.INVALID_ACCOUNT, raw_code="14"),
    Decline(code=NeutralCode.EXPIRED, raw_code="54"),
    Decline(code=NeutralCode.CLIENT_MUST_CONFIRM, raw_code="authentication_required"),
)


@dataclass(eq=False, slots=True, kw_only=True)
class Charge:
    """One execution of a request. `seen` is how it stands now."""

    processor: ProcessorName
    reference: str
    account: str
    invoice_id: str
    amount_minor: int
    processor_ref: str
    executed_at: datetime
    seen: Seen
    decline: Decline | None = None
    refunded_at: datetime | None = None

    @property
    def took_money(self) -> bool:
        """Money was taken and is not given back, or may still be taken."""
        return self.seen in _TAKEN


class Returned(Enum):
    """What became of a void or refund."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(eq=False, slots=True)
class Bank:
    """Both processors' books. Requests come as the frozen texts say, parsed."""

    world: World
    charges: list[Charge] = field(default_factory=list)
    arrivals: dict[str, list[datetime]] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _refunds: dict[str, datetime] = field(default_factory=dict)
    # Whether Vantage refuses a second refund of one charge: no document says so.
    refunds_once: bool = True

    def arrive(self, processor: ProcessorName, reference: str, text: str) -> None:
        """The first byte of a charge or refund: checks what holds for every send."""
        if self._texts.setdefault(reference, text) != text:
            self.world.forbid(f"the request of {reference} changed between two sends")
        intent = self.world.session.rows("SELECT outcome FROM attempt WHERE reference = %s", [reference])
        if not intent:
            self.world.forbid(f"{reference} is sent and its intent is not committed")
        if intent[0][0] == "not_executed":
            self.world.forbid(f"{reference} is sent after it was taken for never executed")
        before = self.arrivals.setdefault(reference, [])
        if before and processor is ProcessorName.VANTAGE:
            self.world.forbid(f"{reference} is sent to Vantage a second time")
        if before and self.world.clock.now - before[0] > timedelta(hours=24):
            self.world.forbid(f"{reference} is sent to Stripe when its key may be forgotten")
        before.append(self.world.clock.now)

    def execute(self, processor: ProcessorName, request: dict[str, Any]) -> Charge | None:
        """Carry a charge out. None: Vantage takes it for a duplicate of an earlier one."""
        known = [charge for charge in self.charges if charge.reference == request["reference"]]
        if known and self._is_repeated(processor, known[-1]):
            return known[-1] if processor is ProcessorName.STRIPE else None
        charge = Charge(
            processor=processor,
            reference=request["reference"],
            account=request["account"],
            invoice_id=request["invoice_id"],
            amount_minor=request["amount_minor"],
            processor_ref=f"{processor}-{len(self.charges) + 1}",
            executed_at=self.world.clock.now,
            seen=Seen.DECLINED,
        )
        self._decide(charge, debit=request["method_type"] != "card")
        self.charges.append(charge)
        self.world.trace.add(f"  {processor} executes {charge.reference}: {charge.seen}")
        self._forbid_second(charge)
        return charge

    def _is_repeated(self, processor: ProcessorName, earlier: Charge) -> bool:
        age = self.world.clock.now - earlier.executed_at
        if processor is ProcessorName.STRIPE:
            return age.total_seconds() < self.world.parts.key_memory_s
        return age < DUPLICATE_WINDOW

    def _decide(self, charge: Charge, *, debit: bool) -> None:
        random, clock = self.world.random, self.world.clock
        if random.random() < 0.25:
            charge.decline = random.choice(_DECLINES)
        elif charge.processor is ProcessorName.VANTAGE:
            charge.seen = Seen.APPROVED
            clock.later(cut_off(settlement_day(clock.now)) + SETTLED_AFTER, lambda: self._settle(charge))
        elif debit:
            charge.seen = Seen.PROCESSING
            clock.later(clock.now + random.random() * _LONGEST_PROCESSING, lambda: self._finish(charge))
        else:
            charge.seen = Seen.SETTLED

    def _settle(self, charge: Charge) -> None:
        if charge.seen is Seen.APPROVED:
            charge.seen = Seen.SETTLED
            self.world.trace.add(f"  {charge.processor} settles {charge.reference}")

    def _finish(self, charge: Charge) -> None:
        if self.world.random.random() < 0.2:
            charge.seen, charge.decline = Seen.DECLINED, _DECLINES[0]
        else:
            charge.seen = Seen.SETTLED
        self.world.trace.add(f"  {charge.processor} ends {charge.reference}: {charge.seen}")

    def _forbid_second(self, charge: Charge) -> None:
        taken = [one.reference for one in self.charges if one.invoice_id == charge.invoice_id and one.took_money]
        if len(taken) > 1 and charge.took_money:
            self.world.forbid(f"invoice {charge.invoice_id} is charged twice: {', '.join(taken)}")

    def void(self, processor_ref: str) -> Returned:
        charge = self._charge(processor_ref)
        if charge.seen is not Seen.APPROVED or self._in_dead_zone(charge):
            return Returned.REFUSED
        charge.seen = Seen.VOIDED
        self.world.trace.add(f"  {charge.processor} voids {charge.reference}")
        return Returned.DONE

    def refund(self, processor: ProcessorName, reference: str, processor_ref: str) -> Returned:
        """Carry a refund out. Stripe knows its key again; money that comes back twice ends the simulation."""
        charge, now = self._charge(processor_ref), self.world.clock.now
        known_s = (now - self._refunds.get(reference, _NEVER)).total_seconds()
        if processor is ProcessorName.STRIPE and known_s < self.world.parts.key_memory_s:
            return Returned.DONE
        if charge.seen is Seen.REFUNDED and not self.refunds_once:
            self.world.forbid(f"{charge.reference} is refunded twice")
        if charge.seen is not Seen.SETTLED:
            return Returned.REFUSED
        charge.seen, charge.refunded_at = Seen.REFUNDED, now
        self._refunds[reference] = now
        self.world.trace.add(f"  {charge.processor} refunds {charge.reference}")
        return Returned.DONE

    def _charge(self, processor_ref: str) -> Charge:
        return next(charge for charge in self.charges if charge.processor_ref == processor_ref)

    def _in_dead_zone(self, charge: Charge) -> bool:
        return self.world.clock.now >= cut_off(settlement_day(charge.executed_at))

    def give_back_outside(self) -> None:
        """Somebody voids a charge in the processor's own dashboard."""
        open_charges = [charge for charge in self.charges if charge.seen is Seen.APPROVED]
        if open_charges:
            self.world.faults["outside"] += 1
            self.void(self.world.random.choice(open_charges).processor_ref)

    def look_up(self, reference: str) -> LookupAnswer:
        found = [charge for charge in self.charges if charge.reference == reference]
        return Found(sighting=_sighting(found[-1])) if found else NotFound(as_of=self.world.clock.now)

    def report(self, account: str, day: date) -> DayReport:
        """What is booked of this day so far; complete some hours after its cut-off."""
        as_of = self.world.clock.in_s(self.world.parts.report_ahead_s)
        booked = [
            _sighting(charge)
            for charge in self.charges
            if charge.account == account and charge.seen is not Seen.DECLINED and day in _booked_on(charge)
        ]
        if self.world.clock.now < cut_off(day) + REPORT_DELAY:
            booked = [one for one in booked if self.world.random.random() < 0.5]
        return DayReport(day=day, as_of=as_of, sightings=booked)


def _booked_on(charge: Charge) -> set[date]:
    moments = (charge.executed_at, charge.refunded_at)
    return {settlement_day(moment) for moment in moments if moment}


def _sighting(charge: Charge) -> Sighting:
    return Sighting(
        seen=charge.seen,
        reference=charge.reference,
        processor_ref=charge.processor_ref,
        history_ref=None,
        amount_minor=charge.amount_minor,
        decline=charge.decline,
    )
