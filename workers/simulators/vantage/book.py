"""The simulated ProtectPay without its wire: who is charged, refused, voided and refunded, and when."""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from workers.simulators.core import Core
from workers.simulators.ledger import Entry, Move
from workers.simulators.vantage.calendar import Standing, standing
from workers.simulators.vantage.tables import (
    ALREADY_REFUNDED,
    CARD_BLOCKED,
    DUPLICATE,
    DUPLICATE_WINDOW_S,
    FUNDS_SHORT,
    MONTHLY_LIMIT,
    NEGATIVE_LIMIT_MINOR,
    REFUND_EXCEEDS,
    SINGLE_LIMIT,
    TEST_AMOUNTS,
    TEST_CARD_PREFIXES,
    UNABLE,
    ZONE,
    Switches,
)
from workers.simulators.vault import Method

# Answers up to here come from the issuer, so ProPay has a transaction of them that a search shows.
_LAST_ISSUER_CODE = 199
_FIRST_HISTORY_ID = 8_392_043
_FIRST_TRANSACTION_ID = 528
TAKEN, VOIDED, REFUNDED, PARTLY_REFUNDED = "taken", "voided", "refunded", "partly_refunded"
DECLINED, CHARGED_BACK = "declined", "charged_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A charge as ProtectPay understood it."""

    method: Method
    account: str
    amount_minor: int
    currency: str
    invoice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`code` 0 is success. `shown` is the transaction whose numbers the answer carries, if any."""

    code: int
    history_ref: str
    shown: Entry | None = None


class Book:
    def __init__(self, core: Core, switches: Switches) -> None:
        self.core = core
        self.switches = switches
        self.funds_minor: dict[str, int] = {}
        self.report_edits: dict[str, Mapping[str, Any]] = {}
        self._cards: dict[tuple[str, str], str] = {}
        self._forget()

    def rebuild(self) -> None:
        """Counters from the replayed ledger."""
        for entry in self.core.ledger:
            self._observe(entry)

    def reset(self) -> None:
        """Cards are stored methods: they stay, also in the journal, which was just erased."""
        for (payer, token), number in self._cards.items():
            self._note_card(payer, token, number)
        self.funds_minor.clear()
        self.report_edits.clear()
        self._forget()

    def _forget(self) -> None:
        self._next_history = _FIRST_HISTORY_ID
        self._next_transaction: Counter[str] = Counter()
        self._monthly_minor: Counter[tuple[str, int, int]] = Counter()
        self._declines: dict[str, deque[datetime]] = defaultdict(deque)
        self._blocked_until: dict[str, datetime] = {}

    # --- cards --------------------------------------------------------------------------------------------------------

    def store_card(self, payer: str, token: str, number: str) -> None:
        self._note_card(payer, token, number)
        self._cards[payer, token] = number

    def _note_card(self, payer: str, token: str, number: str) -> None:
        self.core.journal.append("card", {"payer": payer, "token": token, "number": number})

    def restore_card(self, record: Mapping[str, str]) -> None:
        self._cards[record["payer"], record["token"]] = record["number"]

    def _card(self, method: Method) -> str:
        """Two tokens with one number are one card; a token of the vault file is its own card."""
        return self._cards.get((method.payer, method.token), method.token)

    # --- charges ------------------------------------------------------------------------------------------------------

    def charge(self, order: Order, now: datetime) -> Outcome:
        """Charge unless a rule of the processor, a test card or a test amount refuses."""
        code, original = self._refusal(order, now)
        if code:
            return self._refuse(order, code, now, original)
        entry = self._enter(order, now, state=TAKEN, moved=True, code=0)
        return Outcome(code=0, history_ref=entry.history_ref, shown=entry)

    def decline(self, order: Order, code: int, now: datetime) -> Outcome:
        """Refuse with `code`, unless a rule of the processor refuses an issuer's decline before the issuer can."""
        rule, original = self._refusal(order, now) if code <= _LAST_ISSUER_CODE else (0, None)
        return self._refuse(order, rule or code, now, original)

    def _refuse(self, order: Order, code: int, now: datetime, original: Entry | None) -> Outcome:
        """No money moves; only the issuer's refusals become a transaction that a search finds."""
        if code <= _LAST_ISSUER_CODE:
            entry = self._enter(order, now, state=DECLINED, moved=False, code=code)
            return Outcome(code=code, history_ref=entry.history_ref, shown=entry)
        shown = original if self.switches.duplicate_shows_original else None
        return Outcome(code=code, history_ref=shown.history_ref if shown else self.history_id(), shown=shown)

    def _refusal(self, order: Order, now: datetime) -> tuple[int, Entry | None]:
        card = self._card(order.method)
        blocked_until = self._blocked_until.get(card)
        if blocked_until is not None and now < blocked_until:
            return CARD_BLOCKED, None
        original = self._duplicate_of(order, card, now)
        if original is not None:
            return DUPLICATE, original
        switches = self.switches
        if switches.single_limit_minor is not None and order.amount_minor > switches.single_limit_minor:
            return SINGLE_LIMIT, None
        volume = self._monthly_minor[_month(order.account, now)] + order.amount_minor
        if switches.monthly_limit_minor is not None and volume > switches.monthly_limit_minor:
            return MONTHLY_LIMIT, None
        return self._test_code(order), None

    def _duplicate_of(self, order: Order, card: str, now: datetime) -> Entry | None:
        since = now - timedelta(seconds=DUPLICATE_WINDOW_S)
        for entry in reversed(self.core.ledger.by_reference(order.account, order.invoice)):
            if entry.executed_at <= since:
                return None
            same = entry.details.get("card") == card and entry.amount_minor == order.amount_minor
            if same and entry.kind is Move.CHARGE and entry.moved:
                return entry
        return None

    def _test_code(self, order: Order) -> int:
        number = self._cards.get((order.method.payer, order.method.token))
        if number is None:
            return 0
        return TEST_CARD_PREFIXES.get(number[:4], 0) or TEST_AMOUNTS.get(order.amount_minor, 0)

    def _enter(self, order: Order, now: datetime, *, state: str, moved: bool, code: int) -> Entry:
        entry = Entry(
            kind=Move.CHARGE,
            reference=order.invoice,
            account=order.account,
            payer=order.method.payer,
            token=order.method.token,
            amount_minor=order.amount_minor,
            currency=order.currency,
            state=state,
            moved=moved,
            processor_ref=self.transaction_id(order.account),
            history_ref=self.history_id(),
            executed_at=now,
            details={"code": code, "card": self._card(order.method)},
        )
        return self._add(entry)

    # --- void and refund ----------------------------------------------------------------------------------------------

    def find(self, account: str, history_ref: str, processor_ref: str) -> Entry | None:
        """The charge that a request names; the history id wins over the gateway's number."""
        ledger = self.core.ledger
        found = ledger.by_history_ref(history_ref) if history_ref else ledger.by_processor_ref(account, processor_ref)
        return found if found is not None and found.account == account and found.kind is Move.CHARGE else None

    def standing(self, charge: Entry, now: datetime) -> Standing:
        early = charge.details.get("submitted_at")
        submitted_at = datetime.fromisoformat(early) if early else None
        return standing(charge.executed_at, submitted_at, now, self.switches)

    def void(self, charge: Entry | None, now: datetime) -> int:
        """0, or the code of the refusal. A second void is assumed to be refused like a late one."""
        if charge is None or charge.state != TAKEN or self.standing(charge, now) is not Standing.PENDING:
            return UNABLE
        self._give_back(charge, Move.VOID, charge.amount_minor, now, processor_ref=charge.processor_ref)
        self.core.ledger.restate(charge, VOIDED)
        return 0

    def refund(self, charge: Entry | None, amount_minor: int, now: datetime) -> tuple[int, Entry | None]:
        """0 and the booked entry, or the code of the refusal; amount 0 means all of it."""
        if charge is None or not charge.moved or charge.state in {VOIDED, CHARGED_BACK}:
            return UNABLE, None
        at = self.standing(charge, now)
        if at is Standing.PENDING and self.switches.refund_pending == "void":
            return self.void(charge, now), charge
        if at in {Standing.PENDING, Standing.SUBMITTED}:
            return UNABLE, None
        amount_minor = amount_minor or charge.amount_minor
        code = self._refund_refusal(charge, amount_minor)
        if code:
            return code, None
        entry = self._give_back(
            charge, Move.REFUND, amount_minor, now, processor_ref=self.transaction_id(charge.account)
        )
        whole = self.refunded_minor(charge) >= charge.amount_minor
        self.core.ledger.restate(charge, REFUNDED if whole else PARTLY_REFUNDED)
        return 0, entry

    def charge_back(self, charge: Entry, now: datetime) -> None:
        """The client's bank takes the money back, whatever the standing."""
        number = self.transaction_id(charge.account)
        self._give_back(charge, Move.CHARGEBACK, charge.amount_minor, now, processor_ref=number)
        self.core.ledger.restate(charge, CHARGED_BACK)

    def refunded_minor(self, charge: Entry) -> int:
        children = self.core.ledger.children(charge)
        return sum(entry.amount_minor for entry in children if entry.kind is Move.REFUND)

    def _refund_refusal(self, charge: Entry, amount_minor: int) -> int:
        refunded_minor = self.refunded_minor(charge)
        if self.switches.refund_twice_refused:
            if refunded_minor >= charge.amount_minor:
                return ALREADY_REFUNDED
            if refunded_minor + amount_minor > charge.amount_minor:
                return REFUND_EXCEEDS
        elif amount_minor > charge.amount_minor:
            return REFUND_EXCEEDS
        funds_minor = self.funds_minor.get(charge.account)
        if funds_minor is None:
            return 0
        if funds_minor - amount_minor < -NEGATIVE_LIMIT_MINOR:
            return FUNDS_SHORT
        self.funds_minor[charge.account] = funds_minor - amount_minor
        return 0

    def _give_back(self, charge: Entry, kind: Move, amount_minor: int, now: datetime, *, processor_ref: str) -> Entry:
        return self._add(
            Entry(
                kind=kind,
                reference=charge.reference,
                account=charge.account,
                payer=charge.payer,
                token=charge.token,
                amount_minor=amount_minor,
                currency=charge.currency,
                state="done",
                moved=True,
                processor_ref=processor_ref,
                history_ref="" if kind is Move.VOID else self.history_id(),
                parent_ref=charge.processor_ref,
                executed_at=now,
            )
        )

    # --- numbers ------------------------------------------------------------------------------------------------------

    def history_id(self) -> str:
        """Global and increasing."""
        self._next_history += 1
        return str(self._next_history)

    def transaction_id(self, account: str) -> str:
        """A small counter for each merchant account."""
        self._next_transaction[account] += 1
        return str(_FIRST_TRANSACTION_ID + self._next_transaction[account])

    def _add(self, entry: Entry) -> Entry:
        self.core.ledger.add(entry)
        self._observe(entry)
        return entry

    def _observe(self, entry: Entry) -> None:
        if entry.history_ref:
            self._next_history = max(self._next_history, int(entry.history_ref))
        number = int(entry.processor_ref) - _FIRST_TRANSACTION_ID
        self._next_transaction[entry.account] = max(self._next_transaction[entry.account], number)
        if entry.kind is not Move.CHARGE:
            return
        if entry.moved:
            self._monthly_minor[_month(entry.account, entry.executed_at)] += entry.amount_minor
        else:
            self._count_decline(entry.details["card"], entry.executed_at)

    def _count_decline(self, card: str, now: datetime) -> None:
        declines = self._declines[card]
        declines.append(now)
        while declines and declines[0] <= now - timedelta(seconds=self.switches.velocity_window_s):
            declines.popleft()
        if len(declines) >= self.switches.velocity_declines:
            self._blocked_until[card] = now + timedelta(seconds=self.switches.velocity_block_s)


def _month(account: str, moment: datetime) -> tuple[str, int, int]:
    local = moment.astimezone(ZONE)
    return account, local.year, local.month
