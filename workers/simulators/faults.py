"""Trouble on the wire that both simulators can make: hang, reset, truncate."""

import asyncio
import socket
import struct

from aiohttp import web

# No client of ours waits longer than 75 s; the bound keeps forgotten connections from staying for ever.
HANG_LIMIT_S = 120.0
_POLL_S = 0.02


def reset(request: web.Request) -> web.StreamResponse:
    """Close the connection so that the client sees a TCP reset, never a clean end."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        if raw is not None:
            # Lingering for 0 s makes the kernel send RST instead of FIN.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def hang(request: web.Request, limit_s: float = HANG_LIMIT_S) -> web.StreamResponse:
    """Hold the answer until the client gives up, at most `limit_s`, then reset."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while asyncio.get_running_loop().time() < deadline:
        if request.transport is None or request.transport.is_closing():
            break
        await asyncio.sleep(_POLL_S)
    return reset(request)


async def truncate(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    """Announce the whole body, send half of it, close."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
