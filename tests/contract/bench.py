"""What the contract of all processors needs of one: its adapter, its simulator, and its calls with their answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from types import UnionType
from typing import Any, Protocol

from shared.domain.declines import NeutralCode
from workers.processors.port import (
    AT_ONCE,
    Approved,
    ChargeOrder,
    DayReport,
    Departure,
    Found,
    LookupFailed,
    LookupOrder,
    NotExecuted,
    Processor,
    RefundConfirmed,
    Settled,
    Timing,
    Unknown,
    VoidConfirmed,
)

# For tests that wait the deadline out.
SHORT_DEADLINE = timedelta(seconds=0.3)
# For tests that expect an honest answer, also from a busy machine.
PATIENT_DEADLINE = timedelta(seconds=15)
# What a simulated processor does wrong, by whether it has executed by then.
AFTER_EXECUTING = (
    "hang_after_execute",
    "reset_after_execute",
    "http_500_after",
    "truncated_after_execute",
    "garbled_after_execute",
    "html_after_execute",
)
BEFORE_EXECUTING = ("hang_before_execute", "reset_before_execute", "http_500_before")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing that an adapter puts on the wire, and the processor's whole answer to it.

    An answer of `too_long_bytes` is not the processor's.
    """

    send: Callable[[Processor, Departure], Awaitable[Any]]
    answer: bytes
    kind: str
    understood: UnionType
    unclear: type
    never_sent: type
    too_long_bytes: int = 9 * 1024 * 1024

    @property
    def pays(self) -> bool:
        return self.unclear is Unknown

    async def make(self, processor: Processor, departure: Departure = AT_ONCE) -> Any:
        return await self.send(processor, departure)

    def learnt_nothing(self, given: object) -> bool:
        return isinstance(given, self.unclear)


def paying(send: Callable[[Processor, Departure], Awaitable[Any]], answer: bytes) -> Call:
    return Call(
        send=send,
        answer=answer,
        kind="application/json; charset=utf-8",
        understood=Approved | Settled | VoidConfirmed | RefundConfirmed,
        unclear=Unknown,
        never_sent=NotExecuted,
    )


def looking(make: Callable[[Processor], Awaitable[Any]], answer: bytes, *, kind: str = "application/json") -> Call:
    return Call(
        send=lambda processor, _departure: make(processor),
        answer=answer,
        kind=kind,
        understood=Found | DayReport,
        unclear=LookupFailed,
        never_sent=LookupFailed,
    )


class Bench(Protocol):
    """One adapter with its simulator, both in this event loop.

    - `processor` speaks to the simulator at `url`, with `PATIENT_DEADLINE` as total deadline.
    - `order(behaviour)` stores a fresh method that behaves so (words of workers/simulators/behaviour.py) and returns
      an order with a fresh reference.
    - `unstored()` is an order whose method the processor does not know.
    - `ledger(reference)` are the money facts of the truth ledger (`Ledger.facts`) under a reference.
    - `lookup_of(order)` is what the engine would ask after a lost answer.
    - `advance(by)` moves the simulator's clock.
    - `aimed_at(url)` is another adapter of the same kind whose every base URL is `url`; the bench closes it.
    - `calls` are all that the adapter puts on the wire, by name.
    - `decline` is a behaviour that declines, with the neutral code that must come out of it.
    - `secrets` are texts that must never be seen in a frozen request, an answer or a repr.
    - `voids` tells whether the processor knows voids of captured charges.
    """

    processor: Processor
    url: str
    calls: Mapping[str, Call]
    decline: tuple[str, NeutralCode]
    secrets: tuple[str, ...]
    voids: bool

    def order(self, behaviour: str, *, amount_minor: int = 12_500) -> ChargeOrder: ...

    def unstored(self) -> ChargeOrder: ...

    def ledger(self, reference: str) -> list[dict[str, Any]]: ...

    def lookup_of(self, order: ChargeOrder, *, processor_ref: str | None = None) -> LookupOrder: ...

    async def advance(self, by: timedelta) -> None: ...

    def aimed_at(self, url: str, *, timing: Timing | None = None, connections: int = 20) -> Processor:
        """Without `timing` it has that of `processor`."""
        ...


OpenBench = Callable[[], AbstractAsyncContextManager[Any]]
Story = Callable[[Any], Awaitable[None]]


def impatient(timing: Timing) -> Timing:
    return replace(timing, total_deadline=SHORT_DEADLINE)


def play(open_bench: OpenBench, story: Story) -> None:
    """Run a story on a fresh bench in a fresh event loop."""

    async def run() -> None:
        async with open_bench() as bench:
            await story(bench)

    asyncio.run(run())
