"""The Stripe adapter: Connect platform, direct charges on the practice's connected account.

The only module that imports stripe. A charge is a PaymentIntent that is created and confirmed in one call; its
idempotency key is the attempt's reference. The SDK makes every request but that one: it takes five times as long as its
connection does, mostly for log lines and headers. A test holds the charge's bytes against the SDK's.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import stripe

from shared.domain.books import BooksAnswer, DisputesAnswer
from shared.domain.words import ProcessorName
from workers.processors.connection import Answer, Trouble
from workers.processors.departure import AT_ONCE, Departure
from workers.processors.http import HttpClient, Limits
from workers.processors.port import (
    Blame,
    ChargeAnswer,
    ChargeOrder,
    Found,
    LookupAnswer,
    LookupFailed,
    LookupOrder,
    NotExecuted,
    RefundAnswer,
    ReturnOrder,
    Timing,
    VoidAnswer,
)
from workers.processors.stripe.answers import Json, answered_at, is_object, of_refusal, reference_of, sighting_of
from workers.processors.stripe.books import read_books, read_disputes
from workers.processors.stripe.form import encode
from workers.processors.stripe.frozen import (
    CHARGED,
    REFUNDED,
    canonical,
    judge_charge,
    judge_refund,
    not_ours,
    thaw,
)
from workers.processors.stripe.looks import looked, rows_of

if TYPE_CHECKING:
    from stripe.params import PaymentIntentListParams

# A module-wide switch of the SDK: it would add platform details and timings of the previous call to every request.
stripe.enable_telemetry = False

# Protocol section 2: 5 + 35 + 20 s make the lease of 60 s. Stripe forgets a key after 24 h at the earliest; a resend is
# safe only well before.
TIMING = Timing(
    send_budget=timedelta(seconds=5),
    total_deadline=timedelta(seconds=35),
    record_margin=timedelta(seconds=20),
    key_lifetime=timedelta(hours=20),
)
# A payment intent has 5 KB; four pages' worth of the largest list that we ask for has no answer of Stripe's.
ANSWER_LIMIT_BYTES = 8 * 1024 * 1024
# The metadata of what a success is about, which is compared.
_OUR_REFERENCE = re.compile(rb'"reference"')

# Stripe's clock and ours may differ; `created` is compared with our first send.
CLOCK_MARGIN = timedelta(minutes=10)
PAGE_SIZE = 100
# One client is charged a few times a month. More than this many since one send means that something else is wrong.
MAX_PAGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeSettings:
    """`in_flight` is the number of charges that the worker has on the wire at once: each needs a connection."""

    api_key: str = field(repr=False)
    api_base: str = stripe.DEFAULT_API_BASE
    in_flight: int = 64
    timing: Timing = TIMING


class StripeProcessor:
    """`Processor` over one StripeClient: no global key, no retries of its own, one host, one connection pool."""

    name: ProcessorName = ProcessorName.STRIPE

    def __init__(self, settings: StripeSettings) -> None:
        self.timing = settings.timing
        base = settings.api_base.rstrip("/")
        self._http = HttpClient(base, _limits(settings), named_by=_OUR_REFERENCE, tls=_tls(base))
        self._headers = {
            "Authorization": f"Bearer {settings.api_key}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Stripe-Version": stripe.api_version,
            "User-Agent": f"Stripe/v1 PythonBindings/{stripe.VERSION} Batchpay",
        }
        client = stripe.StripeClient(
            settings.api_key,
            base_addresses={"api": base},
            max_network_retries=0,
            http_client=_SdkDoor(self._http, base),
        )
        self._intents = client.v1.payment_intents

    def freeze_charge(self, order: ChargeOrder) -> str:
        """The request as canonical JSON: account, idempotency key and parameters.

        `reference` goes into the metadata because a lookup after the key's lifetime has nothing else to match. There is
        no description and no receipt e-mail: nothing about a person is sent.
        """
        params = {
            "amount": order.amount_minor,
            "confirm": True,
            "currency": order.currency.lower(),
            "customer": order.payer_id,
            "metadata": {
                "attempt": str(order.attempt_number),
                "invoice_id": order.invoice_id,
                "payment_id": order.payment_id,
                "reference": order.reference,
            },
            "off_session": True,
            "payment_method": order.token,
            "payment_method_types": [order.method_type],
        }
        return canonical({"account": order.account, "idempotency_key": order.reference, "params": params})

    async def charge(self, request_text: str, departure: Departure = AT_ONCE) -> ChargeAnswer:
        request = thaw(request_text, CHARGED)
        if request is None:
            return not_ours("charge")
        return judge_charge(await self._post("/v1/payment_intents", request, departure), request)

    def freeze_void(self, order: ReturnOrder) -> str:
        return canonical({"account": order.account, "charge": order.charge_processor_ref, "void": order.reference})

    async def void(self, request_text: str, departure: Departure = AT_ONCE) -> VoidAnswer:  # noqa: ARG002
        """A captured charge cannot be voided at Stripe; nothing is sent."""
        return NotExecuted(code="no_void", blame=Blame.US, detail=f"Stripe has no void: {request_text}")

    def freeze_refund(self, order: ReturnOrder) -> str:
        params = {
            "amount": order.amount_minor,
            "metadata": {"reference": order.reference},
            "payment_intent": order.charge_processor_ref,
        }
        return canonical({"account": order.account, "idempotency_key": order.reference, "params": params})

    async def refund(self, request_text: str, departure: Departure = AT_ONCE) -> RefundAnswer:
        request = thaw(request_text, REFUNDED)
        if request is None:
            return not_ours("refund")
        return judge_refund(await self._post("/v1/refunds", request, departure), request)

    async def lookup(self, order: LookupOrder) -> LookupAnswer:
        """Retrieve by Stripe's id if an answer ever told it, else list the customer's payment intents.

        Never the search API: it lags behind. The list has no upper bound in time because a late execution is exactly
        what a lookup must not miss.
        """
        try:
            async with asyncio.timeout(self.timing.total_deadline.total_seconds()):
                return await (self._retrieve(order, order.processor_ref) if order.processor_ref else self._find(order))
        except (_NotAnsweredError, TimeoutError) as error:
            return LookupFailed(code="not_reached", detail=str(error))
        except stripe.StripeError as error:
            answer = _refused(error)
            return LookupFailed(code=getattr(answer, "code", f"http_{error.http_status}"), detail=_reason(error))
        except Exception as error:  # noqa: BLE001 - a lookup that cannot be read proves nothing
            return LookupFailed(code="unreadable_answer", detail=type(error).__name__)

    async def day_report(self, account: str, day: date) -> None:
        """Stripe has no settlement report that proves absence."""

    async def day_books(self, account: str, day: date) -> BooksAnswer:
        return await read_books(partial(self._get, account), day)

    async def disputes(self, account: str, charge_ref: str) -> DisputesAnswer:
        return await read_disputes(partial(self._get, account), charge_ref)

    async def close(self) -> None:
        self._http.close()

    async def _post(self, path: str, request: Mapping[str, Any], departure: Departure) -> Answer | Trouble:
        return await self._http.send(
            "POST",
            path,
            headers={
                **self._headers,
                "Stripe-Account": request["account"],
                "Idempotency-Key": request["idempotency_key"],
            },
            body=encode(request["params"]),
            limit_bytes=ANSWER_LIMIT_BYTES,
            departure=departure,
        )

    async def _get(self, account: str, path: str, params: Mapping[str, object]) -> Answer | Trouble:
        return await self._http.send(
            "GET",
            f"{path}?{encode(params).decode()}",
            headers={**self._headers, "Stripe-Account": account},
            limit_bytes=ANSWER_LIMIT_BYTES,
        )

    async def _retrieve(self, order: LookupOrder, ref: str) -> LookupAnswer:
        """A missing id is a contradiction (Stripe gave it to us), no absence: the 404 becomes a failed lookup."""
        intent = _received(
            await self._intents.retrieve_async(ref, {"expand": ["latest_charge"]}, {"stripe_account": order.account})
        )
        if not is_object(intent) or reference_of(intent) != order.reference:
            return LookupFailed(code="other_reference", detail=f"{ref} is not the charge of {order.reference}")
        return Found(sighting=sighting_of(intent))

    async def _find(self, order: LookupOrder) -> LookupAnswer:
        since = int((order.first_send_at - CLOCK_MARGIN).timestamp())
        params: PaymentIntentListParams = {
            "customer": order.payer_id,
            "created": {"gte": since},
            "limit": PAGE_SIZE,
            "expand": ["data.latest_charge"],
        }
        matches: list[Json] = []
        as_of: datetime | None = None
        for _ in range(MAX_PAGES):
            page = await self._intents.list_async(params, {"stripe_account": order.account})
            # The first page's clock is the earliest: what came after it may be on no page.
            as_of = as_of or answered_at(_headers(page))
            rows, more = rows_of(_received(page))
            matches.extend(row for row in rows if reference_of(row) == order.reference)
            if not more:
                return looked(matches, as_of)
            params = {**params, "starting_after": str(rows[-1]["id"])}
        return LookupFailed(code="too_many", detail=f"over {MAX_PAGES * PAGE_SIZE} payment intents since {since}")


class _NotAnsweredError(Exception):
    """No complete answer came."""


class _SdkDoor(stripe.HTTPClient):
    """The SDK's door to our connections."""

    name: ClassVar[str] = "aiohttp"

    def __init__(self, http: HttpClient, base: str) -> None:
        super().__init__()
        self._http, self._base = http, base

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Raises _NotAnsweredError."""
        answer = await self._http.send(
            method.upper(),
            url.removeprefix(self._base),
            headers=headers,
            body=post_data.encode() if post_data else None,
            limit_bytes=ANSWER_LIMIT_BYTES,
        )
        if isinstance(answer, Trouble):
            raise _NotAnsweredError(f"{answer.code}: {answer.detail}")
        # What we read of them. The rest would have the SDK raise its `Stripe-Notice` wherever warnings are errors.
        kept = {name: answer.headers[name] for name in ("date", "request-id") if name in answer.headers}
        return answer.body, answer.status, kept


def _limits(settings: StripeSettings) -> Limits:
    return Limits(
        connections=settings.in_flight, total=settings.timing.total_deadline, connect=settings.timing.send_budget
    )


def _tls(api_base: str) -> ssl.SSLContext | None:
    """The SDK's own certificate bundle, as its own clients use it; none for a simulator's plain HTTP."""
    return ssl.create_default_context(cafile=stripe.ca_bundle_path) if api_base.startswith("https:") else None


def _received(answer: stripe.StripeObject) -> object:
    """The JSON as it was received; the SDK's objects raise for a missing field."""
    response = answer.last_response
    return getattr(response, "data", None)


def _headers(answer: stripe.StripeObject) -> Mapping[str, str]:
    response = answer.last_response
    return response.headers if response is not None else {}


def _refused(error: stripe.StripeError) -> ChargeAnswer:
    return of_refusal(error.http_status or 0, error.json_body, error.headers or {})


def _reason(error: stripe.StripeError) -> str:
    return f"{type(error).__name__} {error.http_status} {error.request_id or ''}".strip()
