"""What happens to money at the simulated Stripe: charges, late outcomes, refunds, disputes. No HTTP here."""

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from workers.simulators.core import Core
from workers.simulators.ledger import Entry, Move
from workers.simulators.stripe.errors import card_error, debit_error
from workers.simulators.stripe.objects import STANDING, charge_of, dispute_of, intent_of, refund_of
from workers.simulators.stripe.tables import DISPUTED_METHOD

# A US bank debit takes about four business days.
DEBIT_TAKES = timedelta(days=4)

# What a webhook tells: event type, connected account, object.
Announce = Callable[[str, str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A checked request for a charge."""

    account: str
    reference: str
    fingerprint: str
    customer: str
    token: str
    amount_minor: int
    currency: str
    types: list[str]
    metadata: Mapping[str, str]


class Book:
    def __init__(self, core: Core, announce: Announce) -> None:
        self._core = core
        self._announce = announce
        self._by_customer: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        # Accounts without an entry have enough for every refund.
        self.funds_minor: dict[str, int] = {}

    def charge(self, wanted: Wanted, *, decline: str = "", state: str = "taken") -> Entry:
        """Create and confirm. `decline` refuses it (a bank debit: days later); `state` may be `requires_action`."""
        details: dict[str, Any] = {
            "metadata": dict(wanted.metadata),
            "types": wanted.types,
            "fingerprint": wanted.fingerprint,
        }
        now = self._core.clock.now()
        if state == "taken" and wanted.types[0] == "us_bank_account":
            state = "processing"
        if state == "processing":
            details |= {"due": (now + DEBIT_TAKES).isoformat(), "fails_with": decline}
        elif decline:
            state = "declined"
            details["error"] = card_error(decline)
        entry = Entry(
            kind=Move.CHARGE,
            reference=wanted.reference,
            account=wanted.account,
            payer=wanted.customer,
            token=wanted.token,
            amount_minor=wanted.amount_minor,
            currency=wanted.currency,
            state=state,
            moved=state == "taken",
            processor_ref=f"pi_{secrets.token_hex(12)}",
            executed_at=now,
            details=details,
        )
        self._core.ledger.add(entry)
        self._index(entry)
        self._tell(entry)
        if state == "taken" and wanted.token == DISPUTED_METHOD:
            self.dispute(entry)
        return entry

    def intents(self, account: str, customer: str) -> list[Entry]:
        """A customer's payment intents, newest first, as Stripe lists them; without a customer all of the account."""
        if customer:
            return self._by_customer.get((account, customer), [])[::-1]
        charges = (each for each in self._core.ledger if each.kind is Move.CHARGE and each.account == account)
        return list(charges)[::-1]

    def find(self, account: str, ref: str) -> Entry | None:
        """By the id of a payment intent, its charge or a refund; objects of one account are invisible to another."""
        intent = f"pi_{ref[3:]}" if ref.startswith("ch_") else ref
        return self._core.ledger.by_processor_ref(account, intent)

    def refundable_minor(self, charge: Entry) -> int:
        return charge.amount_minor - int(charge.details.get("amount_refunded", 0)) if charge.state in STANDING else 0

    def covers(self, account: str, amount_minor: int) -> bool:
        """Whether the account's balance is enough for a refund."""
        return amount_minor <= self.funds_minor.get(account, amount_minor)

    def refund(self, charge: Entry, amount_minor: int, *, reference: str, metadata: Mapping[str, str]) -> Entry:
        refund = self._against(
            charge,
            kind=Move.REFUND,
            prefix="re",
            state="succeeded",
            amount_minor=amount_minor,
            reference=reference,
            metadata=metadata,
        )
        returned = charge.amount_minor - self.refundable_minor(charge) + amount_minor
        self._returned(charge, returned)
        self._announce("charge.refunded", charge.account, charge_of(charge))
        self._announce("refund.updated", charge.account, refund_of(refund))
        return refund

    def fail_refund(self, refund: Entry) -> None:
        """The bank sends a refund back: the money is the practice's again."""
        charge = self._parent(refund)
        self._core.ledger.restate(refund, "failed", moved=False, failure_reason="lost_or_stolen_card")
        self._returned(charge, charge.amount_minor - self.refundable_minor(charge) - refund.amount_minor)
        self._announce("refund.updated", refund.account, refund_of(refund))
        self._announce("refund.failed", refund.account, refund_of(refund))

    def dispute(self, charge: Entry) -> Entry:
        chargeback = self._against(
            charge, kind=Move.CHARGEBACK, prefix="dp", state="needs_response", amount_minor=charge.amount_minor
        )
        self._core.ledger.restate(charge, "charged_back", dispute=chargeback.processor_ref)
        self._announce("charge.dispute.created", charge.account, dispute_of(chargeback, charge))
        return chargeback

    def close_dispute(self, charge: Entry, *, won: bool) -> None:
        chargeback = self.find(charge.account, str(charge.details["dispute"]))
        assert chargeback is not None
        self._core.ledger.restate(chargeback, "won" if won else "lost", moved=not won)
        if won:
            self._core.ledger.restate(charge, "taken")
        self._announce("charge.dispute.closed", charge.account, dispute_of(chargeback, charge))

    def cancel(self, charge: Entry) -> None:
        self._core.ledger.restate(charge, "canceled", moved=False, cancellation_reason="abandoned")

    def restore(self) -> None:
        """After the journal was replayed: find the entries again and wait again for what is not finished."""
        for entry in self._core.ledger:
            if entry.kind is Move.CHARGE:
                self._index(entry)

    def clear(self) -> None:
        self._by_customer.clear()
        self.funds_minor.clear()

    def _index(self, entry: Entry) -> None:
        self._by_customer[entry.account, entry.payer].append(entry)
        if entry.state == "processing":
            due = datetime.fromisoformat(entry.details["due"])
            self._core.clock.later(due - self._core.clock.now(), lambda _now: self._finish(entry))

    def _finish(self, entry: Entry) -> None:
        if entry.state != "processing":
            return
        refused = entry.details["fails_with"]
        if refused:
            self._core.ledger.restate(entry, "failed", moved=False, error=debit_error(refused))
        else:
            self._core.ledger.restate(entry, "taken", moved=True)
        self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        event = {
            "taken": "payment_intent.succeeded",
            "processing": "payment_intent.processing",
            "requires_action": "payment_intent.requires_action",
        }.get(entry.state, "payment_intent.payment_failed")
        self._announce(event, entry.account, intent_of(entry))

    def _returned(self, charge: Entry, amount_minor: int) -> None:
        whole = "refunded" if amount_minor >= charge.amount_minor else "partly_refunded"
        self._core.ledger.restate(charge, whole if amount_minor else "taken", amount_refunded=amount_minor)

    def _parent(self, child: Entry) -> Entry:
        parent = self.find(child.account, child.parent_ref)
        assert parent is not None, "a refund has its charge"
        return parent

    def _against(
        self,
        charge: Entry,
        *,
        kind: Move,
        prefix: str,
        state: str,
        amount_minor: int,
        reference: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Entry:
        entry = Entry(
            kind=kind,
            reference=reference,
            account=charge.account,
            payer=charge.payer,
            token=charge.token,
            amount_minor=amount_minor,
            currency=charge.currency,
            state=state,
            moved=True,
            processor_ref=f"{prefix}_{secrets.token_hex(12)}",
            executed_at=self._core.clock.now(),
            parent_ref=charge.processor_ref,
            details={"metadata": dict(metadata or {})},
        )
        return self._core.ledger.add(entry)
