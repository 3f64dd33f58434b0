"""`python -m tests.bench.stub`: a processor that only answers, as cheaply as Python can, in a process of its own.

It approves every charge for exactly the amount asked, in the shape and size of a real answer, so many milliseconds
after the whole request has come as it was last told. It keeps nothing but counts. The simulators of
`workers/simulators` would cost more CPU than what is measured; no contender is charged for this process's CPU.
"""

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import uvloop

STATS_PATH: Final = "/_bench/stats"
# Followed by the new latency in milliseconds.
RESET_PATH: Final = "/_bench/reset/"

_HEAD_END: Final = b"\r\n\r\n"
_VANTAGE: Final = json.dumps(
    {
        "Transaction": {
            "AVSCode": "T",
            "AuthorizationCode": "A11111",
            "CVVResponseCode": "NotPresent",
            "CurrencyConversionRate": 1.0,
            "CurrencyConvertedAmount": "@amount",
            "CurrencyConvertedCurrencyCode": "USD",
            "GrossAmt": "@amount",
            "GrossAmtLessNetAmt": 30,
            "NetAmt": "@amount",
            "PerTransFee": 30,
            "Rate": 2.49,
            "ResultCode": {"ResultCode": "00", "ResultMessage": "", "ResultValue": "SUCCESS"},
            "TransactionHistoryId": "@history",
            "TransactionId": "@number",
            "TransactionResult": "Success",
        },
        "RequestResult": {"ResultValue": "SUCCESS", "ResultCode": "00", "ResultMessage": ""},
    },
    separators=(",", ":"),
).encode()
_STRIPE: Final = json.dumps(
    {
        "id": "pi_3Bench@number",
        "object": "payment_intent",
        "amount": "@amount",
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": "@amount",
        "application": "ca_bench",
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": "pi_3Bench@number_secret_bench",
        "confirmation_method": "automatic",
        "created": 1_790_000_000,
        "currency": "usd",
        "customer": "cus_bench",
        "description": None,
        "last_payment_error": None,
        "latest_charge": "ch_3Bench@number",
        "livemode": False,
        "metadata": {"attempt": "1", "invoice_id": "@invoice", "payment_id": "@payment", "reference": "@reference"},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": "pm_bench",
        "payment_method_options": {
            "card": {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "auto"}
        },
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    },
    indent=2,
).encode()


class Stub:
    """Counts, the latency, and the queue of answers on their way."""

    def __init__(self) -> None:
        self._number = time.time_ns() // 1_000_000
        self._due: deque[tuple[float, Connection, bytes]] = deque()
        self._timer_runs = False
        self.reset(0.0)

    def reset(self, latency_s: float) -> None:
        """Count from nothing again."""
        self.latency_s = latency_s
        self.requests = self.answers = self.held = self.most_held = 0
        self.first_request_s = self.last_answer_s = self.held_s = 0.0

    def stats(self) -> bytes:
        """Times are those of the machine's monotonic clock, the same in every process."""
        return json.dumps(
            {
                "requests": self.requests,
                "answers": self.answers,
                "first_request_s": self.first_request_s,
                "last_answer_s": self.last_answer_s,
                "held_s": self.held_s,
                "most_held": self.most_held,
            }
        ).encode()

    def charge(self, connection: "Connection", head: bytes, body: bytes) -> None:
        """Take a charge in and have it answered in its time."""
        now_s = time.monotonic()
        self.first_request_s = self.first_request_s or now_s
        self.requests += 1
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        self._number += 1
        answer = _http((_vantage if head.startswith(b"PUT") else _stripe)(body, b"%d" % self._number))
        if not self.latency_s:
            self._answer(now_s, now_s, connection, answer)
            return
        self._due.append((now_s, connection, answer))
        if not self._timer_runs:
            self._timer_runs = True
            asyncio.get_running_loop().call_later(self.latency_s, self._answer_due)

    def _answer_due(self) -> None:
        """All have the same latency, so that one timer for the first is enough. Never early."""
        now_s = time.monotonic()
        while self._due and self._due[0][0] + self.latency_s <= now_s:
            began_s, connection, answer = self._due.popleft()
            self._answer(began_s, now_s, connection, answer)
        self._timer_runs = bool(self._due)
        if self._due:
            asyncio.get_running_loop().call_later(self._due[0][0] + self.latency_s - now_s, self._answer_due)

    def _answer(self, began_s: float, now_s: float, connection: "Connection", answer: bytes) -> None:
        self.answers += 1
        self.held -= 1
        self.held_s += now_s - began_s
        self.last_answer_s = now_s
        connection.write(answer)


class Connection(asyncio.Protocol):
    """One kept-alive connection: a request at a time, as HTTP clients send them."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._received = b""
        self.write: Callable[[bytes], None] = lambda _answer: None

    def connection_made(self, transport: Any) -> None:
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(_HEAD_END)
        if end < 0:
            self._received = received
            return
        head = received[:end]
        body = received[end + len(_HEAD_END) :]
        if len(body) < _length(head):
            self._received = received
            return
        self._received = b""
        if head.startswith((b"PUT", b"POST")):
            self._stub.charge(self, head, body)
        else:
            self._control(head.split(b" ", 2)[1].decode())

    def _control(self, path: str) -> None:
        if path.startswith(RESET_PATH):
            self._stub.reset(float(path.removeprefix(RESET_PATH)) / 1000)
        self.write(_http(self._stub.stats()))


def _length(head: bytes) -> int:
    at = head.find(b"ontent-Length: ")
    if at < 0:
        at = head.lower().find(b"ontent-length: ")
    return int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0


def _http(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 05 Jan 2026 12:00:00 GMT\r\n"
        b"Request-Id: req_bench\r\nContent-Length: %d\r\n\r\n" % len(body)
    ) + body


def _vantage(body: bytes, number: bytes) -> bytes:
    amount = body.partition(b'"Amount":')[2].lstrip().partition(b",")[0]
    return _VANTAGE.replace(b'"@amount"', amount).replace(b"@number", number).replace(b"@history", number)


def _stripe(body: bytes, number: bytes) -> bytes:
    values = dict(pair.split(b"=", 1) for pair in body.split(b"&"))
    answer = _STRIPE.replace(b'"@amount"', values[b"amount"]).replace(b"@number", number)
    for name in (b"invoice_id", b"payment_id", b"reference"):
        value = unquote_to_bytes(values.get(b"metadata[%s]" % name) or values.get(b"metadata%%5B%s%%5D" % name, b""))
        answer = answer.replace(b"@" + name.removesuffix(b"_id"), value)
    return answer


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    stub = Stub()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(stub), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(os.environ["BENCH_STUB_PORT"])))
