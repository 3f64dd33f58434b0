"""The ingress as an upstream app sees it: publishes requests, reads answers."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

import pika
from pydantic import SecretStr

from schemas.requests import REQUESTS_EXCHANGE, SUBMIT_KEY, SUBMIT_QUEUE
from services.submit.auth import Verifier
from services.submit.ingress import answer_request
from shared.messaging import topology
from shared.messaging.answering import answer_requests
from shared.settings import SubmitSettings
from shared.store.pool import open_pool
from tests.submit_service import SECRET, bearer
from tests.waiting import eventually

FIVE = [f"oak-i{n}" for n in range(1, 6)]


class Asker:
    """Has a reply queue of its own on a connection of its own."""

    def __init__(self, amqp_url: str) -> None:
        topology.declare(amqp_url)
        self._connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
        self.channel = self._connection.channel()
        self.replies = self.channel.queue_declare("", exclusive=True).method.queue

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        # A test may have cut it.
        with suppress(pika.exceptions.AMQPError):
            self._connection.close()

    def send(
        self,
        body: Any,
        *,
        correlation_id: str | None = None,
        reply_to: str | None = None,
        headers: dict[str, Any] | None = None,
    ) -> None:
        """Publish a request; bytes go as they are. `reply_to` is the own queue unless given."""
        properties = pika.BasicProperties(
            reply_to=self.replies if reply_to is None else reply_to, correlation_id=correlation_id, headers=headers
        )
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.channel.basic_publish(REQUESTS_EXCHANGE, SUBMIT_KEY, text, properties)

    def answer(self, *, within_s: float = 20.0) -> tuple[str | None, dict[str, Any]]:
        """The next answer and its correlation id."""

        def got() -> tuple[str | None, dict[str, Any]] | None:
            method, properties, body = self.channel.basic_get(self.replies, auto_ack=True)
            return (properties.correlation_id, json.loads(body)) if method else None

        found = eventually(got, within_s=within_s, what="an answer")
        assert found is not None
        return found

    def ask(self, body: Any, **more: Any) -> dict[str, Any]:
        self.send(body, **more)
        return self.answer()[1]


def a_request(invoices: list[str] | None, total_minor: int, *, key: str = "key-1", **more: Any) -> dict[str, Any]:
    """A sound request of practice oak."""
    request = {
        "practice": "oak",
        "idempotency_key": key,
        "token": bearer(),
        "invoices": invoices,
        "control": {"count": len(invoices or FIVE), "total_minor": total_minor},
        **more,
    }
    return {name: value for name, value in request.items() if value is not None}


@contextmanager
def answering(database_url: str, amqp_url: str) -> Iterator[None]:
    """The ingress in a thread: it starts in a tenth of a process's time."""
    loop = asyncio.new_event_loop()
    settings = SubmitSettings(database_url=database_url, amqp_url=amqp_url, jwt_secret=SecretStr(SECRET))

    async def answer() -> None:
        async with open_pool(database_url, process="ingress", most=4) as pool:
            answer = partial(answer_request, pool, Verifier(settings))
            await answer_requests(amqp_url, SUBMIT_QUEUE, answer, at_once=4)

    task = loop.create_task(answer())

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
        assert not thread.is_alive()
        loop.close()


@contextmanager
def ingress(database_url: str, amqp_url: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The ingress as a process of its own."""
    running = subprocess.Popen(
        [sys.executable, "-m", "services.submit.amqp"],
        env={
            **os.environ,
            "BATCHPAY_DATABASE_URL": database_url,
            "BATCHPAY_AMQP_URL": amqp_url,
            "BATCHPAY_JWT_SECRET": SECRET,
            **environment,
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(20)
