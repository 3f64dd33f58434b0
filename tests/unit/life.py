"""One payment between our decisions and a model of its processor, with every request and answer in between."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from shared.domain import charging, claiming, refund_requests, refunding, returning, sightings, voiding
from shared.domain.answers import (
    Approved,
    Blame,
    Found,
    NotExecuted,
    RefundConfirmed,
    RefundRefused,
    Seen,
    Settled,
    Sighting,
    Unknown,
    VoidConfirmed,
    VoidRefused,
)
from shared.domain.claiming import NewAttempt
from shared.domain.payment import State
from shared.domain.returning import NewReturn
from shared.domain.snapshot import Attempt, Payment, Step
from shared.domain.words import AttemptKind, ProcessorName
from tests.snapshots import NOW, a_payment

LEASE = timedelta(seconds=100)
LOST = Unknown(code="timeout", detail="no answer")
REFUSED = NotExecuted(code="429", blame=Blame.NOTHING, detail="later")


@dataclass
class Bank:
    """The processor. One that does not enforce single refunds pays as often as it is asked."""

    processor: ProcessorName
    enforces_single_refunds: bool = True
    charges: dict[str, Seen] = field(default_factory=dict)
    taken: int = 0
    given_back: int = 0

    def charge(self, reference: str) -> Seen | None:
        """A reference charges once: Stripe's key, Vantage's single send."""
        if reference not in self.charges:
            at_once = self.processor is ProcessorName.STRIPE
            self.charges[reference] = Seen.SETTLED if at_once else Seen.APPROVED
            self.taken += 1
        return self.charges[reference]

    def void(self, reference: str) -> bool:
        if self.charges[reference] is not Seen.APPROVED:
            return False
        self._give_back(reference, Seen.VOIDED)
        return True

    def refund(self, reference: str) -> bool:
        careless = not self.enforces_single_refunds and self.charges[reference] is Seen.REFUNDED
        if self.charges[reference] is not Seen.SETTLED and not careless:
            return False
        self._give_back(reference, Seen.REFUNDED)
        return True

    def settle(self) -> None:
        for reference, seen in self.charges.items():
            if seen is Seen.APPROVED:
                self.charges[reference] = Seen.SETTLED

    def _give_back(self, reference: str, seen: Seen) -> None:
        self.charges[reference] = seen
        self.given_back += 1


@dataclass
class Request:
    """One send on the wire. `owner` is whose answer would count; None when nobody waits for it any more."""

    attempt: UUID
    owner: UUID | None
    executed: bool = False
    succeeded: bool = False


class Life:
    """A payment and all its attempts. Methods are what workers, people and the wire do; each is safe in every state."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.now: datetime = NOW
        self.payment: Payment = a_payment(processor=bank.processor, attempts=0, current_attempt=None)
        self.attempts: dict[UUID, Attempt] = {}
        self.wire: list[Request] = []
        self._ids = 1000
        self._refund_keys: set[UUID] = set()

    def _id(self) -> UUID:
        self._ids += 1
        return UUID(int=self._ids)

    def _take(self, step: Step | None) -> None:
        if step:
            self.payment = step.after
            if step.attempt:
                self.attempts[step.attempt.id] = step.attempt
                assert step.attempt.open_sends >= 0

    @property
    def charge(self) -> Attempt:
        assert self.payment.current_attempt
        return self.attempts[self.payment.current_attempt]

    def _open_return(self) -> Attempt | None:
        return next((one for one in self.attempts.values() if one.parent_id and one.outcome is None), None)

    def _owned(self) -> bool:
        return self.payment.lease_until is not None and self.payment.lease_until > self.now

    def _send(self, step: Step) -> None:
        self._take(step)
        assert step.attempt
        self.wire.append(Request(step.attempt.id, self.payment.claim_token))

    # --- people -------------------------------------------------------------------------------------------------------

    def ask_void(self) -> None:
        self._take(voiding.ask(self.payment, by="user-1", now=self.now)[1])

    def ask_refund(self) -> None:
        self._take(refund_requests.ask(self.payment, disputed=False, now=self.now)[1])

    # --- workers ------------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Whoever is responsible in this state does the next thing."""
        match self.payment.state:
            case State.QUEUED:
                self._charge()
            case State.SENDING if not self._owned():
                self._take(charging.lease_over(self.payment, now=self.now))
            case State.UNKNOWN:
                self._look()
            case State.APPROVED:
                self.sight()
            case State.VOIDING if not self._owned():
                self._void()
            case State.REFUNDING if not self._owned():
                self._refund()

    def _charge(self) -> None:
        if self.payment.void_requested_at:
            return self._take(claiming.cancel(self.payment, by="user-1", now=self.now))
        if self.payment.review_reason:
            return None
        n = self.payment.attempts + 1
        new = NewAttempt(id=self._id(), token=self._id(), reference=f"test-1-{n}", request_text="{}", lease=LEASE)
        return self._send(claiming.claim(self.payment, new, now=self.now))

    def _look(self) -> None:
        shown = self._shown()
        if shown:
            return self._take(sightings.seen(self.payment, self.charge, shown, unchanged=True, now=self.now))
        if self._absence_is_final(self.charge):
            return self._take(sightings.absent(self.payment, self.charge, as_of=self.now, now=self.now))
        return self._take(sightings.looked(self.payment, self.charge, detail="nothing", now=self.now))

    def sight(self) -> None:
        """A report, a webhook or another look shows how the charge stands, whatever we are doing."""
        if self.payment.current_attempt and (shown := self._shown()) and shown.seen is not Seen.APPROVED:
            self._take(sightings.seen(self.payment, self.charge, shown, unchanged=False, now=self.now))

    def _void(self) -> None:
        void = self._open_return()
        shown = self._shown()
        assert shown
        if void and (step := voiding.seen(self.payment, void, shown, now=self.now)):
            return self._take(step)
        if void:
            again = returning.claim_again(self.payment, void, token=self._id(), lease=LEASE, now=self.now)
            return self._send(again)
        return self._send(returning.claim(self.payment, self.charge, self._new(AttemptKind.VOID), now=self.now))

    def _refund(self) -> None:
        refund, shown = self._open_return(), self._shown()
        assert shown
        if refund is None:
            look = Found(sighting=shown)
            held_back = refunding.held_back(self.payment, self.charge, look, disputed=False, now=self.now)
            if held_back:
                return self._take(held_back)
            return self._send(returning.claim(self.payment, self.charge, self._new(AttemptKind.REFUND), now=self.now))
        if step := refunding.seen(self.payment, refund, shown, now=self.now):
            return self._take(step)
        if self.bank.processor is ProcessorName.STRIPE and refund.sends < 3:
            again = returning.claim_again(self.payment, refund, token=self._id(), lease=LEASE, now=self.now)
            return self._send(again)
        if self._absence_is_final(refund):
            return self._take(refunding.absent(self.payment, refund, now=self.now))
        return self._take(refunding.looked(self.payment, refund, fact="nothing", now=self.now))

    def _new(self, kind: AttemptKind) -> NewReturn:
        n = self.payment.attempts + 1
        return NewReturn(
            kind=kind, id=self._id(), token=self._id(), n=n, reference=f"test-1-{n}", request_text="{}", lease=LEASE
        )

    def _shown(self) -> Sighting | None:
        seen = self.bank.charges.get(self.charge.reference)
        if seen is None:
            return None
        reference = self.charge.reference
        return Sighting(
            seen=seen, reference=reference, processor_ref=f"ref-{reference}", history_ref=None, amount_minor=5_000
        )

    def _absence_is_final(self, attempt: Attempt) -> bool:
        """What the reports and the age of a key prove: nothing of it is on the wire any more."""
        return not [request for request in self.wire if request.attempt == attempt.id]

    # --- the wire -----------------------------------------------------------------------------------------------------

    def execute(self, request: Request) -> None:
        if request.executed:
            return
        attempt = self.attempts[request.attempt]
        request.executed = True
        match attempt.kind:
            case AttemptKind.CHARGE:
                self.bank.charge(attempt.reference)
                request.succeeded = True
            case AttemptKind.VOID:
                request.succeeded = self.bank.void(self._parent(attempt).reference)
            case AttemptKind.REFUND:
                # A repeated key gets the first answer.
                known = attempt.id in self._refund_keys and self.bank.processor is ProcessorName.STRIPE
                request.succeeded = known or self.bank.refund(self._parent(attempt).reference)
                if request.succeeded:
                    self._refund_keys.add(attempt.id)

    def _parent(self, attempt: Attempt) -> Attempt:
        assert attempt.parent_id
        return self.attempts[attempt.parent_id]

    def answer(self, request: Request) -> None:
        """The processor's answer arrives: to what it did, or that it certainly did nothing."""
        self.wire.remove(request)
        if request.owner:
            self._record(request, _result(request, self.attempts[request.attempt], self.bank))

    def lose(self, request: Request) -> None:
        """The owner gives up waiting; the request may still execute."""
        if request.owner:
            owner, request.owner = request.owner, None
            self._record(replace(request, owner=owner), LOST)

    def die(self, request: Request) -> None:
        """The owner dies; the request may still execute."""
        request.owner = None

    def vanish(self, request: Request) -> None:
        """A request that nobody waits for never arrives."""
        if request.owner is None:
            self.wire.remove(request)

    def _record(self, request: Request, given: object) -> None:
        attempt, token, payment = self.attempts[request.attempt], request.owner, self.payment
        deciders = {
            AttemptKind.CHARGE: charging.answered,
            AttemptKind.VOID: voiding.answered,
            AttemptKind.REFUND: refunding.answered,
        }
        self._take(deciders[attempt.kind](payment, attempt, given, token=token, now=self.now))  # type: ignore[arg-type]


def _result(request: Request, attempt: Attempt, bank: Bank) -> object:
    if not request.executed:
        return REFUSED
    ref = f"ref-{attempt.reference}"
    match attempt.kind:
        case AttemptKind.CHARGE:
            return Settled(processor_ref=ref) if bank.processor is ProcessorName.STRIPE else Approved(processor_ref=ref)
        case AttemptKind.VOID:
            return VoidConfirmed() if request.succeeded else VoidRefused(code="551", detail="too late")
        case AttemptKind.REFUND:
            if request.succeeded:
                return RefundConfirmed(processor_ref=ref)
            return RefundRefused(code="590", detail="already")
