"""The practices of a seed and what their people do: submit, submit again, ask for voids and refunds, change the
catalog."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from schemas.http import ControlTotals, SubmitRequest
from services.submit.submission import Accepted, submit
from shared.store.refunds import request_batch_refund, request_payment_refund
from shared.store.scope import Scope
from shared.store.voids import request_batch_void, request_payment_void
from tests import builders
from tests.simulation.gates import Process
from tests.simulation.pool import Pool
from tests.simulation.world import World

_SOURCE = "simulation"
_PATIENCE = 4

Answer = TypeVar("Answer")


@dataclass(slots=True, kw_only=True)
class Practice:
    id: UUID
    name: str
    batches: list[UUID] = field(default_factory=list)


def settle_in(world: World) -> list[Practice]:
    """One or two practices with few clients, of whom some share a card, and with few invoices."""
    processors = world.random.choice([["vantage"], ["stripe"], ["vantage", "stripe"]])
    return [_practice(world, processor) for processor in processors]


def _practice(world: World, processor: str) -> Practice:
    connection, random = world.session.connection, world.random
    account = f"account-{processor}"
    practice_id = builders.practice(connection, external_id=processor, processor=processor, processor_account=account)
    tokens = [f"{processor}-card-{n}" for n in range(random.randint(1, 2))]
    for n in range(random.randint(1, 2)):
        client_id = builders.client(connection, practice_id, external_id=f"client-{n}")
        debit = processor == "stripe" and random.random() < 0.3
        builders.method(
            connection,
            practice_id,
            client_id,
            external_id=f"method-{n}",
            processor=processor,
            token=random.choice(tokens),
            **({"type": "us_bank_account", "exp_month": None, "exp_year": None} if debit else {}),
        )
        for m in range(random.randint(1, 2)):
            builders.invoice(connection, practice_id, client_id, external_id=f"invoice-{n}-{m}")
    return Practice(id=practice_id, name=processor)


class Person:
    """Acts whenever its turn comes, again and again; presses the button again where no answer came."""

    def __init__(self, process: Process, world: World, practice: Practice) -> None:
        self._process = process
        self._world = world
        self._practice = practice
        self._pool = Pool(world, process)
        self._scope = Scope(practice_id=practice.id)

    async def submit_batches(self, most: int) -> None:
        for n in range(most):
            await self._process.gate("submit")
            ready = self._world.session.rows(
                "SELECT invoice_external_id, amount_due_minor FROM invoice_eligibility"
                " WHERE practice_id = %s AND reasons = '{}' ORDER BY 1",
                [self._practice.id],
            )
            if ready:
                await self._submit(self._world.random.sample(ready, self._world.random.randint(1, len(ready))), n)

    async def _submit(self, chosen: list[tuple[str, int]], n: int) -> None:
        request = SubmitRequest(
            invoices=[invoice for invoice, _ in chosen],
            control=ControlTotals(count=len(chosen), total_minor=sum(amount for _, amount in chosen)),
        )
        key = f"{self._process.name}-{n}"
        answer = await self._until_answered(
            lambda: submit(
                self._pool, self._scope, request, idempotency_key=key, actor=self._process.name, source=_SOURCE
            )
        )
        self._world.trace.add(f"  {type(answer).__name__}: {', '.join(request.invoices)}")
        if isinstance(answer, Accepted):
            self._practice.batches.append(answer.batch.id)

    async def ask_for_voids(self, most: int) -> None:
        for _ in range(most):
            await self._process.gate("void", ready=lambda: bool(self._practice.batches))
            batch_id = self._world.random.choice(self._practice.batches)
            ask: Callable[..., Awaitable[object]] = partial(request_batch_void, self._pool, batch_id=batch_id)
            if self._world.random.random() < 0.5:
                payment_id = self._world.random.choice(self._payments(batch_id))
                ask = partial(request_payment_void, self._pool, payment_id=payment_id)
            await self._until_answered(
                partial(ask, practice_id=self._practice.id, actor=self._process.name, source=_SOURCE)
            )

    async def ask_for_refunds(self, most: int) -> None:
        """Of whole batches and of single payments, and of the same ones again."""
        for _ in range(most):
            await self._process.gate("refund", ready=lambda: bool(self._practice.batches))
            batch_id = self._world.random.choice(self._practice.batches)
            ask: Callable[..., Awaitable[object]] = partial(request_batch_refund, self._pool, batch_id=batch_id)
            if self._world.random.random() < 0.5:
                payment_id = self._world.random.choice(self._payments(batch_id))
                ask = partial(request_payment_refund, self._pool, payment_id=payment_id)
            await self._until_answered(
                partial(ask, practice_id=self._practice.id, actor=self._process.name, source=_SOURCE)
            )

    def _payments(self, batch_id: UUID) -> list[UUID]:
        return [
            row[0]
            for row in self._world.session.rows("SELECT id FROM payment WHERE batch_id = %s ORDER BY id", [batch_id])
        ]

    async def _until_answered(self, ask: Callable[[], Awaitable[Answer]]) -> Answer | None:
        for _ in range(_PATIENCE):
            try:
                return await ask()
            except (psycopg.OperationalError, PoolTimeout) as error:
                self._world.trace.add(f"  {self._process.name} got no answer: {error}")
        return None


def change_catalog(world: World) -> None:
    """Upstream pushes something that the next claim must see."""
    change = world.random.choice(
        [
            "UPDATE payment_method SET removed_at = clock_timestamp() WHERE token = %s",
            """UPDATE invoice SET status = 'closed' WHERE id = (SELECT i.id FROM invoice i
               JOIN payment_method m ON m.client_id = i.client_id WHERE m.token = %s ORDER BY i.external_id LIMIT 1)""",
        ]
    )
    (tokens,) = zip(*world.session.rows("SELECT DISTINCT token FROM payment_method ORDER BY 1"), strict=True)
    world.session.set_time(world.clock.now.isoformat())
    world.session.connection.execute(change.encode(), [world.random.choice(tokens)])
