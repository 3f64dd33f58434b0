"""A raw TCP server that answers HTTP exactly as told and counts what it was sent."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """What one request gets. Without `data` the connection closes unanswered; `drip_s` is waited between bytes."""

    data: bytes = b""
    close: bool = False
    drip_s: float = 0.0


CLOSE = Reply(close=True)
SILENCE = Reply()


def http(body: bytes, *, status: str = "200 OK", kind: str = "application/json", close: bool = False) -> Reply:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return Reply(head.encode() + body, close=close)


@dataclass(slots=True)
class WireServer:
    """`requests` are whole requests in order of arrival; the last reply serves all that follow."""

    replies: Sequence[Reply]
    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await _request(reader))
                reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
                await _send(writer, reply)
                if reply.close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def wire_server(*replies: Reply) -> AsyncIterator[WireServer]:
    wire = WireServer(replies)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(_HEAD_END)
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0]) if lengths else 0)


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    if not reply.drip_s:
        writer.write(reply.data)
        await writer.drain()
        return
    for byte in reply.data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(reply.drip_s)
