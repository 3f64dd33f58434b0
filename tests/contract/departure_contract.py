"""How a request leaves that moves money: in turn, asked for right before its first byte, and at most once.

An adapter's file subclasses `DepartureContract`, offers `open_bench`, and a fixture `paying` with the names of its
calls that move money.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from tests.contract.bench import PATIENT_DEADLINE, Bench, OpenBench, play
from tests.contract.wire_server import SILENCE, After, Reply, http, rude_server, wire_server
from workers.processors.port import AT_ONCE, Departure, NotExecuted

_STANDSTILL_S = 0.5
_MANY = 2_000
_CONNECTIONS = 8
_TURNS_OF_THE_LOOP = 40


class DepartureContract:
    def test_what_may_not_go_is_not_sent(self, open_bench: OpenBench, paying: str) -> None:
        async def story(bench: Bench) -> None:
            asked: list[bool] = []
            call = bench.calls[paying]
            async with wire_server(http(call.answer, kind=call.kind)) as wire:
                processor = bench.aimed_at(wire.url)
                for may in (True, False, True):
                    given = await call.make(processor, Departure(_answering(asked, may)))
                    assert isinstance(given, call.understood if may else call.never_sent)
                await processor.close()
                await wire.all_read()
                assert (asked, len(wire.requests), wire.connections) == ([True, False, True], 2, 1)

        play(open_bench, story)

    def test_trace_4_a_process_that_stood_still_while_its_request_waited_sends_nothing_more(
        self, open_bench: OpenBench, paying: str
    ) -> None:
        """A connection falls free while everything stands still; when it goes on, the time of who waited is over."""

        async def story(bench: Bench) -> None:
            call = bench.calls[paying]
            async with wire_server(http(call.answer, kind=call.kind)) as wire:
                # What a client library loads for its first call must not take the time of the others.
                await call.make(bench.aimed_at(wire.url))
                wire.arrived.clear()
                processor = bench.aimed_at(wire.url, connections=1)
                until_s = time.monotonic() + _STANDSTILL_S / 2
                calls = [call.make(processor, Departure(lambda: time.monotonic() < until_s)) for _ in range(2)]
                tasks = [asyncio.create_task(one) for one in calls]
                await wire.arrived.wait()
                time.sleep(_STANDSTILL_S)  # noqa: ASYNC251  # nothing goes on meanwhile
                first, second = await asyncio.gather(*tasks)
                await processor.close()
                assert len(wire.requests) == 2
            assert isinstance(first, call.understood)
            assert isinstance(second, call.never_sent)

        play(open_bench, story)

    def test_the_next_request_leaves_before_anything_is_done_with_the_answer(
        self, open_bench: OpenBench, paying: str
    ) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[paying]
            done: list[str] = []
            async with wire_server(http(call.answer, kind=call.kind)) as wire:
                processor = bench.aimed_at(wire.url, connections=1)

                async def one(name: str, *, first: bool = False) -> None:
                    assert isinstance(
                        await call.make(processor, Departure(_noting(done, f"{name} leaves"), first)), call.understood
                    )
                    done.append(f"{name} is answered")

                await asyncio.gather(one("a"), one("b"), one("c", first=True))
                assert wire.connections == 1
            assert done == ["a leaves", "c leaves", "a is answered", "b leaves", "c is answered", "b is answered"]

        play(open_bench, story)

    def test_what_goes_first_does_not_wait_for_an_answer_while_there_are_not_too_many(
        self, open_bench: OpenBench, paying: str
    ) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[paying]
            left: list[str] = []
            nobody_else = asyncio.Event()

            def leaving(name: str) -> Callable[[], bool]:
                def may_go() -> bool:
                    left.append(name)
                    if len(left) == _CONNECTIONS + 1:
                        nobody_else.set()
                    return True

                return may_go

            async with wire_server(SILENCE) as wire:
                processor = bench.aimed_at(wire.url, connections=_CONNECTIONS)
                departures = [
                    *(Departure(leaving(f"{number}")) for number in range(_CONNECTIONS + 1)),
                    *(Departure(leaving(name), first=True) for name in ("first", "too many")),
                ]
                tasks = [asyncio.create_task(call.make(processor, departure)) for departure in departures]
                await nobody_else.wait()
                assert sorted(left) == sorted([*(f"{number}" for number in range(_CONNECTIONS)), "first"])
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        play(open_bench, story)

    def test_all_who_wait_may_be_kept_back_at_once(self, open_bench: OpenBench, paying: str) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[paying]
            async with wire_server(http(call.answer, kind=call.kind)) as wire:
                processor = bench.aimed_at(wire.url, connections=1)
                others = (call.make(processor, Departure(lambda: False)) for _ in range(_MANY))
                first, *rest = await asyncio.gather(call.make(processor), *others)
                assert isinstance(first, call.understood)
                assert all(isinstance(one, call.never_sent) for one in rest)
                assert isinstance(await call.make(processor), call.understood)
                assert len(wire.requests) == 2

        play(open_bench, story)

    def test_a_cancelled_request_passes_its_turn_on_wherever_it_was(self, open_bench: OpenBench, paying: str) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[paying]
            async with wire_server(SILENCE, http(call.answer, kind=call.kind)) as wire:
                processor = bench.aimed_at(wire.url, connections=1)
                on_the_wire, waiting, next_one = (asyncio.create_task(call.make(processor)) for _ in range(3))
                await wire.arrived.wait()
                waiting.cancel()
                on_the_wire.cancel()
                assert isinstance(await next_one, call.understood)
                await asyncio.gather(on_the_wire, waiting, return_exceptions=True)
                assert len(wire.requests) == 2

        play(open_bench, story)

    def test_a_request_that_is_cancelled_while_it_connects_passes_its_turn_on(
        self, open_bench: OpenBench, paying: str
    ) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[paying]
            arrived = asyncio.Event()

            async def hang_up_later(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
                await reader.readexactly(1)
                if not arrived.is_set():
                    arrived.set()
                    await reader.read()

            timing = replace(bench.processor.timing, send_budget=PATIENT_DEADLINE, total_deadline=PATIENT_DEADLINE * 2)
            async with rude_server(hang_up_later) as url:
                processor = bench.aimed_at(url.replace("http:", "https:"), timing=timing, connections=1)
                connecting, next_one = (asyncio.create_task(call.make(processor)) for _ in range(2))
                await arrived.wait()
                connecting.cancel()
                given = await next_one
                assert isinstance(given, NotExecuted)
                assert given.detail != "no connection fell free"
                await asyncio.gather(connecting, return_exceptions=True)

        play(open_bench, story)

    def test_what_is_cancelled_before_it_left_never_leaves(self, open_bench: OpenBench, paying: str) -> None:
        """In whatever turn of the loop: while it connects, and in the moment in which it is connected."""

        async def story(bench: Bench) -> None:
            call = bench.calls[paying]
            async with wire_server(http(call.answer, kind=call.kind)) as wire:
                for turns in range(_TURNS_OF_THE_LOOP):
                    left: list[str] = []
                    processor = bench.aimed_at(wire.url, connections=1)
                    task = asyncio.create_task(call.make(processor, Departure(_noting(left, "it"))))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    by_then = list(left)
                    await asyncio.gather(task, return_exceptions=True)
                    assert isinstance(await call.make(processor), call.understood)
                    assert left == by_then
                    await processor.close()

        play(open_bench, story)

    def test_a_bug_in_the_last_check_harms_nobody_else(self, open_bench: OpenBench, paying: str) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[paying]

            def raises() -> bool:
                raise LookupError

            async with wire_server(http(call.answer, kind=call.kind)) as wire:
                processor = bench.aimed_at(wire.url, connections=1)
                sent = [call.make(processor, one) for one in (AT_ONCE, Departure(raises), AT_ONCE)]
                before, broken, after = await asyncio.gather(*sent, return_exceptions=True)
                assert isinstance(before, call.understood)
                assert isinstance(broken, LookupError)
                assert isinstance(after, call.understood)
                assert len(wire.requests) == 2

        play(open_bench, story)

    def test_a_connection_that_must_close_carries_no_other_request(self, open_bench: OpenBench, paying: str) -> None:
        """More came than was asked for: the next request leaves on a connection of its own."""

        async def story(bench: Bench) -> None:
            call = bench.calls[paying]
            good = http(call.answer, kind=call.kind)
            for last in (Reply(good.data * 2), Reply(good.data + b"?"), http(call.answer, "Connection: close")):
                async with wire_server(replace(last, after=After.KEEP), good) as wire:
                    processor = bench.aimed_at(wire.url, connections=1)
                    given = await asyncio.gather(*(call.make(processor) for _ in range(2)))
                    assert all(isinstance(one, call.understood) for one in given), given
                    assert (len(wire.requests), wire.connections) == (2, 2)

        play(open_bench, story)


def _answering(asked: list[bool], may: bool) -> Callable[[], bool]:
    def may_go() -> bool:
        asked.append(may)
        return may

    return may_go


def _noting(done: list[str], what: str) -> Callable[[], bool]:
    def may_go() -> bool:
        done.append(what)
        return True

    return may_go
