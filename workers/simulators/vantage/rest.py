"""The simulated ProtectPay REST interface: charge, void, refund, and payers and methods for seeds."""

import base64
import uuid
from datetime import datetime

from aiohttp import web

from workers.simulators.behaviour import APPROVE, Kind
from workers.simulators.ledger import Entry
from workers.simulators.vantage.answers import (
    charge_answer,
    encode,
    pseudo_approval_answer,
    refund_answer,
    refusal_answer,
    result,
    void_answer,
)
from workers.simulators.vantage.book import Book, Order, Outcome
from workers.simulators.vantage.perform import Deed, Task, answer, not_found, perform, request_error
from workers.simulators.vantage.requests import Body, MalformedError
from workers.simulators.vantage.tables import (
    ARGUMENT,
    AUTHENTICATION,
    CARD_NUMBER,
    CURRENCY,
    INVOICE,
    NO_METHOD,
    PAYER,
    Credentials,
)
from workers.simulators.vault import Method

_INVOICE_MAX = 50
_CURRENCIES = frozenset({"USD", "CAD"})


class Rest:
    def __init__(self, book: Book, credentials: Credentials) -> None:
        self._book = book
        pair = f"{credentials.biller_account_id}:{credentials.authentication_token}"
        self._authorization = "Basic " + base64.b64encode(pair.encode()).decode()

    async def handle(self, request: web.Request, body: bytes) -> web.StreamResponse:
        if request.headers.get("Authorization") != self._authorization:
            return self._unauthorised()
        parts = [part for part in request.path.lower().split("/") if part][1:]
        if request.method != "PUT":
            return not_found()
        try:
            return await self._route(request, Body(body), parts)
        except MalformedError as error:
            return request_error(str(error))

    async def _route(self, request: web.Request, body: Body, parts: list[str]) -> web.StreamResponse:
        """`parts` is the path after /ProtectPay, in lower case, without empty parts."""
        match parts:
            case ["payers", payer, "paymentmethods", "processedtransactions"]:
                return await self._charge(request, body, payer)
            case ["voidedtransactions"]:
                return await self._void(request, body)
            case ["refundtransaction" | "refundedtransactions"]:
                return await self._refund(request, body)
            case ["payers"]:
                return self._seed_payer(body)
            case ["payers", payer, "paymentmethods"]:
                return self._seed_method(payer, body)
            case _:
                return not_found()

    def _unauthorised(self) -> web.Response:
        if self._book.switches.bad_credentials_status == 401:
            return web.Response(status=401)
        return answer(encode({"Transaction": None, "RequestResult": result(AUTHENTICATION)}))

    # --- charge -------------------------------------------------------------------------------------------------------

    async def _charge(self, request: web.Request, body: Body, payer: str) -> web.StreamResponse:
        account = body.digits("MerchantProfileId")
        token = body.text("PaymentMethodId", required=True)
        body.require("IsRecurringPayment")
        order = Order(
            method=self._method(account, payer, token),
            account=account,
            amount_minor=body.number("Amount", required=True),
            currency=body.text("CurrencyCode", required=True),
            invoice=body.text("Invoice"),
        )
        code = self._wrong(order, body.text("PayerAccountId", required=True))
        if code:
            return answer(self._refused("Transaction", code, order.amount_minor))
        behaviour = self._book.core.vault.take("charge", order.method)
        if behaviour.kind is Kind.APPROVE:
            now = self._book.core.clock.now()
            return answer(charge_answer(self._book.charge(order, now), order.amount_minor, self._book.switches))
        return await perform(request, behaviour, self._charge_task(order), self._book.core.clock, self._book.switches)

    def _method(self, account: str, payer: str, token: str) -> Method:
        """A method made over REST belongs to the biller and serves every account."""
        shared = Method("", payer, token)
        return shared if self._book.core.vault.knows(shared) else Method(account, payer, token)

    def _wrong(self, order: Order, payer: str) -> int:
        vault = self._book.core.vault
        if payer != order.method.payer or not vault.knows_payer(payer):
            return PAYER
        if not vault.knows(order.method):
            return NO_METHOD
        if order.currency not in _CURRENCIES:
            return CURRENCY
        if len(order.invoice) > _INVOICE_MAX:
            return INVOICE
        return ARGUMENT if order.amount_minor <= 0 else 0

    def _charge_task(self, order: Order) -> Task:
        book = self._book
        amount = order.amount_minor

        def word(outcome: Outcome) -> bytes:
            return charge_answer(outcome, amount, book.switches)

        def pseudo(code: int, now: datetime) -> bytes:
            outcome = book.decline(order, code, now)
            return pseudo_approval_answer(outcome, amount) if outcome.code == code else word(outcome)

        return Task(
            deed=lambda now: word(book.charge(order, now)),
            refuse=lambda code, now: word(book.decline(order, code, now)),
            pseudo=pseudo,
        )

    # --- void and refund ----------------------------------------------------------------------------------------------

    async def _void(self, request: web.Request, body: Body) -> web.StreamResponse:
        charge = self._named(body)
        return await self._take_back(request, "void", charge, lambda now: self._do_void(charge, now))

    async def _refund(self, request: web.Request, body: Body) -> web.StreamResponse:
        charge = self._named(body)
        amount = body.number("Amount")
        code = CURRENCY if body.text("CurrencyCode", required=True) not in _CURRENCIES else 0
        code = code or (ARGUMENT if amount < 0 else 0)
        if code:
            return answer(self._refused("TransactionDetail", code, amount))
        return await self._take_back(request, "refund", charge, lambda now: self._do_refund(charge, amount, now))

    async def _take_back(
        self, request: web.Request, operation: str, charge: Entry | None, deed: Deed
    ) -> web.StreamResponse:
        method = Method(charge.account, charge.payer, charge.token) if charge else Method("", "", "")
        key = "Transaction" if operation == "void" else "TransactionDetail"
        behaviour = self._book.core.vault.take(operation, method)
        task = Task(
            deed=deed,
            refuse=lambda code, _now: self._refused(key, code, 0),
            pseudo=lambda code, _now: self._refused(key, code, 0),
        )
        return await perform(request, behaviour, task, self._book.core.clock, self._book.switches)

    def _named(self, body: Body) -> Entry | None:
        account = body.digits("MerchantProfileId")
        return self._book.find(account, body.digits("TransactionHistoryId"), body.digits("OriginalTransactionId"))

    def _do_void(self, charge: Entry | None, now: datetime) -> bytes:
        code = self._book.void(charge, now)
        return void_answer(charge) if charge is not None and not code else self._refused("Transaction", code, 0)

    def _do_refund(self, charge: Entry | None, amount: int, now: datetime) -> bytes:
        code, entry = self._book.refund(charge, amount, now)
        if entry is None:
            return self._refused("TransactionDetail", code, amount)
        if entry is charge:
            return void_answer(entry).replace(b'"Transaction":', b'"TransactionDetail":', 1)
        return refund_answer(entry)

    def _refused(self, key: str, code: int, amount: int) -> bytes:
        outcome = Outcome(code=code, history_ref=self._book.history_id())
        return refusal_answer(key, outcome, amount, self._book.switches)

    # --- seeds --------------------------------------------------------------------------------------------------------

    def _seed_payer(self, body: Body) -> web.Response:
        """Nothing is kept of a payer: the id matters only once it has a method."""
        body.text("Name", required=True)
        return answer(encode({"ExternalAccountID": str(uuid.uuid4().int)[:16], "RequestResult": result(0)}))

    def _seed_method(self, payer: str, body: Body) -> web.Response:
        """A stored method with one of the vendor's test card numbers."""
        number = body.text("AccountNumber", required=True)
        if not number.isdigit():
            return answer(encode({"PaymentMethodId": None, "RequestResult": result(CARD_NUMBER)}))
        token = str(uuid.uuid4())
        self._book.core.vault.put(Method("", payer, token), APPROVE)
        self._book.store_card(payer, token, number)
        return answer(encode({"PaymentMethodId": token, "RequestResult": result(0)}))
