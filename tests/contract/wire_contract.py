"""What every adapter does when the connection fails: at most one request a call, and never an outcome out of a failure.

An adapter's file subclasses `WireContract`, offers `open_bench`, and a fixture `name` with the names of all its calls.
"""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from socket import SOCK_STREAM, socket
from typing import TypeVar

import pytest

from tests.contract.bench import PATIENT_DEADLINE, SHORT_DEADLINE, Bench, OpenBench, impatient, play
from tests.contract.self_signed import self_signed
from tests.contract.wire_server import (
    CLOSE,
    RESET,
    SILENCE,
    After,
    Reply,
    WireServer,
    head,
    http,
    reset,
    rude_server,
    wire_server,
)
from workers.processors.port import Blame, NotExecuted, Processor

Given = TypeVar("Given")

# The first call may load a client library, on a busy machine.
_SLACK_S = 5.0
_BEHEADED = head("Content-Length: 500")
Read = asyncio.StreamReader
Write = asyncio.StreamWriter

# How a connection ends after the request was read. The processor may have done what it was asked.
ENDINGS = {
    "closed unanswered": lambda _answer: CLOSE,
    "reset unanswered": lambda _answer: RESET,
    "closed in the head": lambda answer: Reply(answer[:20], After.CLOSE),
    "closed after the head": lambda answer: Reply(answer[: answer.index(b"\r\n\r\n") + 4], After.CLOSE),
    "closed before the last byte": lambda answer: Reply(answer[:-1], After.CLOSE),
    "reset before the last byte": lambda answer: Reply(answer[:-1], After.RESET),
}
# How an answer takes for ever.
LINGERING = {
    "silence": SILENCE,
    "a head that drips": Reply(head() * 9, drip_s=0.02),
    "a body that drips": Reply(_BEHEADED + b"{" + b" " * 499, drip_s=0.02),
    "chunks that drip": Reply(head("Transfer-Encoding: chunked") + b"1\r\n \r\n" * 99, drip_s=0.02),
    "a body that stops": Reply(_BEHEADED + b'{"id":'),
    "interim answers without end": Reply(b"HTTP/1.1 102 Processing\r\n\r\n" * 99, drip_s=0.02),
}


