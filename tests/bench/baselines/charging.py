"""What every baseline does with one payment: a charge on the wire, with or without bookkeeping around it.

The bookkeeping is one statement before and one after each charge, each with its commit, on the tables that the engine
uses: `light` moves the payment's row and nothing else, the least that makes a charge findable after a crash;
`same_rows` writes every row that the engine writes for an approved charge (attempt, events, invoice, outbox), still in
one statement.
"""

import json
import os
import threading
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import psycopg
import stripe
import urllib3

from tests.bench.baselines.bookkeeping import STATEMENTS
from tests.bench.population import Job

THREADS: Final = 32
PROCESSES: Final = 2

_HEADERS: Final = {
    "Authorization": "Basic " + b64encode(b"bench:bench").decode(),
    "Content-Type": "application/json; charset=utf-8",
    "Accept": "application/json",
}
_TIMEOUT_S: Final = 75.0
_local: Final = threading.local()

Charge = Callable[[Job, str], str]
"""Charges a job under a reference and returns the processor's number."""


class NotApprovedError(Exception):
    """The stub approves everything, so this is a fault of the bench."""


def chargers() -> dict[str, Callable[[str], Charge]]:
    """Ways to charge by name, each made with the processor's address."""
    return {"vantage": vantage, "stripe": stripe_default, "stripe_tuned": stripe_tuned}


def vantage(url: str) -> Charge:
    """Straight on urllib3, the fastest synchronous client that keeps connections."""
    pool = urllib3.connection_from_url(url, maxsize=THREADS, block=False, retries=False, timeout=_TIMEOUT_S)

    def charge(job: Job, reference: str) -> str:
        body = json.dumps(
            {
                "Amount": job.amount_minor,
                "CurrencyCode": "USD",
                "Invoice": reference,
                "IsRecurringPayment": False,
                "MerchantProfileId": int(job.account),
                "PayerAccountId": job.payer_id,
                "PaymentMethodId": job.token,
            }
        ).encode()
        path = f"/ProtectPay/Payers/{job.payer_id}/PaymentMethods/ProcessedTransactions/"
        answer = json.loads(pool.request("PUT", path, body=body, headers=_HEADERS).data)
        transaction = answer["Transaction"]
        if answer["RequestResult"]["ResultCode"] != "00" or transaction["GrossAmt"] != job.amount_minor:
            raise NotApprovedError(NotApprovedError.__doc__)
        number: str = transaction["TransactionId"]
        return number

    return charge


def stripe_default(url: str) -> Charge:
    """The SDK as its documentation shows it: module-wide key, its own choice of HTTP client."""
    stripe.api_key, stripe.api_base = "sk_test_bench", url

    def charge(job: Job, reference: str) -> str:
        return _approved(
            job,
            stripe.PaymentIntent.create(
                **_intent(job, reference), stripe_account=job.account, idempotency_key=reference
            ),
        )

    return charge


def stripe_tuned(url: str) -> Charge:
    """The SDK with a keep-alive HTTP client of our own on urllib3, without telemetry and retries."""
    stripe.enable_telemetry = False
    client = stripe.StripeClient(
        "sk_test_bench", base_addresses={"api": url}, max_network_retries=0, http_client=_KeepAlive(url)
    )

    def charge(job: Job, reference: str) -> str:
        params: Any = _intent(job, reference)
        options: Any = {"stripe_account": job.account, "idempotency_key": reference}
        return _approved(job, client.v1.payment_intents.create(params, options))

    return charge


def _intent(job: Job, reference: str) -> dict[str, Any]:
    return {
        "amount": job.amount_minor,
        "confirm": True,
        "currency": "usd",
        "customer": job.payer_id,
        "metadata": {"reference": reference, "payment_id": job.payment_id, "invoice_id": job.invoice_id},
        "off_session": True,
        "payment_method": job.token,
        "payment_method_types": ["card"],
    }


def _approved(job: Job, intent: stripe.PaymentIntent) -> str:
    if intent.status != "succeeded" or intent.amount_received != job.amount_minor:
        raise NotApprovedError(NotApprovedError.__doc__)
    return intent.id


class _KeepAlive(stripe.HTTPClient):
    name = "urllib3"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._pool = urllib3.connection_from_url(url, maxsize=THREADS, retries=False, timeout=_TIMEOUT_S)

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> tuple[bytes, int, Any]:
        answer = self._pool.request(
            method.upper(), urllib3.util.parse_url(url).request_uri, body=post_data, headers=headers
        )
        return answer.data, answer.status, answer.headers


# --- The job ----------------------------------------------------------------------------------------------------------


def worker() -> Callable[[dict[str, Any]], None]:
    """What a baseline runs for each message, as the environment asks for it."""
    charge = chargers()[os.environ["BENCH_CHARGER"]](os.environ["BENCH_STUB_URL"])
    books = os.environ["BENCH_BOOKS"]
    if books == "none":
        return lambda fields: _charge_only(Job(**fields), charge)
    before, after = STATEMENTS[books]
    return lambda fields: _charge_with_books(fields["payment_id"], charge, before, after)


def _charge_only(job: Job, charge: Charge) -> None:
    charge(job, f"bench-{job.payment_id}-1")


def _charge_with_books(payment_id: str, charge: Charge, before: str, after: str) -> None:
    connection = _connection()
    reference = f"bench-{payment_id}-1"
    owned = {"payment": payment_id, "token": uuid4(), "attempt": uuid4(), "reference": reference}
    row = connection.execute(before, owned).fetchone()
    if row is None:
        return
    number = charge(Job(payment_id, *row), reference)
    connection.execute(after, {**owned, "number": number, "state": os.environ["BENCH_STATE"]})


def _connection() -> psycopg.Connection[Any]:
    """One for each thread, open for good; psycopg prepares both statements by itself."""
    connection: psycopg.Connection[Any] | None = getattr(_local, "connection", None)
    if connection is None:
        connection = psycopg.connect(os.environ["BENCH_DATABASE_URL"], autocommit=True)
        _local.connection = connection
    return connection
