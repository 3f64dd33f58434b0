"""How every adapter reads HTTP: an answer counts if it is whole and says one thing; everything else is unclear.

An adapter's file subclasses `HttpContract` with `open_bench` and `name`, as for `WireContract`. Each case is the whole
right answer to the call in another wrapping, so that a wrapping that is not refused is seen as money.
"""

import gzip
from collections.abc import Callable

import pytest

from tests.contract.bench import Bench, Call, OpenBench, play
from tests.contract.wire_server import After, Reply, chunked, head, http, wire_server

Wrap = Callable[[Call], Reply]
_CHUNKED = "Transfer-Encoding: chunked"
_LAST_CHUNK = b"0\r\n\r\n"


def _length(call: Call, *headers: str, status: str = "200 OK") -> bytes:
    return http(call.answer, *headers, status=status, kind=call.kind).data


def _chunks(call: Call, *headers: str, last: bytes = _LAST_CHUNK) -> bytes:
    return head(_CHUNKED, *headers, kind=call.kind) + b"".join(chunked(call.answer)) + last


def _lengths(*values: str) -> Wrap:
    def wrap(call: Call) -> Reply:
        headers = [f"Content-Length: {value.format(len(call.answer))}" for value in values]
        return Reply(head(*headers, kind=call.kind) + call.answer, After.CLOSE)

    return wrap


def _with_status_line(line: bytes) -> Wrap:
    return lambda call: Reply(_length(call).replace(b"HTTP/1.1 200 OK", line, 1), After.CLOSE)


def _preceded_by(interim: bytes) -> Wrap:
    return lambda call: Reply(interim + _length(call))