class WireContract:
    # --- one request a call ------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_trace_2_a_cold_connection_that_ends_got_exactly_one_request(
        self, open_bench: OpenBench, name: str, ending: str
    ) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with wire_server(ENDINGS[ending](http(call.answer, kind=call.kind).data)) as wire:
                processor = bench.aimed_at(wire.url)
                assert call.learnt_nothing(await call.make(processor))
                assert await _requests(wire, processor) == 1

        play(open_bench, story)

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_trace_2_a_warm_connection_that_ends_got_exactly_one_request(
        self, open_bench: OpenBench, name: str, ending: str
    ) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            good = http(call.answer, kind=call.kind)
            async with wire_server(good, ENDINGS[ending](good.data)) as wire:
                processor = bench.aimed_at(wire.url)
                assert isinstance(await call.make(processor), call.understood)
                assert call.learnt_nothing(await call.make(processor))
                assert await _requests(wire, processor) == 2, "one for each call"
                assert wire.connections == 1, "the second call must have met a warm connection"

        play(open_bench, story)

    def test_an_answer_that_names_nothing_ends_its_connection(self, open_bench: OpenBench, name: str) -> None:
        """Sent twice, its copy would be taken for the answer to the next request, which may have done what it asked."""

        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with wire_server(http(b"{}", status="400 Bad Request", kind=call.kind)) as wire:
                processor = bench.aimed_at(wire.url)
                for _ in range(2):
                    assert not isinstance(await call.make(processor), call.understood)
                assert (await _requests(wire, processor), wire.connections) == (2, 2)

        play(open_bench, story)

    @pytest.mark.parametrize(
        "after", [After.CLOSE, After.RESET, After.HALF_CLOSE], ids=lambda after: after.name.lower()
    )
    def test_a_kept_connection_that_closes_as_the_next_request_leaves_never_doubles_it(
        self, open_bench: OpenBench, name: str, after: After
    ) -> None:
        """The client may see the end in time and take a fresh connection, or not: it must not do both."""

        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            calls = 20
            async with wire_server(http(call.answer, kind=call.kind, after=after)) as wire:
                processor = bench.aimed_at(wire.url)
                given = [await call.make(processor) for _ in range(calls)]
                requests = await _requests(wire, processor)
            understood = sum(isinstance(one, call.understood) for one in given)
            assert all(isinstance(one, call.understood | call.unclear | call.never_sent) for one in given)
            assert understood <= requests <= calls - sum(isinstance(one, NotExecuted) for one in given)

        play(open_bench, story)

    def test_two_sends_are_byte_identical(self, open_bench: OpenBench, name: str) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with wire_server(http(call.answer, kind=call.kind)) as wire:
                for processor in (bench.aimed_at(wire.url), bench.aimed_at(wire.url)):
                    await call.make(processor)
            assert wire.requests[0] == wire.requests[1]

        play(open_bench, story)

    def test_calls_side_by_side_each_get_their_own_answer(self, open_bench: OpenBench, name: str) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with wire_server(http(call.answer, kind=call.kind)) as wire:
                processor = bench.aimed_at(wire.url)
                given = await asyncio.gather(*(call.make(processor) for _ in range(30)))
                assert await _requests(wire, processor) == 30
            assert all(isinstance(one, call.understood) for one in given)

        play(open_bench, story)

    @pytest.mark.parametrize("later", [True, False])
    def test_an_answer_that_nobody_asked_for_is_not_the_next_calls_answer(
        self, open_bench: OpenBench, name: str, *, later: bool
    ) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            good = http(call.answer, kind=call.kind)
            twice = replace(good, unasked=good.data) if later else Reply(good.data * 2)
            async with wire_server(twice, CLOSE) as wire:
                processor = bench.aimed_at(wire.url)
                await call.make(processor)
                await _hung_up(wire)
                assert call.learnt_nothing(await call.make(processor))

        play(open_bench, story)

    # --- deadlines ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("what", LINGERING)
    def test_an_answer_without_end_ends_at_the_total_deadline(
        self, open_bench: OpenBench, name: str, what: str
    ) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with wire_server(LINGERING[what]) as wire:
                processor = bench.aimed_at(wire.url, timing=impatient(bench.processor.timing))
                assert call.learnt_nothing(await _in_time(call.make(processor), SHORT_DEADLINE))
                assert await _requests(wire, processor) == 1

        play(open_bench, story)

    def test_what_waits_for_a_connection_is_not_sent_after_its_send_budget(
        self, open_bench: OpenBench, name: str
    ) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            timing = replace(bench.processor.timing, send_budget=SHORT_DEADLINE, total_deadline=PATIENT_DEADLINE)
            async with wire_server(SILENCE) as wire:
                processor = bench.aimed_at(wire.url, timing=timing, connections=1)
                first = asyncio.create_task(call.make(processor))
                await wire.arrived.wait()
                wire.arrived.clear()
                second = asyncio.create_task(call.make(processor))
                sent = asyncio.create_task(wire.arrived.wait())
                done, _ = await _in_time(
                    asyncio.wait({second, sent}, return_when=asyncio.FIRST_COMPLETED), SHORT_DEADLINE
                )
                assert sent in done or isinstance(second.result(), call.never_sent)
                for task in (first, second, sent):
                    task.cancel()
                await asyncio.gather(first, second, sent, return_exceptions=True)

        play(open_bench, story)

    def test_a_call_that_is_cancelled_is_cancelled(self, open_bench: OpenBench, name: str) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with wire_server(SILENCE) as wire:
                processor = bench.aimed_at(wire.url)
                task = asyncio.create_task(call.make(processor))
                await wire.arrived.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        play(open_bench, story)

    def test_the_answer_to_a_cancelled_call_is_not_the_next_calls_answer(
        self, open_bench: OpenBench, name: str
    ) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            good = http(call.answer, kind=call.kind)
            async with wire_server(Reply(unasked=good.data), CLOSE) as wire:
                processor = bench.aimed_at(wire.url)
                task = asyncio.create_task(call.make(processor))
                await wire.arrived.wait()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await _hung_up(wire)
                assert call.learnt_nothing(await call.make(processor))

        play(open_bench, story)

    # --- no connection -----------------------------------------------------------------------------------------------

    def test_a_refused_connection_is_not_executed_and_nobodys_fault(self, open_bench: OpenBench, name: str) -> None:
        with closing(socket(type=SOCK_STREAM)) as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            play(open_bench, lambda bench: _assert_never_sent(bench, name, url))

    def test_a_host_without_address_is_not_executed(self, open_bench: OpenBench, name: str) -> None:
        play(open_bench, lambda bench: _assert_never_sent(bench, name, "http://processor.invalid"))

    def test_a_connection_that_is_reset_before_the_request_was_read_never_becomes_an_outcome(
        self, open_bench: OpenBench, name: str
    ) -> None:
        async def at_once(_reader: Read, writer: Write) -> None:
            reset(writer)

        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with rude_server(at_once) as url:
                processor = bench.aimed_at(url)
                given = await _in_time(call.make(processor), SHORT_DEADLINE)
            assert isinstance(given, call.unclear | call.never_sent)

        play(open_bench, story)

    def test_a_connection_that_is_reset_in_the_middle_of_the_request_is_unclear(
        self, open_bench: OpenBench, name: str
    ) -> None:
        async def after_a_byte(reader: Read, writer: Write) -> None:
            await reader.readexactly(1)
            reset(writer)

        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with rude_server(after_a_byte) as url:
                assert call.learnt_nothing(await call.make(bench.aimed_at(url)))

        play(open_bench, story)

    # --- TLS ---------------------------------------------------------------------------------------------------------

    def test_a_server_whose_certificate_nobody_signed_is_sent_nothing(self, open_bench: OpenBench, name: str) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with wire_server(http(call.answer, kind=call.kind), tls=self_signed("127.0.0.1")) as wire:
                await _assert_never_sent(bench, name, wire.url)
                assert wire.requests == []

        play(open_bench, story)

    @pytest.mark.parametrize("last", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
    def test_a_tls_handshake_that_fails_is_not_executed(self, open_bench: OpenBench, name: str, last: bytes) -> None:
        async def hang_up(reader: Read, writer: Write) -> None:
            await reader.readexactly(1)
            writer.write(last)
            await writer.drain()

        async def story(bench: Bench) -> None:
            async with rude_server(hang_up) as url:
                await _assert_never_sent(bench, name, url.replace("http:", "https:"))

        play(open_bench, story)

    def test_a_tls_handshake_that_hangs_ends_with_the_send_budget(self, open_bench: OpenBench, name: str) -> None:
        async def hang(reader: Read, _writer: Write) -> None:
            await reader.read()

        async def story(bench: Bench) -> None:
            timing = replace(bench.processor.timing, send_budget=SHORT_DEADLINE, total_deadline=PATIENT_DEADLINE)
            async with rude_server(hang) as url:
                call = bench.calls[name]
                processor = bench.aimed_at(url.replace("http:", "https:"), timing=timing)
                given = await _in_time(call.make(processor), SHORT_DEADLINE)
                assert isinstance(given, call.never_sent)

        play(open_bench, story)


async def _requests(wire: WireServer, processor: Processor) -> int:
    """How many requests the adapter has sent in all: counted when its connections are closed and read to their end."""
    await processor.close()
    await wire.all_read()
    return len(wire.requests)


async def _hung_up(wire: WireServer) -> None:
    """The client gives up a connection on which more may come than it asked for."""
    async with asyncio.timeout(PATIENT_DEADLINE.total_seconds()):
        await wire.all_read()


async def _in_time(call: Awaitable[Given], deadline: timedelta) -> Given:
    started = time.monotonic()
    given = await call
    assert time.monotonic() - started < deadline.total_seconds() + _SLACK_S
    return given


async def _assert_never_sent(bench: Bench, name: str, url: str) -> None:
    call = bench.calls[name]
    given = await call.make(bench.aimed_at(url))
    assert isinstance(given, call.never_sent), given
    assert not isinstance(given, NotExecuted) or given.blame is Blame.NOTHING
