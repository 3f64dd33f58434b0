"""A TCP proxy that disturbs what passes: cuts, delays, swallows, half-closes and refuses connections."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

_CHUNK: Final = 65_536
_CALL_WITHIN_S: Final = 10.0
# Lingering for 0 s makes the kernel send RST instead of FIN: the peer sees a reset, never a clean end.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


@dataclass
class Weather:
    """What happens to bytes now. `mute` swallows what clients say, `deaf` what servers answer."""

    delay_s: float = 0.0
    deaf: bool = False
    mute: bool = False
    refusing: bool = False


@dataclass(eq=False)
class Link:
    """One client's connection through the proxy. `torn`: bytes are missing, so it must not go on."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    torn: bool = False

    def reset(self) -> None:
        for writer in (self.client, self.server):
            reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    if not writer.transport.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        writer.transport.abort()


@dataclass(eq=False)
class Proxy:
    """Listens on a port of its own and passes everything on to `port` of 127.0.0.1, as the weather allows."""

    target: int
    weather: Weather = field(default_factory=Weather)
    links: set[Link] = field(default_factory=set)
    _listener: asyncio.Server | None = None

    async def listen(self) -> int:
        """Begin; the port to connect to."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        assert self._listener
        self._listener.close()
        self.cut()

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        cut = len(self.links)
        for link in list(self.links):
            link.reset()
        return cut

    def half_close(self) -> None:
        """Tell every client that its server says no more, while its own direction stays open."""
        for link in list(self.links):
            with suppress(OSError, RuntimeError):
                link.client.write_eof()
            link.torn = True

    def clear_up(self) -> None:
        """Fair weather; connections that miss bytes are reset."""
        self.weather = Weather()
        for link in [link for link in self.links if link.torn]:
            link.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather.refusing:
            return reset(writer)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            return reset(writer)
        link = Link(writer, server_writer)
        self.links.add(link)
        try:
            requests = self._pump(link, reader, server_writer, lambda: self.weather.mute)
            answers = self._pump(link, server_reader, writer, lambda: self.weather.deaf)
            await asyncio.gather(requests, answers)
        finally:
            self.links.discard(link)
            link.client.close()
            link.server.close()

    async def _pump(
        self,
        link: Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        swallows: Callable[[], bool],
    ) -> None:
        try:
            while chunk := await reader.read(_CHUNK):
                await asyncio.sleep(self.weather.delay_s)
                if swallows() or link.torn:
                    link.torn = True
                    continue
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
        except (OSError, RuntimeError):
            link.reset()


class Proxies:
    """Proxies that other threads command, on an event loop in a thread of its own.

    with Proxies() as proxies:
        port = proxies.before("relay", "postgresql", 5432)
        with proxies.weather("relay", "postgresql", Weather(deaf=True)):
            ...
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._proxies: dict[tuple[str, str], Proxy] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def before(self, process: str, server: str, port: int) -> int:
        """The port of a new proxy between a process and a server that listens on `port`."""
        proxy = self._proxies[process, server] = Proxy(port)
        return self._run(proxy.listen())

    def links(self, process: str, server: str) -> int:
        """How many connections pass now."""
        return len(self._proxies[process, server].links)

    def cut(self, process: str, server: str) -> int:
        return self._call(self._proxies[process, server].cut)

    @contextmanager
    def half_closed(self, process: str, server: str) -> Iterator[None]:
        proxy = self._proxies[process, server]
        self._call(proxy.half_close)
        try:
            yield
        finally:
            self._call(proxy.clear_up)

    @contextmanager
    def weather(self, process: str, server: str, weather: Weather) -> Iterator[None]:
        """This weather for the time of the block; a refusing proxy cuts what is connected."""
        proxy = self._proxies[process, server]
        proxy.weather = weather
        if weather.refusing:
            self._call(proxy.cut)
        try:
            yield
        finally:
            self._call(proxy.clear_up)

    def _call(self, command: Callable[[], T]) -> T:
        async def run() -> T:
            return command()

        return self._run(run())

    def _run(self, command: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(command, self._loop).result(_CALL_WITHIN_S)

    async def _end(self) -> None:
        for proxy in self._proxies.values():
            proxy.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
