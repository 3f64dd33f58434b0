"""A charge whose outcome is not known, with its real adapter, simulator and janitor."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from shared.domain.ids import reference
from shared.domain.resolving import Verdict
from shared.domain.words import ProcessorName
from shared.store import invariants, reconciliations, resolutions
from shared.store.pool import open_pool
from shared.store.reconciliations import Outcome
from tests import builders
from tests.contract.stripe.bench import simulated
from tests.contract.vantage.bench import bench_with
from workers.janitor.janitor import Janitor
from workers.janitor.reconciling import plan
from workers.janitor.reports import Reports
from workers.janitor.resolving import resolve
from workers.janitor.rounds import go_round
from workers.janitor.sweeping import sweep
from workers.processors.port import ChargeOrder
from workers.simulators.vantage.tables import Switches

STRIPE, VANTAGE = ProcessorName.STRIPE, ProcessorName.VANTAGE
_OPENERS = {STRIPE: simulated, VANTAGE: bench_with(Switches())}
# Past the cut-off of today and of tomorrow, and the delay of both reports.
BOTH_REPORTS_OUT = timedelta(days=3)


@dataclass(frozen=True, kw_only=True)
class Ground:
    name: ProcessorName
    bench: Any
    connection: psycopg.Connection[dict[str, Any]]
    pool: AsyncConnectionPool
    database_url: str

    async def unknown(
        self, behaviour: str, *, sent: timedelta = timedelta(0), method_type: str = "card", **columns: Any
    ) -> "Lost":
        """A charge that was sent `sent` ago and whose answer was lost; `behaviour` is what the processor did."""
        order = replace(self.bench.order(behaviour), method_type=method_type)
        payment_id = self.submit(order)
        order = replace(order, reference=reference("test", payment_id, 1))
        text = self.bench.processor.freeze_charge(order)
        at = datetime.now(UTC) - sent
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            attempt_id = _send(
                connection,
                payment_id,
                reference=order.reference,
                request_text=text,
                first_send_at=at,
                last_send_at=at,
                last_claimed_at=at,
                **columns,
            )
        await self.bench.processor.charge(text)
        return Lost(ground=self, payment_id=payment_id, attempt_id=attempt_id, order=order)

    def queued(self, behaviour: str) -> tuple[UUID, ChargeOrder]:
        """A payment that was never sent."""
        order = self.bench.order(behaviour)
        return self.submit(order), order

    async def forgotten(self, behaviour: str, *, n: int = 1) -> tuple[UUID, ChargeOrder]:
        """A queued payment whose `n`-th attempt was sent and is not known any more."""
        payment_id, order = self.queued(behaviour)
        sent = replace(order, reference=reference("test", payment_id, n))
        await self.bench.processor.charge(self.bench.processor.freeze_charge(sent))
        return payment_id, sent

    def submit(self, order: ChargeOrder) -> UUID:
        """A queued payment for this order."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            found = connection.execute(
                "SELECT id FROM practice WHERE processor_account = %s", [order.account]
            ).fetchone()
            practice = (
                found[0]
                if found
                else builders.practice(connection, processor=self.name, processor_account=order.account)
            )
            client = builders.client(connection, practice)
            method = builders.method(
                connection, practice, client, processor=self.name, payer_id=order.payer_id, token=order.token
            )
            invoice = builders.invoice(connection, practice, client, amount_minor=order.amount_minor)
            batch = builders.batch(connection, practice, total=1, total_minor=order.amount_minor)
            return builders.payment(connection, batch, invoice, method)

    async def sweep(self) -> None:
        """One pass, in which every look is due."""
        self.connection.execute(
            "UPDATE payment SET next_check_at = now() WHERE state IN ('unknown', 'processing', 'approved')"
        )
        await sweep(janitor=self.janitor)

    async def reconcile(self, day: date) -> Outcome:
        """Ask for a comparison of this day for the only practice, and make it."""
        practice = self.connection.execute("SELECT external_id FROM practice").fetchone()
        assert practice
        async with self.pool.connection() as connection:
            asked = await reconciliations.ask(connection, practice=practice["external_id"], day=day, asked_by="test")
        assert asked
        await go_round(janitor=self.janitor)
        async with self.pool.connection() as connection:
            return await reconciliations.outcome_of(connection, asked)

    async def plan(self) -> None:
        """Ask for the comparisons that are due by the calendar."""
        await plan(janitor=self.janitor)

    async def go_round(self) -> None:
        await go_round(janitor=self.janitor)

    def findings(self) -> list[tuple[str, str]]:
        """Kind and detail of every finding, oldest first."""
        rows = self.connection.execute("SELECT kind, detail FROM finding ORDER BY id").fetchall()
        return [(row["kind"], row["detail"]) for row in rows]

    def told(self) -> list[str]:
        """The events that wait in the outbox, oldest first."""
        rows = self.connection.execute("SELECT routing_key FROM outbox WHERE lane = 'event' ORDER BY id").fetchall()
        return [row["routing_key"] for row in rows]

    async def answer(self) -> None:
        """Answer what people said, and look at nothing else."""
        async with self.pool.connection() as connection:
            said = await resolutions.unanswered(connection)
        for one in said:
            await resolve(one, janitor=self.janitor, reports=Reports({self.name: self.bench.processor}))

    async def say(self, payment_id: UUID, verdict: Verdict, processor_ref: str | None = None) -> str | None:
        """A person says so; the janitor's refusal, None if it believes it. No other look is due meanwhile."""
        async with self.pool.connection() as connection:
            asked = await resolutions.ask(
                connection,
                payment_id,
                verdict=verdict,
                processor_ref=processor_ref,
                note="seen in the dashboard",
                asked_by="pat",
                source="test",
            )
        assert asked
        await self.answer()
        async with self.pool.connection() as connection:
            answer = await resolutions.answer_of(connection, asked)
        assert answer.answered
        return answer.refusal

    @property
    def janitor(self) -> Janitor:
        return Janitor(pool=self.pool, processors={self.name: self.bench.processor})

    def submit_again(self, lost: "Lost") -> None:
        """Another batch takes the invoice of a payment that was given up."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            given_up = lost.payment()
            batch = builders.batch(connection, given_up["practice_id"], total=1, total_minor=given_up["amount_minor"])
            later = datetime.now(UTC) + timedelta(hours=1)
            builders.payment(
                connection, batch, given_up["invoice_id"], given_up["method_id"], due_at=later, next_check_at=later
            )

    def send_again(self, lost: "Lost") -> None:
        """The attempt is given up, as if it was proven absent, and the answer to another one is lost too."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(
                "UPDATE attempt SET outcome = 'not_executed', open_sends = 0, finished_at = now(),"
                " absence_final_at = now() WHERE id = %s",
                [lost.attempt_id],
            )
            connection.execute("UPDATE payment SET state = 'queued' WHERE id = %s", [lost.payment_id])
            _send(connection, lost.payment_id, reference=reference("test", lost.payment_id, 2))

    def assert_sound(self) -> None:
        with psycopg.connect(self.database_url) as connection:
            broken = [one for one in invariants.check(connection) if not one.name.startswith("i11_")]
        assert broken == []


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The payment of a lost answer."""

    ground: Ground
    payment_id: UUID
    attempt_id: UUID
    order: ChargeOrder

    def payment(self) -> dict[str, Any]:
        return self._row("SELECT * FROM payment WHERE id = %s", self.payment_id)

    def attempt(self) -> dict[str, Any]:
        return self._row("SELECT * FROM attempt WHERE id = %s", self.attempt_id)

    def events(self) -> list[dict[str, Any]]:
        found = self.ground.connection.execute(
            "SELECT * FROM payment_event WHERE payment_id = %s ORDER BY id", [self.payment_id]
        )
        return found.fetchall()

    @property
    def state(self) -> str:
        return str(self.payment()["state"])

    def _row(self, statement: Any, key: UUID) -> dict[str, Any]:
        row = self.ground.connection.execute(statement, [key]).fetchone()
        assert row
        return row


Story = Callable[[Ground], Awaitable[None]]


def on_ground(name: ProcessorName, database_url: str, story: Story) -> None:
    """Play a story on fresh ground; afterwards the books must be sound."""

    async def run() -> None:
        async with _opened(name, database_url) as ground:
            await story(ground)
            ground.assert_sound()

    asyncio.run(run())


def _send(connection: psycopg.Connection[Any], payment_id: UUID, **columns: Any) -> UUID:
    """The next attempt of a queued payment, whose answer was lost."""
    connection.execute(
        "UPDATE payment SET state = 'sending', claim_token = gen_random_uuid(), lease_until = now() WHERE id = %s",
        [payment_id],
    )
    attempt_id = builders.attempt(connection, payment_id, **columns)
    connection.execute(
        "UPDATE payment SET state = 'unknown', claim_token = NULL, lease_until = NULL, next_check_at = now()"
        " WHERE id = %s",
        [payment_id],
    )
    return attempt_id


@asynccontextmanager
async def _opened(name: ProcessorName, database_url: str) -> AsyncIterator[Ground]:
    async with _OPENERS[name]() as bench, open_pool(database_url, process="test", most=4) as pool:
        if name is VANTAGE:
            bench.book.core.clock.set(datetime.now(UTC))
        with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
            yield Ground(name=name, bench=bench, connection=connection, pool=pool, database_url=database_url)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)