UNDERSTOOD: dict[str, Wrap] = {
    "a known length": lambda call: Reply(_length(call)),
    "chunks": lambda call: Reply(_chunks(call)),
    "chunks with extensions": lambda call: Reply(
        head(_CHUNKED, kind=call.kind) + b"%X;a=b\r\n%s\r\n" % (len(call.answer), call.answer) + _LAST_CHUNK
    ),
    "chunks and a trailer": lambda call: Reply(_chunks(call, last=b"0\r\nX-Checked: yes\r\n\r\n")),
    "a known length in drops": lambda call: Reply(_length(call), drip_s=0.0001, drop_bytes=11),
    "chunks in drops": lambda call: Reply(_chunks(call), drip_s=0.0001, drop_bytes=11),
    "HTTP/1.0 with a length": lambda call: Reply(_length(call).replace(b"HTTP/1.1", b"HTTP/1.0", 1), After.CLOSE),
    "HTTP/1.0 until the end": lambda call: Reply(head(kind=call.kind, version="HTTP/1.0") + call.answer, After.CLOSE),
    "HTTP/1.1 until the end": lambda call: Reply(head("Connection: close", kind=call.kind) + call.answer, After.CLOSE),
    "after 100 Continue": _preceded_by(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "after 102 and 103": _preceded_by(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "headers in lower case": lambda call: Reply(_length(call).replace(b"Content-Length", b"content-length")),
    "headers in upper case": lambda call: Reply(_length(call).replace(b"Content-Length", b"CONTENT-LENGTH")),
    "a status line without a reason": lambda call: Reply(_length(call, status="200 ")),
    "cookies": lambda call: Reply(
        _length(call, "Set-Cookie: ASP.NET_SessionId=x; path=/; HttpOnly", "Set-Cookie: a=b")
    ),
    "many headers": lambda call: Reply(_length(call, *(f"X-Header-{n}: {n}" for n in range(60)))),
}

UNCLEAR: dict[str, Wrap] = {
    "two lengths that differ": _lengths("{}", "7"),
    "two lengths that differ, the wrong one first": _lengths("7", "{}"),
    "two lengths in one header": _lengths("{}, 7"),
    "a length and chunks": lambda call: Reply(_chunks(call, f"Content-Length: {len(call.answer)}"), After.CLOSE),
    "a length with a sign": _lengths("+{}"),
    "a negative length": _lengths("-{}"),
    "a length in another base": _lengths("0x{}"),
    "a length with a blank in it": _lengths("1 {}"),
    "a length without digits": _lengths(""),
    "a length beyond all numbers": _lengths("9" * 40),
    "a length of nothing": _lengths("0"),
    "a shorter length": _lengths("20"),
    "a longer length": _lengths("1{}"),
    "chunks without the last one": lambda call: Reply(_chunks(call, last=b""), After.CLOSE),
    "a last chunk that is torn": lambda call: Reply(_chunks(call, last=b"0\r\n"), After.CLOSE),
    "a chunk without its size": lambda call: Reply(
        head(_CHUNKED, kind=call.kind) + b"\r\n" + call.answer + b"\r\n" + _LAST_CHUNK, After.CLOSE
    ),
    "a chunk of a negative size": lambda call: Reply(
        head(_CHUNKED, kind=call.kind) + b"-%x\r\n%s\r\n" % (len(call.answer), call.answer) + _LAST_CHUNK, After.CLOSE
    ),
    "a chunk of no number": lambda call: Reply(
        head(_CHUNKED, kind=call.kind) + b"xyz\r\n%s\r\n" % call.answer + _LAST_CHUNK, After.CLOSE
    ),
    "a chunk longer than its size": lambda call: Reply(
        head(_CHUNKED, kind=call.kind) + b"%x\r\n%s\r\n" % (len(call.answer) - 1, call.answer) + _LAST_CHUNK,
        After.CLOSE,
    ),
    "a chunk of a size beyond all numbers": lambda call: Reply(
        head(_CHUNKED, kind=call.kind) + b"f" * 40 + b"\r\n" + call.answer + b"\r\n" + _LAST_CHUNK, After.CLOSE
    ),
    "chunks that are announced and not sent": lambda call: Reply(
        head(_CHUNKED, kind=call.kind) + call.answer, After.CLOSE
    ),
    "a body until a reset": lambda call: Reply(
        head("Connection: close", kind=call.kind) + call.answer[:-1], After.RESET
    ),
    "a body beyond all bounds": lambda call: http(call.answer + b" " * call.too_long_bytes, kind=call.kind),
    "chunks beyond all bounds": lambda call: Reply(
        head(_CHUNKED, kind=call.kind)
        + b"".join(chunked(call.answer + b" " * call.too_long_bytes, size=65_536))
        + _LAST_CHUNK
    ),
    "a body that unpacks beyond all bounds": lambda call: http(
        gzip.compress(call.answer + b" " * 100 * 1024 * 1024, 1), "Content-Encoding: gzip", kind=call.kind
    ),
    "a head beyond all bounds": lambda call: Reply(_length(call, "X-Long: " + "x" * call.too_long_bytes), After.CLOSE),
    "headers beyond all bounds": lambda call: Reply(
        _length(call, *(f"X-Header-{n}: {'x' * 100}" for n in range(call.too_long_bytes // 100))), After.CLOSE
    ),
    "a header without a colon": lambda call: Reply(_length(call, "no colon here"), After.CLOSE),
    "a header with a null": lambda call: Reply(_length(call, "X-Odd: a\0b"), After.CLOSE),
    "another protocol": _with_status_line(b"ICY 200 OK"),
    "a status without a version": _with_status_line(b"200 OK"),
    "a status of two digits": _with_status_line(b"HTTP/1.1 20 OK"),
    "a status of four digits": _with_status_line(b"HTTP/1.1 2000 OK"),
    "a negative status": _with_status_line(b"HTTP/1.1 -200 OK"),
    "a status in words": _with_status_line(b"HTTP/1.1 OK OK"),
    "a banner before the answer": _preceded_by(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "bytes that are not HTTP": lambda _call: Reply(b"\x00\x01\x02 nonsense\r\n\r\n", After.CLOSE),
    "a switch of protocols": lambda call: Reply(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + call.answer, After.CLOSE
    ),
    "interim answers and no final one": lambda _call: Reply(b"HTTP/1.1 100 Continue\r\n\r\n", After.CLOSE),
    "no content": lambda call: Reply(_length(call, status="204 No Content"), After.CLOSE),
    "not modified": lambda call: Reply(_length(call, status="304 Not Modified"), After.CLOSE),
}

NONSENSE = {
    "an HTML page with status 200": http(b"<html>Service Unavailable</html>", kind="text/html"),
    "an empty body": http(b""),
    "an empty object": http(b"{}"),
    "a list": http(b"[]"),
    "half a JSON object": http(b'{"id": "x'),
    "bytes that are no text": http(b"\xff\xfe\x00"),
    "a redirect": http(b"", "Location: /elsewhere", status="307 Temporary Redirect"),
    "a gateway's 502": http(b"<html>Bad Gateway</html>", status="502 Bad Gateway", kind="text/html"),
    "a gateway's 503": http(b"<html>Unavailable</html>", status="503 Service Unavailable", kind="text/html"),
    "a gateway's 504": http(b"<html>Timeout</html>", status="504 Gateway Timeout", kind="text/html"),
    "JSON nested without end": http(b"[" * 100_000),
}


class HttpContract:
    @pytest.mark.parametrize("how", UNDERSTOOD)
    def test_a_whole_answer_is_understood(self, open_bench: OpenBench, name: str, how: str) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with wire_server(UNDERSTOOD[how](call)) as wire:
                processor = bench.aimed_at(wire.url)
                given = [await call.make(processor) for _ in range(2)]
            assert all(isinstance(one, call.understood) for one in given), given
            assert len(wire.requests) == 2

        play(open_bench, story)

    @pytest.mark.parametrize("how", UNCLEAR)
    def test_an_answer_that_is_not_whole_or_not_one_is_unclear(
        self, open_bench: OpenBench, name: str, how: str
    ) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with wire_server(UNCLEAR[how](call)) as wire:
                given = await call.make(bench.aimed_at(wire.url))
            assert call.learnt_nothing(given), given
            assert len(wire.requests) == 1

        play(open_bench, story)

    @pytest.mark.parametrize("what", NONSENSE)
    def test_nonsense_is_unclear_and_is_asked_for_only_once(self, open_bench: OpenBench, name: str, what: str) -> None:
        async def story(bench: Bench) -> None:
            call = bench.calls[name]
            async with wire_server(NONSENSE[what]) as wire:
                given = await call.make(bench.aimed_at(wire.url))
            assert call.learnt_nothing(given), given
            assert len(wire.requests) == 1

        play(open_bench, story)
