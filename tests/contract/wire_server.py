"""A raw TCP server that answers HTTP exactly as told and counts what it was sent."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto

_HEAD_END = b"\r\n\r\n"
DATE = "Mon, 05 Jan 2026 10:00:00 GMT"


class After(Enum):
    """What becomes of the connection when a reply is out."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()
    # Closed for answers only: the server still reads, and does, what it is sent.
    HALF_CLOSE = auto()


@dataclass(frozen=True, slots=True)
class Reply:
    """What one request gets. `drip_s` is waited between drops; `unasked` follows some time after the answer."""

    data: bytes = b""
    after: After = After.KEEP
    drip_s: float = 0.0
    drop_bytes: int = 1
    unasked: bytes = b""


CLOSE = Reply(after=After.CLOSE)
RESET = Reply(after=After.RESET)
SILENCE = Reply()
# Longer than the way of an answer over the loopback, so that what follows is not part of it.
_UNASKED_AFTER_S = 0.05


def http(
    body: bytes, *headers: str, status: str = "200 OK", kind: str = "application/json", after: After = After.KEEP
) -> Reply:
    """A well-formed answer of a known length."""
    return Reply(head(f"Content-Length: {len(body)}", *headers, status=status, kind=kind) + body, after)


def head(*headers: str, status: str = "200 OK", kind: str = "application/json", version: str = "HTTP/1.1") -> bytes:
    lines = [f"{version} {status}", f"Content-Type: {kind}", f"Date: {DATE}", "Request-Id: req_1", *headers]
    return "\r\n".join(lines).encode() + _HEAD_END


@dataclass(slots=True)
class WireServer:
    """`requests` are whole requests in order of arrival; the last reply serves all that follow."""

    replies: Sequence[Reply]
    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Condition = field(default_factory=asyncio.Condition)
    _open: int = 0

    async def all_read(self) -> None:
        """Wait until every client has closed its connections: what they sent is in `requests` then."""
        async with self.gone:
            await self.gone.wait_for(lambda: self._open == 0)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open += 1
        try:
            await self._answer_all(reader, writer)
        finally:
            self._open -= 1
            async with self.gone:
                self.gone.notify_all()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.requests.append(await _request(reader))
            self.arrived.set()
            reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
            await _send(writer, reply)
            if reply.after in {After.CLOSE, After.RESET}:
                return
            if reply.after is After.HALF_CLOSE:
                self.requests.append(await _request(reader))
                return


@asynccontextmanager
async def wire_server(*replies: Reply, tls: ssl.SSLContext | None = None) -> AsyncIterator[WireServer]:
    """A server that gives each request its reply, in the order in which requests arrive."""
    wire = WireServer(replies)
    async with rude_server(wire.talk, tls=tls) as wire.url:
        yield wire


Rude = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def rude_server(behave: Rude, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The URL of a server that does as it likes with each connection, whatever the client sends."""
    talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await behave(reader, writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks[asyncio.create_task(talk(reader, writer))] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task, writer in talks.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*talks, *(writer.wait_closed() for writer in talks.values()), return_exceptions=True)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the client gets RST, not FIN."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def chunked(body: bytes, *, size: int = 7) -> Iterable[bytes]:
    """The body in chunks, without the last one."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return (b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


async def _request(reader: asyncio.StreamReader) -> bytes:
    request_head = await reader.readuntil(_HEAD_END)
    lines = request_head.split(b"\r\n")
    lengths = [line.split(b":")[1] for line in lines if line.lower().startswith(b"content-length:")]
    return request_head + await reader.readexactly(int(lengths[0]) if lengths else 0)


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    step = reply.drop_bytes if reply.drip_s else len(reply.data)
    for start in range(0, len(reply.data), step or 1):
        writer.write(reply.data[start : start + step])
        await writer.drain()
        await asyncio.sleep(reply.drip_s)
    if reply.unasked:
        await asyncio.sleep(_UNASKED_AFTER_S)
        writer.write(reply.unasked)
        await writer.drain()
    if reply.after is After.RESET:
        reset(writer)
    elif reply.after is After.HALF_CLOSE:
        writer.write_eof()
